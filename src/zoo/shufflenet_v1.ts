/**
 * ShuffleNet v1. Zhang, Zhou, Lin & Sun 2017, ShuffleNet: An extremely efficient convolutional neural network for mobile
 * devices, table 1 and figure 2 (b, c): grouped 1×1 convolutions, shuffled between. The first unit's are few enough to
 * have no groups. Those with a scale in their name follow megvii-model/ShuffleNet-Series: they shuffle behind the
 * depthwise convolution, the inverse way, and the last layer has no bias.
 * The CIFAR form (kuangliu/pytorch-cifar) has a 1×1 stem of stride 1, an activation after the depthwise convolution,
 * and units of stride 2 whose bottleneck is a quarter of what they add.
 */

import {
  avgPool,
  batchNorm,
  channelShuffle,
  concat,
  conv2d,
  depthwiseConv2d,
  globalAvgPool,
  linear,
  maxPool,
  relu,
  residualSum,
  seq,
} from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { convBn } from './blocks.js';
import { type BuildParameters, defineFamily, type Form, type Published, published } from './zoo.js';

const repeats = [4, 8, 4];
const init = 'kaiming_fan_out';

/** `first`: the unit behind the stem; `late`: shuffled behind the depthwise convolution. */
const unit =
  (form: Form, groups: number, late: boolean, width: number, stride: number, first: boolean): Block =>
  x => {
    const added = stride === 1 ? width : width - x.shape[2]!;
    const inner = Math.floor((form === 'cifar' ? added : width) / 4);
    const before = first ? 1 : groups;
    // The reference of the CIFAR form shuffles in as many groups as the convolution has.
    const shuffled = form === 'cifar' ? before : groups;
    const branch = seq({
      reduce: convBn(inner, 1, { groups: before, init }),
      shuffle: !late && shuffled > 1 ? channelShuffle(shuffled) : undefined,
      depthwise: seq({ conv: depthwiseConv2d(3, { stride, bias: false, init }), bn: batchNorm() }),
      relu: form === 'cifar' ? relu() : undefined,
      unshuffle: late ? channelShuffle(inner / groups) : undefined,
      expand: seq({ conv: conv2d(added, 1, { groups, bias: false, init }), bn: batchNorm() }),
    });
    const y = x.model.scoped('branch', () => branch(x));
    if (stride === 1) return seq({ sum: t => residualSum(t, x), relu: relu() })(y);
    const pooled = x.model.scoped('pool', () => avgPool(3, { stride, padding: 1 })(x));
    return seq({ concat: t => (form === 'cifar' ? concat(t, pooled) : concat(pooled, t)), relu: relu() })(y);
  };

interface Shape {
  readonly groups: number;
  /** Width of stage 2; the others double it. */
  readonly width: number;
  readonly stem?: number;
  /** As megvii's code has it. */
  readonly megvii?: boolean;
}

const network = ({ groups, width, stem = 24, megvii = false }: Shape, imagenet: Published, cifar?: Published) => ({
  forms: published({ ...(cifar ? { cifar } : {}), imagenet }),
  write: ({ form, classes }: BuildParameters) =>
    seq({
      conv1: form === 'cifar' ? convBn(stem, 1, { init }) : convBn(stem, 3, { stride: 2, init }),
      pool1: form === 'cifar' ? undefined : maxPool(3, { stride: 2, padding: 1 }),
      ...Object.fromEntries(
        repeats.map((units, i) => [
          `stage${i + 2}`,
          seq(
            ...Array.from({ length: units }, (_, j) =>
              unit(form, groups, megvii, width * 2 ** i, j === 0 ? 2 : 1, i === 0 && j === 0),
            ),
          ),
        ]),
      ),
      pool: globalAvgPool(),
      fc: linear(classes, { bias: !megvii }),
    }),
});

export default defineFamily(
  {
    family: 'ShuffleNet',
    paper: 'ShuffleNet: An extremely efficient convolutional neural network for mobile devices',
    year: 2017,
  },
  {
    // groups, widths; ImageNet and CIFAR: parameters, multiply-adds in millions, accuracy
    shufflenet_v1_g1: network({ groups: 1, width: 144 }, [1_531_936, 143.08]),
    shufflenet_v1_g2: network({ groups: 2, width: 200 }, [1_733_848, 140.84], [887_582, 39.61]),
    shufflenet_v1_g3: network({ groups: 3, width: 240 }, [1_865_728, 137.46, 0.678], [862_768, 38.61]),
    shufflenet_v1_g4: network({ groups: 4, width: 272 }, [1_968_344, 134.34]),
    shufflenet_v1_g8: network({ groups: 8, width: 384 }, [2_434_768, 138.37, 0.68]),
    shufflenet_v1_g3_x0_5: network({ groups: 3, width: 120, stem: 12, megvii: true }, [717_324, 37.59, 0.573]),
    shufflenet_v1_g3_x1_0: network({ groups: 3, width: 240, megvii: true }, [1_864_728, 137.46, 0.678]),
    shufflenet_v1_g3_x1_5: network({ groups: 3, width: 360, megvii: true }, [3_441_168, 292.44, 0.716]),
    shufflenet_v1_g3_x2_0: network({ groups: 3, width: 480, stem: 48, megvii: true }, [5_449_776, 524.05, 0.741]),
    shufflenet_v1_g8_x0_5: network({ groups: 8, width: 192, stem: 16, megvii: true }, [1_010_448, 40.47, 0.588]),
    shufflenet_v1_g8_x1_0: network({ groups: 8, width: 384, megvii: true }, [2_433_768, 138.37, 0.68]),
    shufflenet_v1_g8_x1_5: network({ groups: 8, width: 576, megvii: true }, [4_268_952, 290.19, 0.71]),
    shufflenet_v1_g8_x2_0: network({ groups: 8, width: 768, stem: 48, megvii: true }, [6_521_232, 521.94, 0.729]),
  },
);
