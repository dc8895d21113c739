// Dropout and its kin: masks keyed by (seed, step, sample, path), never by the order of nodes.

import { defineOp, type Gradients, int, oneOf } from '../graph/op.js';

/**
 * y = x · mask / (1 − rate). Inputs: x, rate[1], random i32[4] = seed (low, high), step, index of the first row.
 * `per` says what is dropped as a whole: elements (Srivastava et al. 2014), samples (stochastic depth, Huang et al.
 * 2016) or channels. Its gradient is itself.
 */
export const dropout = defineOp({
  name: 'dropout',
  attributes: { key: int(0, 0), per: oneOf('element', 'sample', 'channel') },
  infer: ([x]) => [x!],
  inPlace: [[0, 0]],
  gradient: ({ inputs, dy, attributes }): Gradients => [
    dropout([dy[0]!, inputs[1]!, inputs[2]!], attributes)[0],
    undefined,
    undefined,
  ],
});
