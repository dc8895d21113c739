/**
 * SENet. Hu, Shen & Sun 2017, Squeeze-and-excitation networks, table 1 and figure 3: each branch is scaled channel by
 * channel before it is added, reduction 16. As the authors' Caffe networks (Cadene/pretrained-models.pytorch): the first
 * pool is unpadded, the stride of a SE-ResNet's bottleneck on its first 1×1. SENet-154 is section 6.4's. The CIFAR form
 * (kuangliu/pytorch-cifar) is pre-activated and has no last norm. se_resnet50_v1_5 is timm's seresnet50: stride and first
 * pool as in torchvision's ResNet.
 */

import { dropout, globalAvgPool, linear, maxPool, relu, residual, seq } from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { convBn, squeezeExcite } from './blocks.js';
import { preActivated, preActivatedBasic } from './preact_resnet.js';
import { type BuildParameters, defineFamily, type Published, published } from './zoo.js';

const init = 'kaiming_fan_out';
const widths = [64, 128, 256, 512];

interface Kind {
  /** Widths of a bottleneck's first 1×1 and its 3×3, as multiples of 64, 128, 256, 512; its last 1×1 has 4. */
  readonly inner: readonly [number, number];
  readonly groups: number;
  /** Which of the two has the stride. */
  readonly strided: 1 | 2;
  /** Kernel of the projection where the resolution halves. */
  readonly projection: 1 | 3;
}

const bottleneck =
  ({ inner, groups, strided, projection }: Kind) =>
  (width: number, stride: number): Block =>
  x => {
    const out = 4 * width;
    const branch = seq({
      conv1: convBn(inner[0] * width, 1, { stride: strided === 1 ? stride : 1, init }),
      conv2: convBn(inner[1] * width, 3, { stride: strided === 2 ? stride : 1, groups, init }),
      conv3: convBn(out, 1, { activation: 'none', init }),
      se: squeezeExcite,
    });
    const kernel = stride > 1 ? projection : 1;
    const project = x.shape[2] === out ? undefined : convBn(out, kernel, { stride, activation: 'none', init });
    return seq({ sum: residual(branch, project), relu: relu() })(x);
  };

const preActivatedUnit = (width: number, stride: number): Block =>
  preActivated(seq({ branch: preActivatedBasic(width, stride), se: squeezeExcite }), width, stride);

const stages = (unit: (width: number, stride: number) => Block, repeats: readonly number[]): Record<string, Block> =>
  Object.fromEntries(
    widths.map((width, i) => [
      `stage${i + 1}`,
      seq(...Array.from({ length: repeats[i]! }, (_, j) => unit(width, i > 0 && j === 0 ? 2 : 1))),
    ]),
  );

const oneConv = { conv1: convBn(64, 7, { stride: 2, init }) };
const threeConvs = {
  conv1: convBn(64, 3, { stride: 2, init }),
  conv2: convBn(64, 3, { init }),
  conv3: convBn(128, 3, { init }),
};
const unpadded = maxPool(3, { stride: 2, ceil: true });
const padded = maxPool(3, { stride: 2, padding: 1 });

const large = (
  stem: Readonly<Record<string, Block>>,
  kind: Kind,
  repeats: readonly number[],
  ...imagenet: Published
) => ({
  forms: published({ imagenet }),
  write: ({ classes }: BuildParameters) =>
    seq({
      ...stem,
      ...stages(bottleneck(kind), repeats),
      pool: globalAvgPool(),
      dropout: kind === senet ? dropout(0.2) : undefined,
      fc: linear(classes),
    }),
});

const caffe = { ...oneConv, pool1: unpadded };
const resnet: Kind = { inner: [1, 1], groups: 1, strided: 1, projection: 1 };
const resnext: Kind = { inner: [2, 2], groups: 32, strided: 2, projection: 1 };
const senet: Kind = { inner: [2, 4], groups: 64, strided: 2, projection: 3 };

export default defineFamily(
  { family: 'SENet', paper: 'Squeeze-and-excitation networks', year: 2017 },
  {
    se_resnet18: {
      forms: published({ cifar: [11_260_354, 555.51] }),
      write: ({ classes }) =>
        seq({
          conv1: convBn(64, 3, { init }),
          ...stages(preActivatedUnit, [2, 2, 2, 2]),
          pool: globalAvgPool(),
          fc: linear(classes),
        }),
    },
    // stem, bottleneck, blocks a stage; parameters, multiply-adds in millions, accuracy
    se_resnet50: large(caffe, resnet, [3, 4, 6, 3], 28_088_024, 3860.49, 0.7764),
    se_resnet101: large(caffe, resnet, [3, 4, 23, 3], 49_326_872, 7574.94, 0.784),
    se_resnet152: large(caffe, resnet, [3, 8, 36, 3], 66_821_848, 11288.99, 0.7866),
    se_resnet50_v1_5: large(
      { ...oneConv, pool1: padded },
      { ...resnet, strided: 2 },
      [3, 4, 6, 3],
      28_088_024,
      4091.7,
      0.8027,
    ),
    se_resnext50_32x4d: large(caffe, resnext, [3, 4, 6, 3], 27_559_896, 4232.99, 0.7908),
    se_resnext101_32x4d: large(caffe, resnext, [3, 4, 23, 3], 48_955_416, 7974.74, 0.8024),
    senet154: large({ ...threeConvs, pool1: unpadded }, senet, [3, 8, 36, 3], 115_088_984, 20688.36, 0.813),
  },
);
