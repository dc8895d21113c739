/**
 * The GoogLeNet of Szegedy et al. 2014, Going deeper with convolutions, table 1 and section 5: real 5×5 convolutions,
 * biases, local response normalisation, no batch norm. What the paper leaves open is as in BVLC/caffe's replication,
 * whose accuracy is given: the normalisation's numbers, pools whose last window may hang over the end, biases from 0.2.
 */

import { conv2d, localResponseNorm, maxPool, relu, seq } from '../layers/index.js';
import { auxiliaryPool } from './blocks.js';
import { googlenet, googlenetPaper, type Style } from './googlenet.js';
import { defineFamily, published } from './zoo.js';

const conv: Style['conv'] = (width, kernel, options) =>
  seq({ conv: conv2d(width, kernel, { init: 'xavier_uniform', biasInit: 0.2, ...options }), relu: relu() });
const pool = maxPool(3, { stride: 2, ceil: true });
const norm = localResponseNorm({ size: 5, alpha: 1e-4, beta: 0.75, k: 1 });

const style: Style = {
  stem: {
    conv1: conv(64, 7, { stride: 2 }),
    pool1: pool,
    norm1: norm,
    conv2: conv(64, 1),
    conv3: conv(192, 3),
    norm2: norm,
    pool2: pool,
  },
  conv,
  conv5x5: width => conv(width, 5),
  pools: [pool, pool],
  auxiliaryPool,
  dropout: 0.4,
};

export default defineFamily(googlenetPaper, {
  googlenet_2014: {
    forms: published({ imagenet: [6_998_552, 1582.67, 0.687] }, { imagenet: 13_378_280 }),
    write: parameters => googlenet(style, parameters),
  },
});
