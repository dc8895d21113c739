// Layers without a family: activations, sums, shapes, dropout.

import type { Value } from '../graph/graph.js';
import { flag, int, ints, list, oneOf, real } from '../graph/op.js';
import { type ActivationName, activation, activations } from '../ops/activations.js';
import { multiply as multiplyOp, reshape, scale, scaleChannels as scaleChannelsOp, sum } from '../ops/arithmetic.js';
import { logSoftmax as logSoftmaxOp, softmax as softmaxOp } from '../ops/loss.js';
import { dropout as dropoutOp } from '../ops/random.js';
import {
  concat as concatOp,
  padGrad as cropOp,
  flatten as flattenOp,
  pad as padOp,
  resizeBilinear,
  resizeNearest,
  channelShuffle as shuffleOp,
  sliceChannels,
  subsample as subsampleOp,
} from '../ops/shape.js';
import { hash32 } from './initializers.js';
import { registerLayer } from './layer.js';
import { type Block, layer, type Tensor } from './model.js';

const activationLayers = Object.fromEntries(
  Object.entries(activations).map(([name, row]) => {
    const config = 'attributes' in row ? row.attributes : {};
    const spec = registerLayer({
      kind: name,
      config,
      build: (_, [x], c) => activation(name as ActivationName, x!, c as Record<string, number | boolean>),
    });
    return [name, spec];
  }),
) as Record<ActivationName, ReturnType<typeof registerLayer>>;

/** An activation by name. Formulas and sources: `activations` in ops/activations.ts. */
export const activate = (name: ActivationName, config: Record<string, number | boolean> = {}): Block =>
  layer(activationLayers[name])(config);
export const relu = (): Block => activate('relu');
export const relu6 = (): Block => activate('relu6');
export const leakyRelu = (slope = 0.01): Block => activate('leaky_relu', { slope });
export const sigmoid = (): Block => activate('sigmoid');
export const tanh = (): Block => activate('tanh');
export const silu = (): Block => activate('silu');
export const hardSwish = (): Block => activate('hard_swish');
export const gelu = (options: { approximate?: boolean } = {}): Block => activate('gelu', { ...options });

const softmaxLayer = registerLayer({ kind: 'softmax', config: {}, build: (_, [x]) => softmaxOp([x!])[0]! });
const logSoftmaxLayer = registerLayer({ kind: 'log_softmax', config: {}, build: (_, [x]) => logSoftmaxOp([x!])[0]! });
/** exp(x) / Σ exp(x) over the channels. */
export const softmax = (): Block => layer(softmaxLayer)();
/** x − log Σ exp(x) over the channels. */
export const logSoftmax = (): Block => layer(logSoftmaxLayer)();

const addLayer = registerLayer({ kind: 'add', config: {}, inputs: 'many', build: (_, inputs) => sum(inputs) });
const multiplyLayer = registerLayer({
  kind: 'multiply',
  config: {},
  inputs: 2,
  build: (_, inputs) => multiplyOp(inputs)[0]!,
});
const scaleChannelsLayer = registerLayer({
  kind: 'scale_channels',
  config: {},
  inputs: 2,
  build: (_, [x, s]) => scaleChannelsOp([x!, reshape([s!], { shape: [1, 1, s!.type.shape.at(-1)!] })[0]!])[0]!,
});
const scaleLayer = registerLayer({
  kind: 'scale',
  config: { factor: real(1) },
  build: (context, [x], c) => scale([x!, context.constant(c.factor)])[0]!,
});
const concatLayer = registerLayer({
  kind: 'concat',
  config: {},
  inputs: 'many',
  build: (_, inputs) => concatOp(inputs)[0]!,
});

/** Elementwise sum of tensors of one shape. */
export const add = (...inputs: Tensor[]): Tensor => layer(addLayer)()(...inputs);
/** Elementwise product of two tensors of one shape. */
export const multiply = (a: Tensor, b: Tensor): Tensor => layer(multiplyLayer)()(a, b);
/** x · s with a factor for each row and channel: x n×h×w×c, s n×c. */
export const scaleChannels = (x: Tensor, s: Tensor): Tensor => layer(scaleChannelsLayer)()(x, s);
/** x · factor. */
export const scaleBy = (factor: number): Block => layer(scaleLayer)({ factor });
/** Side by side on the channels. */
export const concat = (...inputs: Tensor[]): Tensor => layer(concatLayer)()(...inputs);

const residualLayer = registerLayer({ kind: 'residual', config: {}, inputs: 2, build: (_, inputs) => sum(inputs) });
/** branch + shortcut. A layer of its own, so that options of all residual networks find their branches. */
export const residualSum = (branch: Tensor, shortcut: Tensor): Tensor => layer(residualLayer)()(branch, shortcut);

/** branch(x) + shortcut(x); without a shortcut, + x (He et al. 2015). */
export const residual =
  (branch: Block, shortcut?: Block): Block =>
  x => {
    const y = branch(x);
    const s = shortcut ? x.model.scoped('shortcut', () => shortcut(x)) : x;
    return x.model.scoped('add', () => residualSum(y, s));
  };

