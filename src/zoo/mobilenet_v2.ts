/**
 * MobileNetV2. Sandler, Howard, Zhu, Zhmoginov & Chen 2018, MobileNetV2: Inverted residuals and linear bottlenecks,
 * table 2, as torchvision writes it. The CIFAR form keeps full resolution for longer: the stem and the second stage
 * have stride 1, as in kuangliu/pytorch-cifar, whose shortcuts and first expansion it also takes. A width multiplier
 * (section 6.1) acts on all widths but a head that would become narrower; the figures of such networks were counted in
 * PyTorch.
 */

import {
  batchNorm,
  conv2d,
  depthwiseConv2d,
  dropout,
  globalAvgPool,
  linear,
  relu,
  relu6,
  residual,
  seq,
} from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { convBn } from './blocks.js';
import { type BuildParameters, defineFamily, type Form, type Published, published } from './zoo.js';

const stages = [
  // expansion, width, repeats, stride, stride in the CIFAR form
  [1, 16, 1, 1, 1],
  [6, 24, 2, 2, 1],
  [6, 32, 3, 2, 2],
  [6, 64, 4, 2, 2],
  [6, 96, 3, 1, 1],
  [6, 160, 3, 2, 2],
  [6, 320, 1, 1, 1],
] as const;

const init = 'kaiming_fan_out';
const activation = { cifar: 'relu', imagenet: 'relu6' } as const;

const invertedResidual =
  (form: Form, expansion: number, width: number, stride: number): Block =>
  x => {
    const c = x.shape[2]!;
    const act = form === 'cifar' ? relu : relu6;
    const branch = seq({
      expand:
        expansion > 1 || form === 'cifar'
          ? convBn(c * expansion, 1, { activation: activation[form], init })
          : undefined,
      depthwise: seq({ conv: depthwiseConv2d(3, { stride, bias: false, init }), bn: batchNorm(), act: act() }),
      project: seq({ conv: conv2d(width, 1, { bias: false, init }), bn: batchNorm() }),
    });
    if (stride > 1 || (form === 'imagenet' && c !== width)) return branch(x);
    return residual(branch, c === width ? undefined : convBn(width, 1, { activation: 'none', init }))(x);
  };

/** To the nearest 8, but never below 90 % of what was asked. */
const rounded = (width: number): number => {
  const nearest = Math.max(8, Math.floor((width + 4) / 8) * 8);
  return nearest < 0.9 * width ? nearest + 8 : nearest;
};

const network = (multiplier: number, cifar: Published, imagenet: Published) => ({
  forms: published({ cifar, imagenet }),
  write: (parameters: BuildParameters) => write(multiplier, parameters),
});

const write = (multiplier: number, { form, classes }: BuildParameters): Block => {
  const units = stages.flatMap(([expansion, width, repeats, stride, cifarStride]) =>
    Array.from({ length: repeats }, (_, i) =>
      invertedResidual(
        form,
        expansion,
        rounded(width * multiplier),
        i > 0 ? 1 : form === 'cifar' ? cifarStride : stride,
      ),
    ),
  );
  return seq({
    stem: convBn(rounded(32 * multiplier), 3, { stride: form === 'cifar' ? 1 : 2, activation: activation[form], init }),
    blocks: seq(...units),
    head: convBn(rounded(1280 * Math.max(1, multiplier)), 1, { activation: activation[form], init }),
    pool: globalAvgPool(),
    dropout: form === 'cifar' ? undefined : dropout(0.2),
    fc: linear(classes, { init: 'normal_0.01' }),
  });
};

export default defineFamily(
  { family: 'MobileNet', paper: 'MobileNetV2: Inverted residuals and linear bottlenecks', year: 2018 },
  {
    // width multiplier; CIFAR and ImageNet: parameters, multiply-adds in millions, accuracy (of other widths TF-slim's)
    mobilenet_v2: network(1, [2_296_922, 91.15, 0.9443], [3_504_872, 300.77, 0.7188]),
    mobilenet_v2_x0_25: network(0.25, [254_794, 9.62], [1_519_112, 37.2]),
    mobilenet_v2_x0_35: network(0.35, [416_698, 16.15], [1_677_128, 59.29, 0.603]),
    mobilenet_v2_x0_5: network(0.5, [715_834, 28.8], [1_968_680, 97.13, 0.654]),
    mobilenet_v2_x0_75: network(0.75, [1_402_586, 61.37], [2_636_424, 209.07, 0.698]),
    mobilenet_v2_x1_3: network(1.3, [3_839_818, 153.26], [5_386_792, 509.37, 0.744]),
    mobilenet_v2_x1_4: network(1.4, [4_451_626, 176.77], [6_108_776, 582.2, 0.75]),
  },
);
