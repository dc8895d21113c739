// AlexNet with one tower; that with two has no usual file in PyTorch.

import { imagenetPictures, type Layout } from './layout.js';

const features = [0, 3, 6, 8, 10];
const classifier = [1, 4, 6];

export const alexnetLayouts: readonly Layout[] = [
  {
    layout: 'torchvision',
    networks: ['alexnet'],
    form: 'imagenet',
    rules: [
      [/^conv(\d)$/, (_, n) => `features.${features[Number(n) - 1]}`],
      [/^fc(\d)$/, (_, n) => `classifier.${classifier[Number(n) - 6]}`],
    ],
    preprocessing: imagenetPictures({ resize: 256 }),
  },
];
