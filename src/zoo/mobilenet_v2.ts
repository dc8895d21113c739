/**
 * MobileNetV2. Sandler, Howard, Zhu, Zhmoginov & Chen 2018, MobileNetV2: Inverted residuals and linear bottlenecks,
 * table 2, as torchvision writes it. The CIFAR form keeps full resolution for longer: the stem and the second stage
 * have stride 1, as in kuangliu/pytorch-cifar, whose shortcuts and first expansion it also takes.
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
import { type BuildParameters, defineFamily, type Form } from './zoo.js';

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

const write = ({ form, classes }: BuildParameters): Block => {
  const units = stages.flatMap(([expansion, width, repeats, stride, cifarStride]) =>
    Array.from({ length: repeats }, (_, i) =>
      invertedResidual(form, expansion, width, i > 0 ? 1 : form === 'cifar' ? cifarStride : stride),
    ),
  );
  return seq({
    stem: convBn(32, 3, { stride: form === 'cifar' ? 1 : 2, activation: activation[form], init }),
    blocks: seq(...units),
    head: convBn(1280, 1, { activation: activation[form], init }),
    pool: globalAvgPool(),
    dropout: form === 'cifar' ? undefined : dropout(0.2),
    fc: linear(classes, { init: 'normal_0.01' }),
  });
};

export default defineFamily(
  { family: 'MobileNet', paper: 'MobileNetV2: Inverted residuals and linear bottlenecks', year: 2018 },
  {
    mobilenet_v2: {
      forms: {
        cifar: { input: [32, 32, 3], classes: 10, params: 2_296_922, multiplyAddsMillions: 91.15, top1: 0.9443 },
        imagenet: {
          input: [224, 224, 3],
          classes: 1000,
          params: 3_504_872,
          multiplyAddsMillions: 300.77,
          top1: 0.7188,
        },
      },
      write,
    },
  },
);
