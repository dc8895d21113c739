// Activations, one row each: name, attributes, whether the derivative reads the input or the output.
// Formulas live in native/kernels/unary/functions.h.

import type { Value } from '../graph/graph.js';
import { type AttributeSpecs, type DefinedOp, defineOp, flag, real } from '../graph/op.js';
import { fusedGradients } from './arithmetic.js';

interface ActivationRow {
  readonly attributes?: AttributeSpecs;
  /** What the derivative is a function of. */
  readonly reads: 'x' | 'y';
  /** It never falls, and where it is level its gradient is 0. */
  readonly nondecreasing?: boolean;
  /** The formula, for the documentation. */
  readonly formula: string;
  readonly source: string;
}

/** All activations. A row here and one in native/kernels/unary/functions.h make a new one. */
export const activations = {
  relu: { reads: 'y', nondecreasing: true, formula: 'max(0, x)', source: 'Nair & Hinton 2010' },
  relu6: {
    reads: 'y',
    nondecreasing: true,
    formula: 'min(max(0, x), 6)',
    source: 'Krizhevsky 2010; Howard et al. 2017',
  },
  leaky_relu: {
    attributes: { slope: real(0.01) },
    reads: 'x',
    formula: 'x for x > 0, else slope · x',
    source: 'Maas et al. 2013',
  },
  elu: { reads: 'y', formula: 'x where x > 0, else exp(x) − 1', source: 'Clevert et al. 2015' },
  sigmoid: { reads: 'y', formula: '1 / (1 + exp(−x))', source: 'LeCun et al. 1998' },
  tanh: { reads: 'y', formula: 'tanh(x)', source: 'LeCun et al. 1998' },
  silu: { reads: 'x', formula: 'x · sigmoid(x)', source: 'Elfwing et al. 2017; Ramachandran et al. 2017 (swish)' },
  hard_sigmoid: { reads: 'y', formula: 'relu6(x + 3) / 6', source: 'Courbariaux et al. 2015; Howard et al. 2019' },
  hard_swish: { reads: 'x', formula: 'x · relu6(x + 3) / 6', source: 'Howard et al. 2019' },
  gelu: {
    attributes: { approximate: flag(false) },
    reads: 'x',
    formula: 'x · Φ(x); approximate: the tanh form',
    source: 'Hendrycks & Gimpel 2016',
  },
} as const satisfies Record<string, ActivationRow>;

export type ActivationName = keyof typeof activations;

const ops = new Map<string, DefinedOp<AttributeSpecs>>();

for (const [name, row] of Object.entries(activations) as [ActivationName, ActivationRow][]) {
  const attributes = row.attributes ?? {};
  const backward = defineOp({
    name: `${name}_grad`,
    attributes,
    infer: ([dy]) => [dy!],
    inPlace: [[0, 0]],
  });
  const forward = defineOp({
    name,
    attributes,
    infer: ([x]) => [x!],
    inPlace: [[0, 0]],
    ...(row.reads === 'y' && !row.attributes ? { activation: name } : {}),
    ...(row.nondecreasing ? { nondecreasing: true } : {}),
    gradient: ({ inputs, outputs, dy, attributes }) =>
      backward([dy[0]!, row.reads === 'x' ? inputs[0]! : outputs[0]!], attributes),
  });
  ops.set(name, forward);
  if (row.reads === 'y') fusedGradients.set(name, (dy, y) => backward([dy, y])[0]!);
}

/** y = f(x), elementwise. */
export function activation(name: ActivationName, x: Value, attributes: Record<string, number | boolean> = {}): Value {
  return ops.get(name)!([x], attributes)[0]!;
}
