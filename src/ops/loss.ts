// Probabilities, losses and what is counted. A loss gives its value and its gradient in one pass.

import { BATCH, fixed, rows, sameShape, showType } from '../graph/graph.js';
import { defineOp, int, real, shapeError } from '../graph/op.js';
import { scale } from './arithmetic.js';

/** exp(x) / Σ exp(x) over the channels. */
export const softmax = defineOp({
  name: 'softmax',
  attributes: {},
  infer: ([x]) => [x!],
  gradient: ({ outputs, dy }) => softmaxGrad([dy[0]!, outputs[0]!]),
});
export const softmaxGrad = defineOp({ name: 'softmax_grad', attributes: {}, infer: ([dy]) => [dy!] });

/** x − log Σ exp(x) over the channels. */
export const logSoftmax = defineOp({
  name: 'log_softmax',
  attributes: {},
  infer: ([x]) => [x!],
  gradient: ({ outputs, dy }) => logSoftmaxGrad([dy[0]!, outputs[0]!]),
});
export const logSoftmaxGrad = defineOp({ name: 'log_softmax_grad', attributes: {}, infer: ([dy]) => [dy!] });

/**
 * Target probabilities [n, classes] from labels[n], partner labels[n] and mix[n], the weight of the own label
 * (mixup, Zhang et al. 2017; cutmix, Yun et al. 2019), smoothed by `smoothing` (Szegedy et al. 2015, section 7).
 */
export const softTargets = defineOp({
  name: 'soft_targets',
  attributes: { classes: int(1, 1), smoothing: real(0) },
  infer: (_, a) => [rows([a.classes])],
});

/** Cross-entropy of logits[n,k] against target probabilities[n,k]: the mean loss[1], each row's loss[n], dlogits. */
export const softmaxCrossEntropy = defineOp({
  name: 'softmax_cross_entropy',
  attributes: {},
  infer: ([logits, targets], _, where) => {
    if (!sameShape(logits!.shape, targets!.shape)) {
      throw shapeError(where, `targets of ${showType(logits!)}`, showType(targets!), 'check the number of classes');
    }
    return [fixed([1]), { dtype: 'f32', count: BATCH, shape: [] }, logits!];
  },
  gradient: ({ outputs, dy }) => [scale([outputs[2]!, dy[0]!])[0], undefined],
});

const elementwiseLoss = <const N extends string>(name: N) =>
  defineOp({
    name,
    attributes: {},
    infer: ([x, t], _, where) => {
      if (!sameShape(x!.shape, t!.shape)) throw shapeError(where, `targets of ${showType(x!)}`, showType(t!));
      return [fixed([1]), x!];
    },
    gradient: ({ outputs, dy }) => [scale([outputs[1]!, dy[0]!])[0], undefined],
  });

/** Mean of (x − t)² over all elements. */
export const mseLoss = elementwiseLoss('mse_loss');
/** Mean binary cross-entropy of logits against probabilities in [0, 1]. */
export const binaryCrossEntropy = elementwiseLoss('binary_cross_entropy');

/** 1 for each row whose label is among the k largest logits (of equal ones, the lower index first), else 0. */
export const correct = defineOp({
  name: 'correct',
  attributes: { k: int(1, 1) },
  infer: () => [{ dtype: 'i32', count: BATCH, shape: [] }],
});
