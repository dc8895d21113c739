// MobileNet v1 and v2.

import { cifarPictures, imagenetPictures, type Layout, preparations } from './layout.js';

const widths = ['', '_x0_75', '_x0_5', '_x0_25'];
const v1 = widths.map(width => `mobilenet_v1${width}`);
const symmetricV1 = widths.map(width => `mobilenet_v1_symmetric${width}`);
const v2 = ['', '_x0_25', '_x0_35', '_x0_5', '_x0_75', '_x1_3', '_x1_4'].map(width => `mobilenet_v2${width}`);

const kuangliuV1: Layout['rules'] = [
  [/^stem\.conv$/, 'conv1'],
  [/^stem\.bn$/, 'bn1'],
  [/^blocks\.(\d+)\.depthwise\.(conv|bn)$/, 'layers.$1.$21'],
  [/^blocks\.(\d+)\.pointwise\.(conv|bn)$/, 'layers.$1.$22'],
  [/^fc$/, 'linear'],
];

/** The stage and the place in it of each block of v2. */
const stages = [1, 2, 3, 4, 3, 3, 1].flatMap((repeats, stage) =>
  Array.from({ length: repeats }, (_, i) => `blocks.${stage}.${i}`),
);

/** The stage and the place in it of each block of v1. */
const stagesV1 = [1, 2, 2, 6, 2].flatMap((repeats, stage) =>
  Array.from({ length: repeats }, (_, i) => `blocks.${stage}.${i}`),
);

export const mobilenetLayouts: readonly Layout[] = [
  { layout: 'kuangliu', networks: v1, form: 'cifar', rules: kuangliuV1, preprocessing: cifarPictures.kuangliu },
  // TensorFlow's weights under kuangliu's names.
  {
    layout: 'kuangliu',
    networks: v1,
    form: 'imagenet',
    rules: kuangliuV1,
    preprocessing: imagenetPictures({ resize: 256, ...preparations.tf }),
  },
  {
    layout: 'timm',
    networks: symmetricV1,
    form: 'imagenet',
    rules: [
      [/^stem\.conv$/, 'conv_stem'],
      [/^stem\.bn$/, 'bn1'],
      [/^fc$/, 'classifier'],
      [/^blocks\.(\d+)(?=\.[dp]\w+\.)/, (_, block) => stagesV1[Number(block)]!],
      [/\.depthwise\.conv$/, '.conv_dw'],
      [/\.depthwise\.bn$/, '.bn1'],
      [/\.pointwise\.conv$/, '.conv_pw'],
      [/\.pointwise\.bn$/, '.bn2'],
    ],
    preprocessing: imagenetPictures({ resize: 256, interpolation: 'cubic', ...preparations.tf }),
  },
  {
    layout: 'torchvision',
    networks: v2,
    form: 'imagenet',
    rules: [
      [/^stem\.conv$/, 'features.0.0'],
      [/^stem\.bn$/, 'features.0.1'],
      [/^head\.conv$/, 'features.18.0'],
      [/^head\.bn$/, 'features.18.1'],
      [/^fc$/, 'classifier.1'],
      // The first block does not expand.
      [/^blocks\.0\.depthwise\./, 'features.1.conv.0.'],
      [/^blocks\.0\.project\.conv$/, 'features.1.conv.1'],
      [/^blocks\.0\.project\.bn$/, 'features.1.conv.2'],
      [/^blocks\.(\d+)\./, (_, block) => `features.${Number(block) + 1}.conv.`],
      [/\.expand\./, '.0.'],
      [/\.depthwise\./, '.1.'],
      [/\.project\.conv$/, '.2'],
      [/\.project\.bn$/, '.3'],
      [/\.conv$/, '.0'],
      [/\.bn$/, '.1'],
    ],
    preprocessing: imagenetPictures({ resize: 256 }),
  },
  {
    layout: 'timm',
    networks: v2,
    form: 'imagenet',
    rules: [
      [/^stem\.conv$/, 'conv_stem'],
      [/^stem\.bn$/, 'bn1'],
      [/^head\.conv$/, 'conv_head'],
      [/^head\.bn$/, 'bn2'],
      [/^fc$/, 'classifier'],
      [/^blocks\.0\.depthwise\.conv$/, 'blocks.0.0.conv_dw'],
      [/^blocks\.0\.depthwise\.bn$/, 'blocks.0.0.bn1'],
      [/^blocks\.0\.project\.conv$/, 'blocks.0.0.conv_pw'],
      [/^blocks\.0\.project\.bn$/, 'blocks.0.0.bn2'],
      [/^blocks\.(\d+)(?=\.[edp]\w+\.)/, (_, block) => stages[Number(block)]!],
      [/\.expand\.conv$/, '.conv_pw'],
      [/\.expand\.bn$/, '.bn1'],
      [/\.depthwise\.conv$/, '.conv_dw'],
      [/\.depthwise\.bn$/, '.bn2'],
      [/\.project\.conv$/, '.conv_pwl'],
      [/\.project\.bn$/, '.bn3'],
    ],
    preprocessing: imagenetPictures({ resize: 256, interpolation: 'cubic' }),
  },
  {
    layout: 'kuangliu',
    networks: v2,
    form: 'cifar',
    rules: [
      [/^stem\.(conv|bn)$/, '$11'],
      [/^head\.(conv|bn)$/, '$12'],
      [/^fc$/, 'linear'],
      [/^blocks\./, 'layers.'],
      [/\.expand\.(conv|bn)$/, '.$11'],
      [/\.depthwise\.(conv|bn)$/, '.$12'],
      [/\.project\.(conv|bn)$/, '.$13'],
      [/\.shortcut\.conv$/, '.shortcut.0'],
      [/\.shortcut\.bn$/, '.shortcut.1'],
    ],
    preprocessing: cifarPictures.kuangliu,
  },
];
