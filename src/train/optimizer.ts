// Optimizers as data, and the ops that update a group of parameters.

import { unknownName } from '../errors.js';
import type { Value } from '../graph/graph.js';
import { adam, rmsprop, sgd } from '../ops/optimizers.js';

/** Values of one parameter group in one step; they are feeds, so schedules recompile nothing. */
export interface OptimizerOptions {
  /** Decay of the running gradient (SGD, RMSprop). */
  readonly momentum: number;
  readonly nesterov: boolean;
  /** Adam's. */
  readonly beta1: number;
  readonly beta2: number;
  /** RMSprop's decay of squares. */
  readonly alpha: number;
  readonly epsilon: number;
}

export interface OptimizerKind {
  /** Names of the tensors kept for each parameter. */
  readonly slots: readonly string[];
  /** Names of the scalars it reads each step, after `lr` and `decay`. */
  readonly scalars: readonly (keyof OptimizerOptions | 'step')[];
  readonly defaults: OptimizerOptions & { readonly lr: number; readonly weightDecay: number };
  /** Adds the update of `parameters` to the graph. */
  readonly update: (scalars: Value[], parameters: readonly Value[][], options: OptimizerOptions) => void;
  readonly source: string;
}

const common = { momentum: 0.9, nesterov: false, beta1: 0.9, beta2: 0.999, alpha: 0.99, epsilon: 1e-8 };

/** All optimizers, by name. Formulas and defaults are PyTorch's. */
export const optimizers = {
  sgd: {
    slots: ['momentum'],
    scalars: ['momentum'],
    defaults: { ...common, nesterov: true, lr: 0.1, weightDecay: 5e-4 },
    update: (scalars, parameters, { nesterov }) => {
      sgd([...scalars, ...parameters.flat()], { nesterov });
    },
    source: 'Sutskever et al. 2013',
  },
  adam: {
    slots: ['m', 'v'],
    scalars: ['beta1', 'beta2', 'epsilon', 'step'],
    defaults: { ...common, lr: 1e-3, weightDecay: 0 },
    update: (scalars, parameters) => {
      adam([...scalars, ...parameters.flat()], { decoupled: false });
    },
    source: 'Kingma & Ba 2014',
  },
  adamw: {
    slots: ['m', 'v'],
    scalars: ['beta1', 'beta2', 'epsilon', 'step'],
    defaults: { ...common, lr: 1e-3, weightDecay: 1e-2 },
    update: (scalars, parameters) => {
      adam([...scalars, ...parameters.flat()], { decoupled: true });
    },
    source: 'Loshchilov & Hutter 2017',
  },
  rmsprop: {
    slots: ['v', 'momentum'],
    scalars: ['alpha', 'epsilon', 'momentum'],
    defaults: { ...common, momentum: 0, lr: 1e-2, weightDecay: 0 },
    update: (scalars, parameters) => {
      rmsprop([...scalars, ...parameters.flat()]);
    },
    source: 'Tieleman & Hinton 2012',
  },
} as const satisfies Record<string, OptimizerKind>;

export type OptimizerName = keyof typeof optimizers;

/** Throws E_OPTIMIZER with the nearest name. */
export function optimizerNamed(name: string): OptimizerKind {
  const found = (optimizers as Record<string, OptimizerKind>)[name];
  if (found) return found;
  throw unknownName(
    { code: 'E_OPTIMIZER', class: 'usage', where: 'optimizer' },
    'the name of an optimizer',
    name,
    Object.keys(optimizers),
  );
}
