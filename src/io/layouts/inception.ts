// GoogLeNet and Inception-v3.

import { cifarPictures, imagenetPictures, type Layout, preparations, type Rule } from './layout.js';

/** `prefix` and the place in a sequence of a convolution, or of the norm behind it. */
const placed =
  (prefix: string, place: number) =>
  (_: string, kind: string): string =>
    `${prefix}${kind === 'bn' ? place + 1 : place}`;

/** The last modules of Inception-v3, whose branches end in siblings. */
const siblings: readonly Rule[] = [
  [/\.3x3\.conv\.(conv|bn)$/, '.3x3_1.$1'],
  [/\.3x3dbl\.reduce\./, '.3x3dbl_1.'],
  [/\.3x3dbl\.conv\.(conv|bn)$/, '.3x3dbl_2.$1'],
  [/\.3x3\.split\.1x3\./, '.3x3_2a.'],
  [/\.3x3\.split\.3x1\./, '.3x3_2b.'],
  [/\.3x3dbl\.split\.1x3\./, '.3x3dbl_3a.'],
  [/\.3x3dbl\.split\.3x1\./, '.3x3dbl_3b.'],
];

const stem: readonly Rule[] = [
  [/^conv1\./, 'Conv2d_1a_3x3.'],
  [/^conv2\./, 'Conv2d_2a_3x3.'],
  [/^conv3\./, 'Conv2d_2b_3x3.'],
  [/^conv4\./, 'Conv2d_3b_1x1.'],
  [/^conv5\./, 'Conv2d_4a_3x3.'],
  [/^side6\.aux\.conv1\./, 'AuxLogits.conv0.'],
  [/^side6\.aux\.conv2\./, 'AuxLogits.conv1.'],
  [/^side6\.aux\./, 'AuxLogits.'],
];

const inceptionV3: Pick<Layout, 'networks' | 'form' | 'rules'> = {
  networks: ['inception_v3'],
  form: 'imagenet',
  rules: [
    ...stem,
    [/^mixed(\d)\.(\w)\./, 'Mixed_$1$2.'],
    ...siblings,
    [/^Mixed_7a\.7x7\./, 'Mixed_7a.7x7x3.'],
    [/\.(\dx\d(?:dbl|x3)?)\.(\d)\./, (_, branch, i) => `.${branch}_${Number(i) + 1}.`],
    [/\.(\dx\d)/, '.branch$1'],
    [/\.pool\.proj\./, '.branch_pool.'],
  ],
};

export const inceptionLayouts: readonly Layout[] = [
  {
    layout: 'torchvision',
    networks: ['googlenet'],
    form: 'imagenet',
    rules: [
      [/^stem\./, ''],
      [/^side4[ad]\./, ''],
      [/\.1x1\./, '.branch1.'],
      [/\.3x3\.reduce\./, '.branch2.0.'],
      [/\.3x3\.conv\./, '.branch2.1.'],
      [/\.5x5\.reduce\./, '.branch3.0.'],
      [/\.5x5\.conv\./, '.branch3.1.'],
      [/\.pool\.proj\./, '.branch4.1.'],
    ],
    // The published weights are TensorFlow's: torchvision turns its own preparation into that inside the network.
    preprocessing: imagenetPictures({ resize: 256, ...preparations.tf }),
  },
  {
    layout: 'kuangliu',
    networks: ['googlenet'],
    form: 'cifar',
    rules: [
      [/^stem\.conv1\.(conv|bn)$/, placed('pre_layers.', 0)],
      [/^side4[ad]\./, ''],
      [/^inception(\d)(\w)\./, '$2$1.'],
      [/1x1\.(conv|bn)$/, placed('b1.', 0)],
      [/3x3\.reduce\.(conv|bn)$/, placed('b2.', 0)],
      [/3x3\.conv\.(conv|bn)$/, placed('b2.', 3)],
      [/5x5\.reduce\.(conv|bn)$/, placed('b3.', 0)],
      [/5x5\.conv\.0\.(conv|bn)$/, placed('b3.', 3)],
      [/5x5\.conv\.1\.(conv|bn)$/, placed('b3.', 6)],
      [/pool\.proj\.(conv|bn)$/, placed('b4.', 1)],
      [/^fc$/, 'linear'],
    ],
    preprocessing: cifarPictures.kuangliu,
  },
  {
    ...inceptionV3,
    layout: 'torchvision',
    preprocessing: imagenetPictures({ resize: 342, crop: 299, ...preparations.tf }),
  },
  {
    ...inceptionV3,
    layout: 'timm',
    preprocessing: imagenetPictures({ resize: 341, crop: 299, interpolation: 'cubic', ...preparations.tf }),
  },
  {
    layout: 'weiaicunzai',
    networks: ['inception_v3'],
    form: 'cifar',
    rules: [
      ...stem,
      [/^mixed5\.(\w)\.3x3dbl\./, 'Mixed_5$1.3x3.'],
      [/^mixed5\.(\w)\.pool\.proj\./, 'Mixed_5$1.branchpool.1.'],
      [/^mixed(\d)\.(\w)\./, 'Mixed_$1$2.'],
      ...siblings,
      [/\.(\dx\d)dbl/, '.$1stack'],
      [/\.(\dx\d)/, '.branch$1'],
      [/\.pool\.proj\./, '.branch_pool.1.'],
      [/^fc$/, 'linear'],
    ],
    preprocessing: cifarPictures.weiaicunzai,
  },
];
