// Pre-activation ResNet; the paper's own depths have no usual file in PyTorch.

import { cifarPictures, type Layout } from './layout.js';

export const preactResnetLayouts: readonly Layout[] = [
  {
    layout: 'kuangliu',
    networks: [18, 34, 50, 101, 152].map(depth => `preact_resnet${depth}`),
    form: 'cifar',
    rules: [
      [/^stage/, 'layer'],
      [/\.shortcut$/, '.shortcut.0'],
      [/^fc$/, 'linear'],
    ],
    preprocessing: cifarPictures.kuangliu,
  },
];
