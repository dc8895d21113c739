/**
 * ShuffleNet v2. Ma, Zhang, Zheng & Sun 2018, ShuffleNet V2: Practical guidelines for efficient CNN architecture design,
 * table 5 and figure 3 (c, d), as torchvision writes it: halves split, joined, then shuffled. The CIFAR form
 * (kuangliu/pytorch-cifar) has a stem of stride 1 and no first pooling.
 */

import {
  batchNorm,
  channelShuffle,
  concat,
  depthwiseConv2d,
  globalAvgPool,
  linear,
  maxPool,
  seq,
  slice,
} from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { convBn } from './blocks.js';
import { type BuildParameters, defineFamily, type Published, published } from './zoo.js';

const repeats = [4, 8, 4];

const depthwise = (stride: number): Block =>
  seq({ conv: depthwiseConv2d(3, { stride, bias: false }), bn: batchNorm() });

const right = (width: number, stride: number): Block =>
  seq({ expand: convBn(width, 1), depthwise: depthwise(stride), project: convBn(width, 1) });
const left = (width: number): Block => seq({ depthwise: depthwise(2), project: convBn(width, 1) });

/** Half of the channels pass untouched; with stride 2, both branches see all of them. */
const unit =
  (width: number, stride: number): Block =>
  x => {
    const half = width / 2;
    const [a, b] =
      stride === 1
        ? ([slice(0, half), seq({ half: slice(half, width), branch: right(half, 1) })] as const)
        : ([left(half), right(half, stride)] as const);
    const y = x.model.scoped('left', () => a(x));
    const z = x.model.scoped('right', () => b(x));
    return seq({ concat: t => concat(y, t), shuffle: channelShuffle(2) })(z);
  };

const body = (widths: readonly number[]): Record<string, Block> =>
  Object.fromEntries(
    repeats.map((units, i) => [
      `stage${i + 2}`,
      seq(...Array.from({ length: units }, (_, j) => unit(widths[i]!, j === 0 ? 2 : 1))),
    ]),
  );

const network = (
  widths: readonly [number, number, number],
  head: number,
  cifar: Published,
  imagenet: Published,
  cifarWidths = widths,
) => ({
  forms: published({ cifar, imagenet }),
  write: ({ form, classes }: BuildParameters) =>
    seq({
      conv1: convBn(24, 3, { stride: form === 'cifar' ? 1 : 2 }),
      pool1: form === 'cifar' ? undefined : maxPool(3, { stride: 2, padding: 1 }),
      ...body(form === 'cifar' ? cifarWidths : widths),
      conv5: convBn(head, 1),
      pool: globalAvgPool(),
      fc: linear(classes),
    }),
});

export default defineFamily(
  {
    family: 'ShuffleNet',
    paper: 'ShuffleNet V2: Practical guidelines for efficient CNN architecture design',
    year: 2018,
  },
  {
    // widths of the stages and the head; CIFAR and ImageNet: parameters, multiply-adds in millions, accuracy
    shufflenet_v2_x0_5: network([48, 96, 192], 1024, [352_042, 10.9], [1_366_792, 40.48, 0.6055]),
    shufflenet_v2_x1_0: network([116, 232, 464], 1024, [1_263_854, 45], [2_278_604, 144.91, 0.6936]),
    shufflenet_v2_x1_5: network([176, 352, 704], 1024, [2_488_874, 94.26], [3_503_624, 295.76, 0.73]),
    // The reference of the CIFAR form has 224 channels where the paper has 244.
    shufflenet_v2_x2_0: network(
      [244, 488, 976],
      2048,
      [5_338_026, 181.65],
      [7_393_996, 583.25, 0.7623],
      [224, 488, 976],
    ),
  },
);
