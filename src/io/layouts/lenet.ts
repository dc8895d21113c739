// LeNet.

import { cifarPictures, type Layout } from './layout.js';

export const lenetLayouts: readonly Layout[] = [
  {
    layout: 'kuangliu',
    networks: ['lenet'],
    form: 'cifar',
    rules: [
      [/^c1$/, 'conv1'],
      [/^c3$/, 'conv2'],
      [/^c5$/, 'fc1'],
      [/^f6$/, 'fc2'],
      [/^output$/, 'fc3'],
    ],
    preprocessing: cifarPictures.kuangliu,
  },
];
