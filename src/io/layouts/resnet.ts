// ResNet and those written as it is: ResNeXt, wide ResNet.

import { cifarPictures, imagenetPictures, type Layout } from './layout.js';

const resnets = ['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'];

const wide = ['wide_resnet50_2', 'wide_resnet101_2'];
const others = [...wide, 'resnext50_32x4d', 'resnext101_32x4d', 'resnext101_32x8d', 'resnext101_64x4d'];

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
    networks: ['wide_resnet50_2', 'resnext101_32x4d'],
    form: 'imagenet',
    rules: torchvision,
    preprocessing: imagenetPictures({ resize: 256, interpolation: 'cubic' }),
  },
  {
    // Places in a network that was converted from Torch.
    layout: 'cadene',
    networks: ['resnext101_32x4d', 'resnext101_64x4d'],
    form: 'imagenet',
    rules: [
      [/^stem\.conv\.conv$/, 'features.0'],
      [/^stem\.conv\.bn$/, 'features.1'],
      [/^stage(\d)\.(\d+)\.sum\./, (_, stage, unit) => `features.${Number(stage) + 3}.${unit}.0.`],
      [/\.conv([12])$/, (_, n) => `.0.0.${3 * Number(n) - 3}`],
      [/\.bn([12])$/, (_, n) => `.0.0.${3 * Number(n) - 2}`],
      [/\.conv3$/, '.0.1'],
      [/\.bn3$/, '.0.2'],
      [/\.shortcut\.conv$/, '.1.0'],
      [/\.shortcut\.bn$/, '.1.1'],
      [/^fc$/, 'last_linear'],
    ],
    preprocessing: imagenetPictures({ resize: 256 }),
  },
  // torchvision's network with the stem replaced, as many write it.
  { layout: 'torchvision', networks: [...resnets, ...others], form: 'cifar', rules: torchvision },
  {
    layout: 'kuangliu',
    networks: [...resnets, ...['2x64d', '4x64d', '8x64d', '32x4d'].map(shape => `resnext29_${shape}_kuangliu`)],
    form: 'cifar',
    rules: kuangliu,
    preprocessing: cifarPictures.kuangliu,
  },
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
