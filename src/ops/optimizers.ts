// Updates of state. Each is one step for all parameters of a group; the formulas are PyTorch's.

import { fixed } from '../graph/graph.js';
import { defineOp, flag, int, real } from '../graph/op.js';

/** Positions of an operand pattern that repeats after `head` scalars: which of each group's are written. */
const written =
  (head: number, group: number, ...which: number[]) =>
  (_: unknown, inputs: number): number[] => {
    const out: number[] = [];
    for (let i = head; i < inputs; i += group) for (const w of which) out.push(i + w);
    return out;
  };

/**
 * lr decay momentum, then p g m a parameter: g += decay·p; m = momentum·m + (1 − dampening)·g; p −= lr·(m, or
 * g + momentum·m). With dampening, which spares the first step, a fourth scalar is the step, from 1.
 */
export const sgd = defineOp({
  name: 'sgd',
  attributes: { nesterov: flag(false), dampening: real(0) },
  infer: () => [],
  updates: (a, inputs) => written(a.dampening === 0 ? 3 : 4, 3, 0, 2)(a, inputs),
});

/** lr decay beta1 beta2 epsilon step, then p g m v a parameter (Kingma & Ba 2014); decoupled: AdamW. */
export const adam = defineOp({
  name: 'adam',
  attributes: { decoupled: flag(false) },
  infer: () => [],
  updates: written(6, 4, 0, 2, 3),
});

/** lr decay alpha epsilon momentum, then p g v b a parameter (Tieleman & Hinton 2012); centered: p g v b a. */
export const rmsprop = defineOp({
  name: 'rmsprop',
  attributes: { centered: flag(false) },
  infer: () => [],
  updates: (a, inputs) => (a.centered ? written(5, 5, 0, 2, 3, 4) : written(5, 4, 0, 2, 3))(a, inputs),
});

/** decay, then (average, value) pairs: average = decay·average + (1 − decay)·value. */
export const ema = defineOp({ name: 'ema', attributes: {}, infer: () => [], updates: written(1, 2, 0) });

/** Euclidean norm over all inputs together, and whether all of their elements are finite (i32). */
export const globalNorm = defineOp({
  name: 'global_norm',
  attributes: {},
  infer: () => [fixed([1]), fixed([1], 'i32')],
});

/** 1 when every element of every input is finite. */
export const allFinite = defineOp({ name: 'all_finite', attributes: {}, infer: () => [fixed([1], 'i32')] });

/** min(1, max / (norm + 1e-6)) of norm[1], max[1]; 1 when max is 0. */
export const clipScale = defineOp({ name: 'clip_scale', attributes: {}, infer: () => [fixed([1])] });

/** s, then tensors: each is multiplied by s in place. */
export const scaleAll = defineOp({
  name: 'scale_all',
  attributes: {},
  infer: () => [],
  updates: written(1, 1, 0),
});

/**
 * index count, then P gradients, then P buffers [levels, size]: adds micro-batch `index` of `count` to a fixed binary
 * tree; after the last one the gradients hold the mean of all.
 */
export const accumulate = defineOp({
  name: 'accumulate',
  attributes: { parameters: int(1, 1) },
  infer: () => [],
  updates: (a, inputs) => Array.from({ length: inputs - 2 }, (_, i) => i + 2).slice(0, 2 * a.parameters),
});
