// ShuffleNet v1 and v2. The v2 of megvii-model/ShuffleNet-Series is another network: its left branches keep their width.

import { cifarPictures, imagenetPictures, type Layout } from './layout.js';

const v2 = ['0_5', '1_0', '1_5', '2_0'].map(width => `shufflenet_v2_x${width}`);

const torchvision: Layout['rules'] = [
  [/^(conv\d)\.conv$/, '$1.0'],
  [/^(conv\d)\.bn$/, '$1.1'],
  [/\.left\.depthwise\.conv$/, '.branch1.0'],
  [/\.left\.depthwise\.bn$/, '.branch1.1'],
  [/\.left\.project\.conv$/, '.branch1.2'],
  [/\.left\.project\.bn$/, '.branch1.3'],
  [/\.right\.(?:branch\.)?/, '.branch2.'],
  [/\.expand\.conv$/, '.0'],
  [/\.expand\.bn$/, '.1'],
  [/\.depthwise\.conv$/, '.3'],
  [/\.depthwise\.bn$/, '.4'],
  [/\.project\.conv$/, '.5'],
  [/\.project\.bn$/, '.6'],
];

/** The first stage is our second. */
const kuangliuStage: Layout['rules'][number] = [/^stage(\d)\./, (_, stage) => `layer${Number(stage) - 1}.`];

export const shufflenetLayouts: readonly Layout[] = [
  {
    layout: 'kuangliu',
    networks: ['shufflenet_v1_g2', 'shufflenet_v1_g3'],
    form: 'cifar',
    rules: [
      [/^conv1\.(conv|bn)$/, '$11'],
      kuangliuStage,
      [/\.branch\.reduce\.(conv|bn)$/, '.$11'],
      [/\.branch\.depthwise\.(conv|bn)$/, '.$12'],
      [/\.branch\.expand\.(conv|bn)$/, '.$13'],
      [/^fc$/, 'linear'],
    ],
    preprocessing: cifarPictures.kuangliu,
  },
  {
    layout: 'megvii',
    networks: ['g3', 'g8'].flatMap(groups =>
      ['0_5', '1_0', '1_5', '2_0'].map(scale => `shufflenet_v1_${groups}_x${scale}`),
    ),
    form: 'imagenet',
    rules: [
      [/^conv1\.conv$/, 'first_conv.0'],
      [/^conv1\.bn$/, 'first_conv.1'],
      [/^stage2\.(\d+)\.branch\./, 'features.$1.'],
      [/^stage3\.(\d+)\.branch\./, (_, unit) => `features.${Number(unit) + 4}.`],
      [/^stage4\.(\d+)\.branch\./, (_, unit) => `features.${Number(unit) + 12}.`],
      [/\.reduce\.conv$/, '.branch_main_1.0'],
      [/\.reduce\.bn$/, '.branch_main_1.1'],
      [/\.depthwise\.conv$/, '.branch_main_1.3'],
      [/\.depthwise\.bn$/, '.branch_main_1.4'],
      [/\.expand\.conv$/, '.branch_main_2.0'],
      [/\.expand\.bn$/, '.branch_main_2.1'],
      [/^fc$/, 'classifier.0'],
    ],
  },
  {
    layout: 'torchvision',
    networks: v2.slice(0, 2),
    form: 'imagenet',
    rules: torchvision,
    preprocessing: imagenetPictures({ resize: 256 }),
  },
  {
    layout: 'torchvision',
    networks: v2.slice(2),
    form: 'imagenet',
    rules: torchvision,
    preprocessing: imagenetPictures({ resize: 232 }),
  },
  {
    layout: 'kuangliu',
    networks: v2,
    form: 'cifar',
    rules: [
      [/^conv1\.(conv|bn)$/, '$11'],
      [/^conv5\.(conv|bn)$/, '$12'],
      kuangliuStage,
      [/\.left\.depthwise\.(conv|bn)$/, '.$11'],
      [/\.left\.project\.(conv|bn)$/, '.$12'],
      [/\.right\.expand\.(conv|bn)$/, '.$13'],
      [/\.right\.depthwise\.(conv|bn)$/, '.$14'],
      [/\.right\.project\.(conv|bn)$/, '.$15'],
      [/\.right\.branch\.expand\.(conv|bn)$/, '.$11'],
      [/\.right\.branch\.depthwise\.(conv|bn)$/, '.$12'],
      [/\.right\.branch\.project\.(conv|bn)$/, '.$13'],
      [/^fc$/, 'linear'],
    ],
    preprocessing: cifarPictures.kuangliu,
  },
];
