/**
 * MobileNet v1. Howard et al. 2017, MobileNets: Efficient convolutional neural networks for mobile vision applications,
 * table 1, with a width multiplier (section 3.3). As the authors' TF-slim writes it: TensorFlow's `same` padding, ReLU6,
 * ε = 0.001. The networks named symmetric are as PyTorch users write it (timm): the same padding on all sides, the
 * usual ε. The CIFAR form (kuangliu/pytorch-cifar) has a stem of stride 1, symmetric padding and ReLU; its narrower
 * figures were counted in PyTorch.
 */

import { dropout, globalAvgPool, linear, seq } from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { convBn } from './blocks.js';
import { type BuildParameters, defineFamily, type Published, published } from './zoo.js';

const units = [
  // width, stride
  [64, 1],
  [128, 2],
  [128, 1],
  [256, 2],
  [256, 1],
  [512, 2],
  ...Array.from({ length: 5 }, () => [512, 1] as const),
  [1024, 2],
  [1024, 1],
] as const;

const styles = {
  cifar: { activation: 'relu', padding: 1, norm: {}, init: 'kaiming_fan_out' },
  tensorflow: { activation: 'relu6', padding: 'same', norm: { epsilon: 1e-3 }, init: 'kaiming_fan_out' },
  symmetric: { activation: 'relu6', padding: 1, norm: {}, init: 'kaiming_fan_out' },
} as const;
type Style = (typeof styles)[keyof typeof styles];

const { tensorflow, symmetric } = styles;

const separable =
  ({ padding, ...style }: Style, width: number, stride: number): Block =>
  x => {
    const c = x.shape[2]!;
    return seq({
      depthwise: convBn(c, 3, { stride, groups: c, padding, ...style }),
      pointwise: convBn(width, 1, style),
    })(x);
  };

const network = (large: Style, multiplier: number, imagenet: Published, cifar?: Published) => ({
  forms: published({ ...(cifar ? { cifar } : {}), imagenet }),
  write: ({ form, classes }: BuildParameters) => {
    const style = form === 'cifar' ? styles.cifar : large;
    const width = (c: number): number => Math.max(Math.floor(c * multiplier), 8);
    return seq({
      stem: convBn(width(32), 3, { stride: form === 'cifar' ? 1 : 2, ...style }),
      blocks: seq(...units.map(([c, stride]) => separable(style, width(c), stride))),
      pool: globalAvgPool(),
      dropout: form === 'cifar' ? undefined : dropout(0.001),
      fc: linear(classes),
    });
  },
});

export default defineFamily(
  {
    family: 'MobileNet',
    paper: 'MobileNets: Efficient convolutional neural networks for mobile vision applications',
    year: 2017,
  },
  {
    // width multiplier; ImageNet and CIFAR: parameters, multiply-adds in millions, accuracy (TF-slim's)
    mobilenet_v1: network(tensorflow, 1, [4_231_976, 568.74, 0.709], [3_217_226, 46.35]),
    mobilenet_v1_x0_75: network(tensorflow, 0.75, [2_585_560, 325.4, 0.684], [1_824_250, 26.51]),
    mobilenet_v1_x0_5: network(tensorflow, 0.5, [1_331_592, 149.5, 0.633], [823_722, 12.17]),
    mobilenet_v1_x0_25: network(tensorflow, 0.25, [470_072, 41.03, 0.498], [215_642, 3.33]),
    mobilenet_v1_symmetric: network(symmetric, 1, [4_231_976, 568.74]),
    mobilenet_v1_symmetric_x0_75: network(symmetric, 0.75, [2_585_560, 325.4]),
    mobilenet_v1_symmetric_x0_5: network(symmetric, 0.5, [1_331_592, 149.5]),
    mobilenet_v1_symmetric_x0_25: network(symmetric, 0.25, [470_072, 41.03]),
  },
);