/** Branches side by side on the channels. */
export const branches =
  (blocks: Readonly<Record<string, Block>>): Block =>
  x => {
    const outputs = Object.entries(blocks).map(([name, block]) => x.model.scoped(name, () => block(x)));
    return x.model.scoped('concat', () => concat(...outputs));
  };

const flattenLayer = registerLayer({
  kind: 'flatten',
  config: {},
  build: (_, [x]) => {
    const { shape } = x!.type;
    if (shape.length === 1) return x!;
    const image = shape.length === 2 ? reshape([x!], { shape: [1, ...shape] })[0]! : x!;
    return flattenOp([image])[0]!;
  },
});
/** n×h×w×c to n×(c·h·w), channels outermost, as PyTorch's linear layers expect. */
export const flatten = (): Block => layer(flattenLayer)();

const sliceLayer = registerLayer({
  kind: 'slice_channels',
  config: { begin: int(0, 0), end: int(1, 1) },
  build: (_, [x], c) => sliceChannels([x!], c)[0]!,
});
/** Channels begin ≤ c < end. */
export const slice = (begin: number, end: number): Block => layer(sliceLayer)({ begin, end });

const shuffleLayer = registerLayer({
  kind: 'channel_shuffle',
  config: { groups: int(1, 1) },
  build: (_, [x], c) => shuffleOp([x!], c)[0]!,
});
/** Channels of each group spread over all groups (Zhang et al. 2017). */
export const channelShuffle = (groups: number): Block => layer(shuffleLayer)({ groups });

const padLayer = registerLayer({
  kind: 'pad',
  config: { pad: ints([0, 0, 0, 0], 0), channels: ints([0, 0], 0), value: real(0) },
  build: (_, [x], c) => padOp([x!], c)[0]!,
});
/** A border: pad = [top, bottom, left, right], channels = [before, after]. */
export const pad = (options: { pad?: readonly number[]; channels?: readonly number[]; value?: number }): Block =>
  layer(padLayer)(options);

const cropLayer = registerLayer({
  kind: 'crop',
  config: { pixels: ints([0, 0, 0, 0], 0) },
  build: (_, [x], c) => cropOp([x!], { pad: c.pixels })[0]!,
});
/** Without the outermost pixels: [top, bottom, left, right]. */
export const crop = (pixels: readonly [number, number, number, number]): Block => layer(cropLayer)({ pixels });

const subsampleLayer = registerLayer({
  kind: 'subsample',
  config: { stride: ints([1, 1], 1) },
  build: (_, [x], c) => subsampleOp([x!], c)[0]!,
});
/** Every stride-th pixel. */
export const subsample = (stride: number): Block => layer(subsampleLayer)({ stride: [stride, stride] });

const resizeLayer = registerLayer({
  kind: 'resize',
  config: { size: ints([1, 1], 1), mode: oneOf('bilinear', 'nearest'), align_corners: flag(false) },
  build: (_, [x], c) =>
    c.mode === 'nearest'
      ? resizeNearest([x!], { size: c.size })[0]!
      : resizeBilinear([x!], { size: c.size, align_corners: c.align_corners })[0]!,
});
/** To another height and width, bilinear (half-pixel centres) or nearest. */
export const resize = (
  size: readonly [number, number],
  options: { mode?: 'bilinear' | 'nearest'; alignCorners?: boolean } = {},
): Block =>
  layer(resizeLayer)({ size, mode: options.mode ?? 'bilinear', align_corners: options.alignCorners ?? false });

const reshapeLayer = registerLayer({
  kind: 'reshape',
  config: { shape: list() },
  build: (_, [x], c) => reshape([x!], c)[0]!,
});
/** The same elements, channels innermost, in another shape of a row. */
export const reshapeTo = (shape: readonly number[]): Block => layer(reshapeLayer)({ shape });

const dropoutLayer = registerLayer({
  kind: 'dropout',
  config: {
    rate: real(0.5, 0, 1),
    per: oneOf('element', 'sample', 'channel'),
    schedule: oneOf('constant', 'linear'),
  },
  build: (context, [x], c) => {
    if (!context.training || c.rate === 0) return x!;
    const last: Value = context.constant(c.rate);
    const rate = c.schedule === 'linear' ? scale([last, context.progress()])[0]! : last;
    return dropoutOp([x!, rate, context.random()], { key: hash32(context.path), per: c.per })[0]!;
  },
});
/** Zeroes each element with probability `rate` in training and scales the rest (Srivastava et al. 2014). */
export const dropout = (rate: number): Block => layer(dropoutLayer)({ rate });
/**
 * Drops whole rows of a branch with probability `rate` in training (Huang et al. 2016). With the `linear` schedule the
 * rate grows from 0 to `rate` in the course of training (Zoph et al. 2017, scheduled drop path).
 */
export const stochasticDepth = (rate: number, options: { schedule?: 'constant' | 'linear' } = {}): Block =>
  layer(dropoutLayer)({ rate, per: 'sample', ...options });
/** Drops whole channels (Tompson et al. 2015). */
export const channelDropout = (rate: number): Block => layer(dropoutLayer)({ rate, per: 'channel' });
