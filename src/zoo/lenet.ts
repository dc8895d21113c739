/**
 * LeNet-5. LeCun, Bottou, Bengio & Haffner 1998, Gradient-based learning applied to document recognition, section II.
 * As commonly taught: C3 sees all maps of S2, the subsampling layers have no parameters, the output is linear. `lenet` is
 * kuangliu/pytorch-cifar's for colour pictures of 32×32 pixels: no padding, ReLU, and the largest value in S2 and S4.
 */

import { avgPool, conv2d, flatten, linear, maxPool, relu, seq, tanh } from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { defineFamily, published } from './zoo.js';

const network =
  (padding: number, activation: Block, pool: Block) =>
  ({ classes }: { classes: number }): Block =>
    seq({
      c1: conv2d(6, 5, { padding }),
      act1: activation,
      s2: pool,
      c3: conv2d(16, 5, { padding: 'valid' }),
      act3: activation,
      s4: pool,
      flatten: flatten(),
      c5: linear(120),
      act5: activation,
      f6: linear(84),
      act6: activation,
      output: linear(classes),
    });

export default defineFamily(
  { family: 'LeNet', paper: 'Gradient-based learning applied to document recognition', year: 1998 },
  {
    lenet5: {
      forms: { cifar: { input: [28, 28, 1], classes: 10, params: 61_706, multiplyAddsMillions: 0.42 } },
      write: network(2, tanh(), avgPool(2)),
    },
    lenet: {
      forms: published({ cifar: [62_006, 0.65] }),
      write: network(0, relu(), maxPool(2)),
    },
  },
);
