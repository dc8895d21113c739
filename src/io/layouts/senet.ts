// SENet: the authors' networks as Cadene (and timm, as legacy_…) names them, timm's own SE-ResNet-50, and kuangliu's.

import { cifarPictures, imagenetPictures, type Layout } from './layout.js';

const bottlenecks: Layout['rules'] = [
  [/^stage(\d)\.(\d+)\.sum\./, 'layer$1.$2.'],
  [/\.conv(\d)\.(conv|bn)$/, '.$2$1'],
  [/\.shortcut\.conv$/, '.downsample.0'],
  [/\.shortcut\.bn$/, '.downsample.1'],
];
const convolutions: Layout['convolutions'] = [[/\.gate\.fc\d$/, 1]];

const cadene: Omit<Layout, 'layout'> = {
  networks: [
    ...['se_resnet50', 'se_resnet101', 'se_resnet152'],
    ...['se_resnext50_32x4d', 'se_resnext101_32x4d', 'senet154'],
  ],
  form: 'imagenet',
  rules: [
    [/^conv(\d)\.(conv|bn)$/, 'layer0.$2$1'],
    ...bottlenecks,
    [/\.se\.gate\./, '.se_module.'],
    [/^fc$/, 'last_linear'],
  ],
  convolutions,
  preprocessing: imagenetPictures({ resize: 256 }),
};

export const senetLayouts: readonly Layout[] = [
  { layout: 'cadene', ...cadene },
  { layout: 'timm', ...cadene },
  {
    layout: 'timm',
    networks: ['se_resnet50_v1_5'],
    form: 'imagenet',
    rules: [[/^conv1\.(conv|bn)$/, '$11'], ...bottlenecks, [/\.se\.gate\./, '.se.']],
    convolutions,
    preprocessing: imagenetPictures({ resize: 235, interpolation: 'cubic' }),
  },
  {
    layout: 'kuangliu',
    networks: ['se_resnet18'],
    form: 'cifar',
    rules: [
      [/^conv1\.(conv|bn)$/, '$11'],
      [/^stage/, 'layer'],
      [/\.branch\./, '.'],
      [/\.se\.gate\./, '.'],
      [/\.shortcut$/, '.shortcut.0'],
      [/^fc$/, 'linear'],
    ],
    convolutions,
    preprocessing: cifarPictures.kuangliu,
  },
];
