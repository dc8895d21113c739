/**
 * The network of Jordan 2024, 94% on CIFAR-10 in 3.29 seconds on a single GPU, section 3.1 and listing 4: a convolution
 * that the fast recipe whitens, three pairs of convolutions, each halving the resolution, no shortcuts. The whitening
 * pads by a pixel below and on the right, so that sides are 32, 16, 8 and 4 instead of 31, 15, 7 and 3: Winograd's
 * tiles of 4 are full, and the time is the same.
 */

import { batchNorm, conv2d, gelu, globalMaxPool, linear, maxPool, scaleBy, seq } from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { defineFamily, published } from './zoo.js';

/** Follows its batches quickly, and learns no scale. */
const norm = (): Block => batchNorm({ scale: false, momentum: 0.4, epsilon: 1e-12 });

const pair = (width: number): Block =>
  seq({
    conv1: conv2d(width, 3, { bias: false, init: 'partial_identity' }),
    pool: maxPool(2),
    norm1: norm(),
    act1: gelu(),
    conv2: conv2d(width, 3, { bias: false, init: 'partial_identity' }),
    norm2: norm(),
    act2: gelu(),
  });

const network = {
  forms: published({ cifar: [1_971_640, 146.57, 0.9401] }),
  write: ({ classes }: { classes: number }): Block =>
    seq({
      whiten: conv2d(24, 2, { padding: 'same', biasInit: 0 }),
      act: gelu(),
      pair1: pair(64),
      pair2: pair(256),
      pair3: pair(256),
      pool: globalMaxPool(),
      fc: linear(classes, { bias: false }),
      scale: scaleBy(1 / 9),
    }),
};

export default defineFamily(
  { family: 'Airbench', paper: '94% on CIFAR-10 in 3.29 seconds on a single GPU', year: 2024 },
  { airbench94: network },
);
