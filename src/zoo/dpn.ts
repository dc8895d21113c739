/**
 * Dual path networks. Chen, Li, Xiao, Jin, Yan & Feng 2017, Dual path networks, table 1 and figure 2d: the first channels
 * of a tensor are a residual path, to which each unit adds; the others are a dense path, to which each unit appends.
 * The ImageNet networks are pre-activated and end in norm and ReLU, as the authors' (cypw/DPNs); those named after timm
 * end in ELU. The CIFAR form (kuangliu/pytorch-cifar) has the activation after the unit and no last norm.
 */

import {
  activate,
  batchNorm,
  type ConvOptions,
  concat,
  conv2d,
  globalAvgPool,
  linear,
  maxPool,
  relu,
  residualSum,
  seq,
  slice,
} from '../layers/index.js';
import type { Block, Tensor } from '../layers/model.js';
import { convBn } from './blocks.js';
import { type BuildParameters, defineFamily, published } from './zoo.js';

const init = 'kaiming_fan_out';
const epsilon = 1e-3;

/** The first `width` channels of branch(x) are added to those of x, the others appended. */
const dualPath =
  (width: number, branch: Block, project: Block | undefined): Block =>
  x => {
    const part = (t: Tensor, path: string, begin: number, end: number): Tensor =>
      x.model.scoped(path, () => slice(begin, end)(t));
    const s = project ? x.model.scoped('project', () => project(x)) : x;
    const y = branch(x);
    const sum = x.model.scoped('add', () => residualSum(part(y, 'new', 0, width), part(s, 'old', 0, width)));
    return x.model.scoped('concat', () =>
      concat(sum, part(s, 'old', width, s.shape[2]!), part(y, 'new', width, y.shape[2]!)),
    );
  };

const normConv = (channels: number, kernel: number, options: ConvOptions = {}): Block =>
  seq({ bn: batchNorm({ epsilon }), relu: relu(), conv: conv2d(channels, kernel, { bias: false, init, ...options }) });

interface Stage {
  /** Channels of the residual path. */
  readonly width: number;
  /** Channels of the bottleneck. */
  readonly inner: number;
  /** Channels that each unit appends. */
  readonly growth: number;
}

type Unit = (stage: Stage, stride: number, first: boolean) => Block;

/** The unit that begins a stage projects, and lays a first dense path of twice the growth. */
const preActivated =
  (groups: number): Unit =>
  ({ width, inner, growth }, stride, first) =>
    dualPath(
      width,
      seq({
        conv1: normConv(inner, 1),
        conv2: normConv(inner, 3, { stride, groups }),
        conv3: normConv(width + growth, 1),
      }),
      first ? normConv(width + 2 * growth, 1, { stride }) : undefined,
    );

/** Here the first dense path is of one growth. */
const postActivated =
  (groups: number): Unit =>
  ({ width, inner, growth }, stride, first) => {
    const out = width + growth;
    const branch = seq({
      conv1: convBn(inner, 1, { init }),
      conv2: convBn(inner, 3, { stride, groups, init }),
      conv3: convBn(out, 1, { activation: 'none', init }),
    });
    const project = first ? convBn(out, 1, { stride, activation: 'none', init }) : undefined;
    return seq({ paths: dualPath(width, branch, project), relu: relu() });
  };

interface Shape {
  /** Units of each stage, and what they append. */
  readonly units: readonly number[];
  readonly growth: readonly number[];
  /** Bottleneck and residual path of the first stage; each further one doubles them. */
  readonly inner: number;
  readonly width?: number;
  readonly groups: number;
  readonly stem?: readonly [channels: number, kernel: number];
}

const stages = ({ units, growth, inner, width = 256 }: Shape, unit: Unit): Record<string, Block> =>
  Object.fromEntries(
    units.map((count, i) => {
      const stage = { width: width * 2 ** i, inner: inner * 2 ** i, growth: growth[i]! };
      return [
        `stage${i + 1}`,
        seq(...Array.from({ length: count }, (_, j) => unit(stage, i > 0 && j === 0 ? 2 : 1, j === 0))),
      ];
    }),
  );

const large = (shape: Shape, last: 'relu' | 'elu', classes: number): Block => {
  const [channels, kernel] = shape.stem ?? [64, 7];
  return seq({
    stem: convBn(channels, kernel, { stride: 2, norm: { epsilon }, init }),
    pool1: maxPool(3, { stride: 2, padding: 1 }),
    ...stages(shape, preActivated(shape.groups)),
    bn: batchNorm({ epsilon }),
    [last]: activate(last),
    pool: globalAvgPool(),
    fc: linear(classes),
  });
};

const small = (shape: Shape, classes: number): Block =>
  seq({
    stem: convBn(64, 3, { init }),
    ...stages(shape, postActivated(shape.groups)),
    pool: globalAvgPool(),
    fc: linear(classes),
  });

const network = (shape: Shape, figures: Parameters<typeof published>[0], last: 'relu' | 'elu' = 'relu') => ({
  forms: published(figures),
  write: ({ form, classes }: BuildParameters) =>
    form === 'cifar' ? small(shape, classes) : large(shape, last, classes),
});

const dpn68: Shape = {
  units: [3, 4, 12, 3],
  growth: [16, 32, 32, 64],
  inner: 128,
  width: 64,
  groups: 32,
  stem: [10, 3],
};
const dpn92: Shape = { units: [3, 4, 20, 3], growth: [16, 32, 24, 128], inner: 96, groups: 32 };
const dpn98: Shape = { units: [3, 6, 20, 3], growth: [16, 32, 32, 128], inner: 160, groups: 40, stem: [96, 7] };
const dpn107: Shape = { units: [4, 8, 20, 3], growth: [20, 64, 64, 128], inner: 200, groups: 50, stem: [128, 7] };
const dpn131: Shape = { units: [4, 8, 28, 3], growth: [16, 32, 32, 128], inner: 160, groups: 40, stem: [128, 7] };

export default defineFamily(
  { family: 'DPN', paper: 'Dual path networks', year: 2017 },
  {
    // shape, form: parameters, multiply-adds in millions, accuracy
    dpn26: network({ ...dpn92, units: [2, 2, 2, 2] }, { cifar: [11_574_842, 665.05] }),
    dpn68: network(dpn68, { imagenet: [12_611_602, 2326.16, 0.7643] }),
    dpn92: network(dpn92, { cifar: [34_236_634, 2042.42, 0.9516], imagenet: [37_668_392, 6501.68, 0.7927] }),
    dpn98: network(dpn98, { imagenet: [61_570_728, 11671.22, 0.7985] }),
    dpn107: network(dpn107, { imagenet: [86_917_800, 18298.76, 0.8025] }),
    dpn131: network(dpn131, { imagenet: [79_254_504, 16013.65, 0.8007] }),
    dpn68_timm: network(dpn68, { imagenet: [12_611_602, 2326.16, 0.7631] }, 'elu'),
    dpn92_timm: network(dpn92, { imagenet: [37_668_392, 6501.68, 0.8002] }, 'elu'),
    dpn98_timm: network(dpn98, { imagenet: [61_570_728, 11671.22, 0.7964] }, 'elu'),
    dpn107_timm: network(dpn107, { imagenet: [86_917_800, 18298.76, 0.8017] }, 'elu'),
    dpn131_timm: network(dpn131, { imagenet: [79_254_504, 16013.65, 0.7983] }, 'elu'),
  },
);
