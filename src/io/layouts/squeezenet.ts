// SqueezeNet. torchvision numbers layers, fire modules and pools one after the other.

import { cifarPictures, imagenetPictures, type Layout } from './layout.js';

/** Places of fire2 to fire9 in `features`. */
const places = { squeezenet1_0: [3, 4, 5, 7, 8, 9, 10, 12], squeezenet1_1: [3, 4, 6, 7, 9, 10, 11, 12] };

export const squeezenetLayouts: readonly Layout[] = [
  ...Object.entries(places).map(
    ([name, fires]): Layout => ({
      layout: 'torchvision',
      networks: [name],
      form: 'imagenet',
      rules: [
        [/^conv1$/, 'features.0'],
        [/^fire(\d)\.(?:expand\.)?(\w+)\.conv$/, (_, n, part) => `features.${fires[Number(n) - 2]}.${part}`],
        [/^conv10$/, 'classifier.1'],
      ],
      preprocessing: imagenetPictures({ resize: 256 }),
    }),
  ),
  {
    layout: 'weiaicunzai',
    networks: ['squeezenet1_0'],
    form: 'cifar',
    rules: [
      [/^conv1\./, 'stem.'],
      [/\.expand\.expand(\dx\d)\./, '.expand_$1.'],
      [/\.conv$/, '.0'],
      [/\.bn$/, '.1'],
    ],
    preprocessing: cifarPictures.weiaicunzai,
  },
];
