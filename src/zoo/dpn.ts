/**
 * Dual path networks. Chen, Li, Xiao, Jin, Yan & Feng 2017, Dual path networks, table 1 and figure 2d: the first channels
 * of a tensor are a residual path, to which each unit adds; the others are a dense path, to which each unit appends.
 * The ImageNet networks are pre-activated, as the authors' (cypw/DPNs); timm's, whose code asks for an ELU at the end,
 * get this ReLU too. The CIFAR form (kuangliu/pytorch-cifar) has the activation after the unit and no last norm.
 */

import {
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
import { type BuildParameters, defineFamily, type Form, published } from './zoo.js';

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

type Convolution = (channels: number, kernel: number, options?: ConvOptions) => Block;

const normFirst: Convolution = (channels, kernel, options) =>
  seq({ bn: batchNorm({ epsilon }), relu: relu(), conv: conv2d(channels, kernel, { bias: false, init, ...options }) });

const normLast =
  (activation: 'relu' | 'none'): Convolution =>
  (channels, kernel, options) =>
    convBn(channels, kernel, { activation, init, ...options });

/** Convolutions of a branch, its last one, and how many growths wide the dense path of a stage begins. */
const styles = {
  imagenet: { conv: normFirst, last: normFirst, dense: 2 },
  cifar: { conv: normLast('relu'), last: normLast('none'), dense: 1 },
};

interface Shape {
  /** Units of each stage, and how many channels each of them appends. */
  readonly units: readonly number[];
  readonly growth: readonly number[];
  /** Bottleneck and residual path of the first stage; each further one doubles them. */
  readonly inner: number;
  readonly groups: number;
  readonly stem?: number;
  /** A residual path of 64 channels instead of 256, a stem of 3×3 instead of 7×7. */
  readonly small?: boolean;
}

/** The first unit of a stage projects. */
function unit(form: Form, shape: Shape, stage: number, first: boolean): Block {
  const { conv, last, dense } = styles[form];
  const { groups } = shape;
  const stride = first && stage > 0 ? 2 : 1;
  const width = (shape.small ? 64 : 256) * 2 ** stage;
  const inner = shape.inner * 2 ** stage;
  const growth = shape.growth[stage]!;
  const branch = seq({
    conv1: conv(inner, 1),
    conv2: conv(inner, 3, { stride, groups }),
    conv3: last(width + growth, 1),
  });
  const paths = dualPath(width, branch, first ? last(width + dense * growth, 1, { stride }) : undefined);
  return form === 'cifar' ? seq({ paths, relu: relu() }) : paths;
}

const network = (shape: Shape, figures: Parameters<typeof published>[0]) => ({
  forms: published(figures),
  write: ({ form, classes }: BuildParameters) => {
    const { stem = 64, small } = shape;
    const large = form === 'imagenet';
    return seq({
      stem: large ? convBn(stem, small ? 3 : 7, { stride: 2, norm: { epsilon }, init }) : convBn(64, 3, { init }),
      pool1: large ? maxPool(3, { stride: 2, padding: 1 }) : undefined,
      ...Object.fromEntries(
        shape.units.map((count, i) => [
          `stage${i + 1}`,
          seq(...Array.from({ length: count }, (_, j) => unit(form, shape, i, j === 0))),
        ]),
      ),
      bn: large ? batchNorm({ epsilon }) : undefined,
      relu: large ? relu() : undefined,
      pool: globalAvgPool(),
      fc: linear(classes),
    });
  },
});

const dpn68 = { units: [3, 4, 12, 3], growth: [16, 32, 32, 64], inner: 128, groups: 32, stem: 10, small: true };
const dpn92 = { units: [3, 4, 20, 3], growth: [16, 32, 24, 128], inner: 96, groups: 32 };
const dpn98 = { units: [3, 6, 20, 3], growth: [16, 32, 32, 128], inner: 160, groups: 40, stem: 96 };
const dpn107 = { units: [4, 8, 20, 3], growth: [20, 64, 64, 128], inner: 200, groups: 50, stem: 128 };
const dpn131 = { units: [4, 8, 28, 3], growth: [16, 32, 32, 128], inner: 160, groups: 40, stem: 128 };

export default defineFamily(
  { family: 'DPN', paper: 'Dual path networks', year: 2017 },
  {
    // shape; form: parameters, multiply-adds in millions, accuracy
    dpn26: network({ ...dpn92, units: [2, 2, 2, 2] }, { cifar: [11_574_842, 665.05] }),
    dpn68: network(dpn68, { imagenet: [12_611_602, 2326.16, 0.7643] }),
    dpn92: network(dpn92, { cifar: [34_236_634, 2042.42, 0.9516], imagenet: [37_668_392, 6501.68, 0.7927] }),
    dpn98: network(dpn98, { imagenet: [61_570_728, 11671.22, 0.7985] }),
    dpn107: network(dpn107, { imagenet: [86_917_800, 18298.76, 0.8025] }),
    dpn131: network(dpn131, { imagenet: [79_254_504, 16013.65, 0.8007] }),
  },
);
