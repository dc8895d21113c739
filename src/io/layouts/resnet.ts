// ResNet and those written as it is: ResNeXt, wide ResNet.

import { cifarPictures, imagenetPictures, type Layout } from './layout.js';

const resnets = ['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'];

const others = ['wide_resnet50_2', 'wide_resnet101_2', 'resnext50_32x4d', 'resnext101_32x8d', 'resnext101_64x4d'];

const stages: Layout['rules'] = [
  [/^stage(\d)\.(\d+)\.sum\./, 'layer$1.$2.'],
  [/^stem\.(conv\.)?conv$/, 'conv1'],
  [/^stem\.(conv\.)?bn$/, 'bn1'],
];
const torchvision: Layout['rules'] = [
  ...stages,
  [/\.shortcut\.conv$/, '.downsample.0'],
  [/\.shortcut\.bn$/, '.downsample.1'],
];
const kuangliu: Layout['rules'] = [
  ...stages,
  [/\.shortcut\.conv$/, '.shortcut.0'],
  [/\.shortcut\.bn$/, '.shortcut.1'],
  [/^fc$/, 'linear'],
];
/** Where convolution and norm n stand in `residual_function`. */
const inBranch = (shift: number) => (_: string, n: string) => `.residual_function.${3 * (Number(n) - 1) + shift}`;

export const resnetLayouts: readonly Layout[] = [
  {
    layout: 'torchvision',
    networks: [...resnets, 'wide_resnet50_2', 'wide_resnet101_2', 'resnext50_32x4d', 'resnext101_32x8d'],
    form: 'imagenet',
    rules: torchvision,
    preprocessing: imagenetPictures({ resize: 256 }),
  },
  {
    layout: 'torchvision',
    networks: ['resnext101_64x4d'],
    form: 'imagenet',
    rules: torchvision,
    preprocessing: imagenetPictures({ resize: 232 }),
  },
  {
    layout: 'timm',
    networks: [...resnets, 'resnext50_32x4d', 'resnext101_64x4d'],
    form: 'imagenet',
    rules: torchvision,
    preprocessing: imagenetPictures({ resize: 235, interpolation: 'cubic' }),
  },
  {
    layout: 'timm',
    networks: ['wide_resnet50_2'],
    form: 'imagenet',
    rules: torchvision,
    preprocessing: imagenetPictures({ resize: 256, interpolation: 'cubic' }),
  },
  // torchvision's network with the stem replaced, as many write it.
  { layout: 'torchvision', networks: [...resnets, ...others], form: 'cifar', rules: torchvision },
  { layout: 'kuangliu', networks: resnets, form: 'cifar', rules: kuangliu, preprocessing: cifarPictures.kuangliu },
  {
    layout: 'weiaicunzai',
    networks: resnets,
    form: 'cifar',
    rules: [
      [/^stem\.conv$/, 'conv1.0'],
      [/^stem\.bn$/, 'conv1.1'],
      [/^stage(\d)\.(\d+)\.sum\./, (_, stage, unit) => `conv${Number(stage) + 1}_x.${unit}.`],
      [/\.conv(\d)$/, inBranch(0)],
      [/\.bn(\d)$/, inBranch(1)],
      [/\.shortcut\.conv$/, '.shortcut.0'],
      [/\.shortcut\.bn$/, '.shortcut.1'],
    ],
    preprocessing: cifarPictures.weiaicunzai,
  },
  {
    layout: 'akamaster',
    networks: [20, 32, 44, 56, 110, 1202].map(depth => `resnet${depth}`),
    form: 'cifar',
    rules: [...stages, [/^fc$/, 'linear']],
    preprocessing: cifarPictures.akamaster,
  },
];
