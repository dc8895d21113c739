// SE-ResNet: the authors' networks as Cadene (and timm, as legacy_seresnet) names them, and kuangliu's.

import { cifarPictures, imagenetPictures, type Layout } from './layout.js';

const cadene: Omit<Layout, 'layout'> = {
  networks: ['se_resnet50', 'se_resnet101', 'se_resnet152'],
  form: 'imagenet',
  rules: [
    [/^conv1\.(conv|bn)$/, 'layer0.$11'],
    [/^stage(\d)\.(\d+)\.sum\./, 'layer$1.$2.'],
    [/\.conv(\d)\.(conv|bn)$/, '.$2$1'],
    [/\.se\.gate\./, '.se_module.'],
    [/\.shortcut\.conv$/, '.downsample.0'],
    [/\.shortcut\.bn$/, '.downsample.1'],
    [/^fc$/, 'last_linear'],
  ],
  convolutions: [[/\.gate\.fc\d$/, 1]],
  preprocessing: imagenetPictures({ resize: 256 }),
};

export const seResnetLayouts: readonly Layout[] = [
  { layout: 'cadene', ...cadene },
  { layout: 'timm', ...cadene },
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
    convolutions: [[/\.gate\.fc\d$/, 1]],
    preprocessing: cifarPictures.kuangliu,
  },
];
