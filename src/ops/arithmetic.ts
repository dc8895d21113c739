// Sums, products and copies: what gradients of everything else are built from.

import { BATCH, FIXED, fixed, sameShape, showType, type TensorType, type Value } from '../graph/graph.js';
import { defineOp, flag, type Gradients, list, real, shapeError, word } from '../graph/op.js';

const same = (inputs: readonly TensorType[], _: unknown, where: string): TensorType[] => {
  const [first, ...others] = inputs;
  for (const other of others) {
    if (!sameShape(first!.shape, other.shape) || first!.count !== other.count) {
      throw shapeError(
        where,
        `operands of one shape`,
        `${showType(first!)} and ${showType(other)}`,
        'make the branches end in the same height, width and channels',
      );
    }
  }
  return [first!];
};

const MOST_ADDENDS = 8;

/** y = act(a + b + …), 2 to 8 operands of one shape. */
export const add = defineOp({
  name: 'add',
  attributes: { activation: word('none') },
  infer: same,
  inPlace: [
    [0, 0],
    [0, 1],
  ],
  sums: true,
  takesActivation: true,
  gradient: ({ dy, outputs, inputs, attributes }): Gradients => {
    const dz = activationGradient(attributes.activation, dy[0]!, outputs[0]!);
    return inputs.map(() => dz);
  },
});

/** The sum of any number of values of one shape, in their order. */
export function sum(values: readonly Value[]): Value {
  const list = [...values];
  while (list.length > 1) list.unshift(add(list.splice(0, MOST_ADDENDS))[0]!);
  return list[0]!;
}

/** y = a · b, operands of one shape. */
export const multiply = defineOp({
  name: 'multiply',
  attributes: {},
  infer: same,
  inPlace: [[0, 0]],
  gradient: ({ inputs, dy, wants }): Gradients => [
    wants[0] ? multiply([dy[0]!, inputs[1]!])[0] : undefined,
    wants[1] ? multiply([dy[0]!, inputs[0]!])[0] : undefined,
  ],
});

/** y = x · s with a scalar s[1]; no gradient to s. */
export const scale = defineOp({
  name: 'scale',
  attributes: {},
  infer: ([x]) => [x!],
  inPlace: [[0, 0]],
  gradient: ({ inputs, dy }): Gradients => [scale([dy[0]!, inputs[1]!])[0], undefined],
});

/**
 * y = x · s with one factor a row and channel: x[n,h,w,c], s[n,1,1,c] (squeeze-and-excitation, Hu et al. 2017).
 */
export const scaleChannels = defineOp({
  name: 'scale_channels',
  attributes: {},
  infer: ([x, s], _, where) => {
    const c = x!.shape.at(-1)!;
    if (s!.count !== x!.count || !sameShape(s!.shape, [1, 1, c])) {
      throw shapeError(where, `a factor for each of ${c} channels (n×1×1×${c})`, showType(s!));
    }
    return [x!];
  },
  gradient: ({ inputs, dy }): Gradients => scaleChannelsGrad([dy[0]!, ...inputs]),
});

export const scaleChannelsGrad = defineOp({
  name: 'scale_channels_grad',
  attributes: {},
  infer: ([, x, s]) => [x!, s!],
});

/** y = x + b with one value a channel. */
export const broadcastAdd = defineOp({
  name: 'broadcast_add',
  attributes: {},
  infer: ([x, b], _, where) => {
    if (!sameShape(b!.shape, [x!.shape.at(-1)!])) {
      throw shapeError(where, `${x!.shape.at(-1)} values, one a channel`, showType(b!));
    }
    return [x!];
  },
  inPlace: [[0, 0]],
  gradient: ({ dy, wants }): Gradients => [dy[0], wants[1] ? sumPixels([dy[0]!])[0] : undefined],
});

/** Σ over all pixels and rows: x[n,…,c] to [c]. */
export const sumPixels = defineOp({
  name: 'sum_pixels',
  attributes: {},
  infer: ([x]) => [fixed([x!.shape.at(-1)!])],
});

/** A tensor of one value. */
export const fill = defineOp({
  name: 'fill',
  attributes: { value: real(0), shape: { ...list(), local: true }, batched: { ...flag(false), local: true } },
  infer: (_, a) => [{ dtype: 'f32', count: a.batched ? BATCH : FIXED, shape: a.shape }],
});

/** a + w · (b − a), in place on a: running statistics. w[1] is an input. */
export const lerp = defineOp({
  name: 'lerp',
  attributes: {},
  infer: ([a]) => [a!],
  inPlace: [[0, 0]],
});

/** Writes `value` (the second input) into the state `target` (the first). */
export const assign = defineOp({
  name: 'assign',
  attributes: {},
  infer: () => [],
  updates: () => [0],
});

/** y = x, dense. */
export const copy = defineOp({
  name: 'copy',
  attributes: {},
  infer: ([x]) => [x!],
  gradient: ({ dy }): Gradients => [dy[0]],
});

/**
 * The rows of x in another shape of as many elements: a view, no step.
 */
export const reshape = defineOp({
  name: 'reshape',
  attributes: { shape: { ...list(), local: true } },
  infer: ([x], a, where) => {
    if (a.shape.reduce((p, d) => p * d, 1) !== x!.shape.reduce((p, d) => p * d, 1)) {
      throw shapeError(where, `as many elements as ${showType(x!)}`, a.shape.join('×'));
    }
    return [{ ...x!, shape: a.shape }];
  },
  view: () => ({ channel: 0 }),
  gradient: ({ inputs, dy }): Gradients => [reshape([dy[0]!], { shape: inputs[0]!.type.shape })[0]],
});

/** Unknown activations are refused where layers are built; here the name is one of the table's. */
export function activationGradient(activation: string, dy: Value, y: Value): Value {
  if (activation === 'none') return dy;
  const rule = fusedGradients.get(activation);
  if (!rule) throw new Error(`activation ${activation} has no gradient by its output`);
  return rule(dy, y);
}

/** Gradients of activations that can be told from their output; filled by activations.ts. */
export const fusedGradients = new Map<string, (dy: Value, y: Value) => Value>();
