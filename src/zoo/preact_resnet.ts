/**
 * Pre-activation ResNet. He, Zhang, Ren & Sun 2016, Identity mappings in deep residual networks: norm and activation
 * before each convolution (figure 4e), the sum untouched. A projection sees the activated input, an identity the raw
 * one. Depths 164 and 1001 are the paper's (section 4, and the authors' KaimingHe/resnet-1k-layers): three stages, the
 * stride of a bottleneck on its first 1×1, a last norm. The others are ResNet's (kuangliu/pytorch-cifar): four stages,
 * the stride on the 3×3, no last norm.
 */

import { batchNorm, conv2d, globalAvgPool, linear, relu, residualSum, seq } from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { type BuildParameters, defineFamily, type Published, published } from './zoo.js';

const init = 'kaiming_fan_out';
const conv = (width: number, kernel: number, stride = 1): Block => conv2d(width, kernel, { stride, bias: false, init });

export const preActivatedBasic = (width: number, stride: number): Block =>
  seq({ conv1: conv(width, 3, stride), bn2: batchNorm(), relu2: relu(), conv2: conv(width, 3) });

/** `strided` says which convolution has the stride. */
const bottleneck =
  (strided: 1 | 2) =>
  (width: number, stride: number): Block =>
    seq({
      conv1: conv(width, 1, strided === 1 ? stride : 1),
      bn2: batchNorm(),
      relu2: relu(),
      conv2: conv(width, 3, strided === 2 ? stride : 1),
      bn3: batchNorm(),
      relu3: relu(),
      conv3: conv(4 * width, 1),
    });

/** branch(a) + shortcut, a the activated input: a projection of a, or the input itself where its shape stays. */
export const preActivated =
  (branch: Block, out: number, stride: number): Block =>
  x => {
    const activated = seq({ bn1: batchNorm(), relu1: relu() })(x);
    const projected = stride > 1 || x.shape[2] !== out;
    const y = branch(activated);
    const shortcut = projected ? x.model.scoped('shortcut', () => conv(out, 1, stride)(activated)) : x;
    return x.model.scoped('add', () => residualSum(y, shortcut));
  };

/** Stages of `units` of the given widths, each but the first halving the resolution. */
const stages = (
  branch: (width: number, stride: number) => Block,
  expansion: number,
  widths: readonly number[],
  repeats: readonly number[],
): Record<string, Block> =>
  Object.fromEntries(
    repeats.map((units, i) => [
      `stage${i + 1}`,
      seq(
        ...Array.from({ length: units }, (_, j) => {
          const stride = i > 0 && j === 0 ? 2 : 1;
          return preActivated(branch(widths[i]!, stride), widths[i]! * expansion, stride);
        }),
      ),
    ]),
  );

const network = (kind: 'basic' | 'bottleneck', repeats: readonly number[], ...cifar: Published) => ({
  forms: published({ cifar }),
  write: ({ classes }: BuildParameters) => {
    const [branch, expansion] = kind === 'basic' ? [preActivatedBasic, 1] : [bottleneck(2), 4];
    return seq({
      conv1: conv(64, 3),
      ...stages(branch, expansion, [64, 128, 256, 512], repeats),
      pool: globalAvgPool(),
      fc: linear(classes),
    });
  },
});

const deep = (depth: number, ...cifar: Published) => ({
  forms: published({ cifar }),
  write: ({ classes }: BuildParameters) => {
    const units = (depth - 2) / 9;
    return seq({
      conv1: conv(16, 3),
      ...stages(bottleneck(1), 4, [16, 32, 64], [units, units, units]),
      norm: batchNorm(),
      relu: relu(),
      pool: globalAvgPool(),
      fc: linear(classes),
    });
  },
});

export default defineFamily(
  { family: 'Pre-activation ResNet', paper: 'Identity mappings in deep residual networks', year: 2016 },
  {
    // kind, blocks a stage; parameters, multiply-adds in millions, accuracy
    preact_resnet18: network('basic', [2, 2, 2, 2], 11_171_146, 555.42, 0.9511),
    preact_resnet34: network('basic', [3, 4, 6, 3], 21_279_306, 1159.4),
    preact_resnet50: network('bottleneck', [3, 4, 6, 3], 23_509_066, 1297.83),
    preact_resnet101: network('bottleneck', [3, 4, 23, 3], 42_501_194, 2509.98),
    preact_resnet152: network('bottleneck', [3, 8, 36, 3], 58_144_842, 3722.14),
    preact_resnet164: deep(164, 1_703_258, 244.5, 0.9454),
    preact_resnet1001: deep(1001, 10_327_706, 1487.85, 0.9508),
  },
);
