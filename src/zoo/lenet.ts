/**
 * LeNet-5. LeCun, Bottou, Bengio & Haffner 1998, Gradient-based learning applied to document recognition, section II.
 * As commonly taught: C3 sees all maps of S2, the subsampling layers have no parameters, the output is linear.
 */

import { avgPool, conv2d, flatten, linear, seq, tanh } from '../layers/index.js';
import { defineFamily } from './zoo.js';

export default defineFamily(
  { family: 'LeNet', paper: 'Gradient-based learning applied to document recognition', year: 1998 },
  {
    lenet5: {
      forms: { cifar: { input: [28, 28, 1], classes: 10, params: 61_706, multiplyAddsMillions: 0.42 } },
      write: ({ classes }) =>
        seq({
          c1: conv2d(6, 5, { padding: 2 }),
          tanh1: tanh(),
          s2: avgPool(2),
          c3: conv2d(16, 5, { padding: 'valid' }),
          tanh3: tanh(),
          s4: avgPool(2),
          flatten: flatten(),
          c5: linear(120),
          tanh5: tanh(),
          f6: linear(84),
          tanh6: tanh(),
          output: linear(classes),
        }),
    },
  },
);
