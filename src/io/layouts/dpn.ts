// Dual path networks: the names of Cadene and timm, which differ in the last layer, and kuangliu's.

import { cifarPictures, type Layout, type PublishedPreprocessing } from './layout.js';

const imagenet: Layout['rules'] = [
  [/^stem\./, 'features.conv1_1.'],
  [/^stage(\d)\.(\d+)\./, (_, stage, unit) => `features.conv${Number(stage) + 1}_${Number(unit) + 1}.`],
  [/\.conv1\./, '.c1x1_a.'],
  [/\.conv2\./, '.c3x3_b.'],
  [/\.conv3\./, '.c1x1_c.'],
  // The name says the stride.
  [/\.conv2_1\.project\./, '.conv2_1.c1x1_w_s1.'],
  [/\.project\./, '.c1x1_w_s2.'],
  [/^bn$/, 'features.conv5_bn_ac.bn'],
];

const networks = [68, 92, 98, 107, 131].map(depth => `dpn${depth}`);
const convolutions = [[/^fc$/, 1]] as const;

/** cypw's, of channels from 0 to 255: the mean 124, 117, 104, then times 0.0167. */
const std = 1 / (0.0167 * 255);
const preprocessing: PublishedPreprocessing = {
  resize: 256,
  crop: 224,
  interpolation: 'cubic',
  mean: [124 / 255, 117 / 255, 104 / 255],
  std: [std, std, std],
};

export const dpnLayouts: readonly Layout[] = [
  {
    layout: 'cadene',
    networks,
    form: 'imagenet',
    rules: [...imagenet, [/^fc$/, 'last_linear']],
    convolutions,
    preprocessing,
  },
  {
    layout: 'timm',
    networks,
    form: 'imagenet',
    rules: [...imagenet, [/^fc$/, 'classifier']],
    convolutions,
    preprocessing,
  },
  {
    layout: 'kuangliu',
    networks: ['dpn26', 'dpn92'],
    form: 'cifar',
    rules: [
      [/^stem\.(conv|bn)$/, '$11'],
      [/^stage(\d)\.(\d+)\.paths\./, 'layer$1.$2.'],
      [/\.conv(\d)\.(conv|bn)$/, '.$2$1'],
      [/\.project\.conv$/, '.shortcut.0'],
      [/\.project\.bn$/, '.shortcut.1'],
      [/^fc$/, 'linear'],
    ],
    preprocessing: cifarPictures.kuangliu,
  },
];
