// Cells as data: what NASNet stacks, and what a search can find others of.

import { samePadding } from '../layers/convolution.js';
import {
  add,
  avgPool,
  batchNorm,
  concat,
  conv2d,
  crop,
  depthwiseConv2d,
  maxPool,
  type PoolOptions,
  relu,
  seq,
  stochasticDepth,
} from '../layers/index.js';
import type { Block, Tensor } from '../layers/model.js';

/** States are numbered: 0 the cell's input, 1 what came before it, 2, 3, … the sums so far. */
export interface Cell {
  /** Each sum is that of two branches: what is done to which state. */
  readonly sums: readonly (readonly [left: Operation, of: number, right: Operation, of: number])[];
  /** The states that the cell yields, side by side. */
  readonly yields: readonly number[];
}

export interface CellOptions {
  /** Channels of every state; the cell yields as many for each state in `yields`. */
  readonly width: number;
  /** 2 halves the resolution of the first two states' branches. */
  readonly stride: 1 | 2;
  /** What came before has twice the input's resolution: a reduction stands between. */
  readonly halved: boolean;
  /** Of the norms. */
  readonly epsilon: number;
  /** Rate at which whole branches are dropped at the end of training (scheduled drop path). */
  readonly dropPath: number;
}

const init = 'kaiming_fan_out';

type Part = (options: Pick<CellOptions, 'width' | 'stride' | 'epsilon'>) => Block;

const conv = (width: number, stride = 1): Block => conv2d(width, 1, { stride, bias: false, init });

/** A convolution of every channel, then one of every pixel: twice, the stride in the first. */
const separable =
  (kernel: number): Part =>
  ({ width, stride, epsilon }) => {
    const depthwise = (s: number): Block =>
      depthwiseConv2d(kernel, { stride: s, padding: 'same', bias: false, init: 'kaiming_normal' });
    return seq({
      relu1: relu(),
      separable1: seq({ depthwise: depthwise(stride), pointwise: conv(width) }),
      bn1: batchNorm({ epsilon }),
      relu2: relu(),
      separable2: seq({ depthwise: depthwise(1), pointwise: conv(width) }),
      bn2: batchNorm({ epsilon }),
    });
  };

/** 3×3, ⌈n/stride⌉ windows; a 1×1 convolution where the width differs. Means are of what lies inside, or with zeros. */
const pooling =
  (pool: (kernel: number, options: PoolOptions) => Block, countIncludePad = false): Part =>
  ({ width, stride, epsilon }) =>
  x => {
    const padding = [0, 1].flatMap(axis => samePadding(x.shape[axis]!, 3, stride, 1));
    return seq({
      pool: pool(3, { stride, padding, countIncludePad }),
      ...(x.shape[2] === width ? {} : { conv: conv(width), bn: batchNorm({ epsilon }) }),
    })(x);
  };

const identity: Part =
  ({ width, stride, epsilon }) =>
  x =>
    stride === 1 && x.shape[2] === width
      ? x
      : seq({ relu: relu(), conv: conv(width, stride), bn: batchNorm({ epsilon }) })(x);

const operations = {
  identity,
  avg_pool3: pooling(avgPool),
  avg_pool3_zeros: pooling(avgPool, true),
  max_pool3: pooling(maxPool),
  separable3: separable(3),
  separable5: separable(5),
  separable7: separable(7),
} as const satisfies Record<string, Part>;

export type Operation = keyof typeof operations;

/**
 * To another width, and half the resolution where `stride` is 2: two strided 1×1 convolutions side by side, the second
 * one pixel further down and right, so that between them they see more (factorised reduction).
 */
const reduction: Part =
  ({ width, stride, epsilon }) =>
  x => {
    if (stride === 1) return seq({ conv: conv(width), bn: batchNorm({ epsilon }) })(x);
    const path1 = conv(Math.floor(width / 2), 2);
    const path2 = seq({
      crop: crop([1, 0, 1, 0]),
      conv: conv2d(Math.ceil(width / 2), 1, { stride: 2, padding: [0, 1, 0, 1], bias: false, init }),
    });
    const paths = [x.model.scoped('path1', () => path1(x)), x.model.scoped('path2', () => path2(x))];
    return seq({ concat: () => concat(...paths), bn: batchNorm({ epsilon }) })(x);
  };

/** State 1, brought to the input's resolution and the cell's width; the input itself where nothing came before. */
function previousState(previous: Tensor | undefined, input: Tensor, { width, epsilon, halved }: CellOptions): Tensor {
  if (!previous) return input;
  if (!halved && previous.shape[2] === width) return previous;
  const reduced = reduction({ width, stride: halved ? 2 : 1, epsilon });
  return seq({ relu: relu(), [halved ? 'reduced' : 'previous']: reduced })(previous);
}

/** Writes a cell. `previous` is what the cell before the last one yielded. */
export function writeCell(cell: Cell, input: Tensor, previous: Tensor | undefined, options: CellOptions): Tensor {
  const { width, stride, epsilon, dropPath } = options;
  const { model } = input;
  const states = [
    seq({ input: seq({ relu: relu(), conv: conv(width), bn: batchNorm({ epsilon }) }) })(input),
    previousState(previous, input, options),
  ];
  const strideFrom = (state: number): 1 | 2 => (state < 2 ? stride : 1);
  const branch = (operation: Operation, of: number): Block => {
    const done = operations[operation]({ width, stride: strideFrom(of), epsilon });
    if (operation === 'identity' || dropPath === 0) return done;
    const drop = seq({ drop: stochasticDepth(dropPath, { schedule: 'linear' }) });
    return x => drop(done(x));
  };
  for (const [i, [left, leftOf, right, rightOf]] of cell.sums.entries()) {
    states.push(
      model.scoped(`sum${i}`, () => {
        const a = seq({ left: branch(left, leftOf) })(states[leftOf]!);
        const b = seq({ right: branch(right, rightOf) })(states[rightOf]!);
        return model.scoped('add', () => add(a, b));
      }),
    );
  }
  const parts = cell.yields.map(i => {
    const state = states[i]!;
    if (strideFrom(i) === 1 && state.shape[2] === width) return state;
    return model.scoped(`yield${i}`, () => reduction({ width, stride: strideFrom(i), epsilon })(state));
  });
  return model.scoped('concat', () => concat(...parts));
}
