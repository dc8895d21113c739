// Pooling layers, 2-D and along sequences.

import type { Value } from '../graph/graph.js';
import { flag, list } from '../graph/op.js';
import { reshape } from '../ops/arithmetic.js';
import {
  adaptiveAvgPool2d as adaptiveAvgOp,
  adaptiveMaxPool2d as adaptiveMaxOp,
  avgPool2d as avgOp,
  maxPool2d as maxOp,
} from '../ops/pooling.js';
import { registerLayer } from './layer.js';
import { type Block, layer } from './model.js';

const config = {
  kernel: list(),
  stride: list(),
  pad: list(),
  ceil: flag(false),
  count_include_pad: flag(true),
};

/** Sequences n×l×c are images of height 1 to the engine; numbers of one axis get a leading 1 (or 0, 0). */
function asImages(
  x: Value,
  pool: (x: Value, lead: (values: readonly number[], fill: number[]) => number[]) => Value,
): Value {
  if (x.type.shape.length !== 2) return pool(x, values => [...values]);
  const image = reshape([x], { shape: [1, ...x.type.shape] })[0]!;
  const y = pool(image, (values, fill) => [...fill, ...values]);
  return reshape([y], { shape: y.type.shape.slice(1) })[0]!;
}

const maxPoolLayer = registerLayer({
  kind: 'max_pool',
  config,
  build: (_, [x], c) =>
    asImages(
      x!,
      (image, lead) =>
        maxOp([image], {
          kernel: lead(c.kernel, [1]),
          stride: lead(c.stride, [1]),
          pad: lead(c.pad, [0, 0]),
          ceil: c.ceil,
        })[0]!,
    ),
});

const avgPoolLayer = registerLayer({
  kind: 'avg_pool',
  config,
  build: (_, [x], c) =>
    asImages(
      x!,
      (image, lead) =>
        avgOp([image], {
          kernel: lead(c.kernel, [1]),
          stride: lead(c.stride, [1]),
          pad: lead(c.pad, [0, 0]),
          ceil: c.ceil,
          count_include_pad: c.count_include_pad,
        })[0]!,
    ),
});

const adaptiveConfig = { size: list(), squeeze: flag(false) };
const squeezed = (y: Value, squeeze: boolean): Value =>
  squeeze ? reshape([y], { shape: [y.type.shape.at(-1)!] })[0]! : y;

const adaptiveAvgLayer = registerLayer({
  kind: 'adaptive_avg_pool',
  config: adaptiveConfig,
  build: (_, [x], c) =>
    squeezed(
      asImages(x!, (image, lead) => adaptiveAvgOp([image], { size: lead(c.size, [1]) })[0]!),
      c.squeeze,
    ),
});

const adaptiveMaxLayer = registerLayer({
  kind: 'adaptive_max_pool',
  config: adaptiveConfig,
  build: (_, [x], c) =>
    squeezed(
      asImages(x!, (image, lead) => adaptiveMaxOp([image], { size: lead(c.size, [1]) })[0]!),
      c.squeeze,
    ),
});

export interface PoolOptions {
  /** Default: the kernel. */
  stride?: number | readonly [number, number];
  /** A number, or [top, bottom, left, right]; sequences: [before, after]. Default 0. */
  padding?: number | readonly number[];
  /** A last, partial window counts. */
  ceil?: boolean;
  /** Averages divide by the whole window also at the border. */
  countIncludePad?: boolean;
}

const pooling =
  (spec: typeof maxPoolLayer, kernel: number | readonly number[], options: PoolOptions): Block =>
  x => {
    const n = x.shape.length === 2 ? 1 : 2;
    const axes = (v: number | readonly number[], count: number) =>
      typeof v === 'number' ? Array.from({ length: count }, () => v) : [...v];
    return layer(spec)({
      kernel: axes(kernel, n),
      stride: axes(options.stride ?? kernel, n),
      pad: axes(options.padding ?? 0, 2 * n),
      ceil: options.ceil ?? false,
      count_include_pad: options.countIncludePad ?? true,
    })(x);
  };

/** The largest value of each window: n×h×w×c to n×oh×ow×c, or along sequences n×l×c. */
export const maxPool = (kernel: number | readonly [number, number], options: PoolOptions = {}): Block =>
  pooling(maxPoolLayer, kernel, options);

/** The mean of each window. */
export const avgPool = (kernel: number | readonly [number, number], options: PoolOptions = {}): Block =>
  pooling(avgPoolLayer, kernel, options);

const adaptive =
  (spec: typeof adaptiveAvgLayer, size: number | readonly number[], squeeze: boolean): Block =>
  x => {
    const n = x.shape.length === 2 ? 1 : 2;
    return layer(spec)({ size: typeof size === 'number' ? Array.from({ length: n }, () => size) : [...size], squeeze })(
      x,
    );
  };

/** The mean of each of size×size bins. */
export const adaptiveAvgPool = (size: number | readonly [number, number]): Block =>
  adaptive(adaptiveAvgLayer, size, false);
/** The largest value of each of size×size bins. */
export const adaptiveMaxPool = (size: number | readonly [number, number]): Block =>
  adaptive(adaptiveMaxLayer, size, false);
/** The mean over all pixels: n×h×w×c to n×c (Lin et al. 2013, section 3.2). */
export const globalAvgPool = (): Block => adaptive(adaptiveAvgLayer, 1, true);
/** The largest value over all pixels: n×h×w×c to n×c. */
export const globalMaxPool = (): Block => adaptive(adaptiveMaxLayer, 1, true);
