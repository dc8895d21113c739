// NASNet-A: Cadene's names, which timm keeps. The form for CIFAR has no usual file in PyTorch.

import { type Layout, preparations } from './layout.js';

// Cells are numbered as if each stage had six.
const rules: Layout['rules'] = [
  [/^stem(\d)\./, 'cell_stem_$1.'],
  [/^reduction(\d)\./, 'reduction_cell_$1.'],
  [/^stage(\d)\.(\d+)\./, (_, stage, cell) => `cell_${6 * Number(stage) + Number(cell)}.`],
  [/\.input\./, '.conv_1x1.'],
  [/\.previous\./, '.conv_prev_1x1.'],
  [/\.reduced\.path(\d)(\.conv)?$/, '.path_$1.conv'],
  [/\.reduced\.bn$/, '.final_path_bn'],
  [/\.sum(\d)\.(left|right)\./, '.comb_iter_$1_$2.'],
  [/\.separable(\d)\.(depth|point)wise$/, '.separable_$1.$2wise_conv2d'],
  [/\.bn(\d)$/, '.bn_sep_$1'],
  [/^fc$/, 'last_linear'],
];

export const nasnetLayouts: readonly Layout[] = [
  {
    layout: 'timm',
    networks: ['nasnet_a_large_timm'],
    form: 'imagenet',
    rules,
    preprocessing: { resize: 363, crop: 331, interpolation: 'cubic', ...preparations.tf },
  },
  {
    layout: 'cadene',
    networks: ['nasnet_a_large'],
    form: 'imagenet',
    rules,
    background: true,
    preprocessing: { resize: 354, crop: 331, interpolation: 'linear', ...preparations.tf },
  },
  {
    layout: 'cadene',
    networks: ['nasnet_a_mobile'],
    form: 'imagenet',
    rules,
    preprocessing: { resize: 256, crop: 224, interpolation: 'linear', ...preparations.tf },
  },
];
