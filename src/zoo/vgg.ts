/**
 * VGG. Simonyan & Zisserman 2014, Very deep convolutional networks for large-scale image recognition, table 1:
 * columns A, B, D, E. Widths as there, 'M' a max pool. The batch-norm forms keep the convolutions' biases, as
 * torchvision does. The CIFAR form (kuangliu/pytorch-cifar) ends in one linear layer.
 */

import {
  adaptiveAvgPool,
  batchNorm,
  conv2d,
  dropout,
  flatten,
  globalAvgPool,
  linear,
  maxPool,
  relu,
  seq,
} from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { type BuildParameters, defineFamily, type Published, published } from './zoo.js';

const columns = {
  vgg11: [64, 'M', 128, 'M', 256, 256, 'M', 512, 512, 'M', 512, 512, 'M'],
  vgg13: [64, 64, 'M', 128, 128, 'M', 256, 256, 'M', 512, 512, 'M', 512, 512, 'M'],
  vgg16: [64, 64, 'M', 128, 128, 'M', 256, 256, 256, 'M', 512, 512, 512, 'M', 512, 512, 512, 'M'],
  vgg19: [64, 64, 'M', 128, 128, 'M', 256, 256, 256, 256, 'M', 512, 512, 512, 512, 'M', 512, 512, 512, 512, 'M'],
} as const;

const init = 'kaiming_fan_out';

const features = (column: readonly (number | 'M')[], norm: boolean): Block =>
  seq(
    ...column.map(width =>
      width === 'M'
        ? maxPool(2)
        : seq({ conv: conv2d(width, 3, { init }), bn: norm ? batchNorm() : undefined, relu: relu() }),
    ),
  );

const classifier = ({ form, classes }: BuildParameters): Block =>
  form === 'cifar'
    ? seq({ pool: globalAvgPool(), fc: linear(classes) })
    : seq({
        pool: adaptiveAvgPool(7),
        flatten: flatten(),
        fc1: linear(4096, { init: 'normal_0.01' }),
        relu1: relu(),
        dropout1: dropout(0.5),
        fc2: linear(4096, { init: 'normal_0.01' }),
        relu2: relu(),
        dropout2: dropout(0.5),
        fc3: linear(classes, { init: 'normal_0.01' }),
      });

const network = (column: keyof typeof columns, norm: boolean, cifar: Published, imagenet: Published) => ({
  forms: published({ cifar, imagenet }),
  write: (parameters: BuildParameters) =>
    seq({ features: features(columns[column], norm), classifier: classifier(parameters) }),
});

export default defineFamily(
  { family: 'VGG', paper: 'Very deep convolutional networks for large-scale image recognition', year: 2014 },
  {
    vgg11: network('vgg11', false, [9_225_610, 152.77], [132_863_336, 7609.09, 0.6902]),
    vgg13: network('vgg13', false, [9_410_122, 228.27], [133_047_848, 11308.47, 0.6993]),
    vgg16: network('vgg16', false, [14_719_818, 313.2], [138_357_544, 15470.26, 0.7159]),
    vgg19: network('vgg19', false, [20_029_514, 398.14], [143_667_240, 19632.06, 0.7238]),
    vgg11_bn: network('vgg11', true, [9_231_114, 152.77], [132_868_840, 7609.09, 0.7037]),
    vgg13_bn: network('vgg13', true, [9_416_010, 228.27], [133_053_736, 11308.47, 0.7159]),
    vgg16_bn: network('vgg16', true, [14_728_266, 313.2, 0.9264], [138_365_992, 15470.26, 0.7336]),
    vgg19_bn: network('vgg19', true, [20_040_522, 398.14], [143_678_248, 19632.06, 0.7422]),
  },
);
