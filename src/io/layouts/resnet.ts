// ResNet and those written as it is: ResNeXt, wide ResNet.

import { type Layout, preparations } from './layout.js';

const stages: Layout['rules'] = [[/^stage(\d)\.(\d+)\.sum\./, 'layer$1.$2.']];

export const resnetLayouts: readonly Layout[] = [
  {
    layout: 'torchvision',
    networks: [
      ...['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'],
      ...['wide_resnet50_2', 'resnext50_32x4d', 'resnext101_32x8d', 'resnext101_64x4d'],
    ],
    form: 'imagenet',
    rules: [
      ...stages,
      [/^stem\.conv\.conv$/, 'conv1'],
      [/^stem\.conv\.bn$/, 'bn1'],
      [/\.shortcut\.conv$/, '.downsample.0'],
      [/\.shortcut\.bn$/, '.downsample.1'],
    ],
    preprocessing: { resize: 256, crop: 224, interpolation: 'linear', ...preparations.torch },
  },
];
