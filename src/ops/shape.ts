// Ops that move data: pooling's neighbours. Slices and concatenations are views wherever the planner can make them so.

import { sameShape, showType, type TensorType, type Value } from '../graph/graph.js';
import { defineOp, flag, type Gradients, int, ints, list, real, shapeError } from '../graph/op.js';
import { reshape } from './arithmetic.js';

function imageShape(x: TensorType, where: string): readonly [number, number, number] {
  if (x.shape.length !== 3) throw shapeError(where, 'images n×h×w×c', showType(x));
  return x.shape as readonly number[] as readonly [number, number, number];
}

function sideBySide(inputs: readonly TensorType[], where: string): TensorType {
  const [first] = inputs;
  for (const other of inputs) {
    if (!sameShape(first!.shape.slice(0, -1), other.shape.slice(0, -1))) {
      throw shapeError(where, 'branches of one height and width', `${showType(first!)} and ${showType(other)}`);
    }
  }
  const channels = inputs.reduce((sum, t) => sum + t.shape.at(-1)!, 0);
  return { ...first!, shape: [...first!.shape.slice(0, -1), channels] };
}

/** Inputs side by side on the channels. */
export const concat = defineOp({
  name: 'concat',
  attributes: {},
  infer: (inputs, _, where) => [sideBySide(inputs, where)],
  concatenates: true,
  gradient: ({ inputs, dy, wants }): Gradients => {
    let begin = 0;
    return inputs.map((x, i) => {
      const end = begin + x.type.shape.at(-1)!;
      const dx = wants[i] ? sliceChannels([dy[0]!], { begin, end })[0] : undefined;
      begin = end;
      return dx;
    });
  },
});

/** Channels begin ≤ c < end: a view, and its gradient is one of these channels alone. */
export const sliceChannels = defineOp({
  name: 'slice_channels',
  attributes: { begin: int(0, 0), end: int(0, 0) },
  infer: ([x], a, where) => {
    const c = x!.shape.at(-1)!;
    if (a.begin >= a.end || a.end > c)
      throw shapeError(where, `a range within ${c} channels`, `${a.begin} to ${a.end}`);
    return [{ ...x!, shape: [...x!.shape.slice(0, -1), a.end - a.begin] }];
  },
  view: a => ({ channel: a.begin }),
  slices: ({ begin, end }) => ({ begin, end }),
});

const padding = { pad: ints([0, 0, 0, 0], 0), channels: ints([0, 0], 0) };

/** x with a border of `value`: pad = top, bottom, left, right; channels = before, after. */
export const pad = defineOp({
  name: 'pad',
  attributes: { ...padding, value: real(0) },
  infer: ([x], a, where) => {
    const [h, w, c] = imageShape(x!, where);
    return [
      {
        ...x!,
        shape: [h + a.pad[0]! + a.pad[1]!, w + a.pad[2]! + a.pad[3]!, c + a.channels[0]! + a.channels[1]!],
      },
    ];
  },
  gradient: ({ dy, attributes: { pad, channels } }): Gradients => padGrad([dy[0]!], { pad, channels }),
});

/** x with channels of zeros around its own. */
export function padChannels(x: Value, before: number, after: number): Value {
  if (before + after === 0) return x;
  const [channels, ...outer] = [...x.type.shape].reverse();
  const image = reshape([x], { shape: [1, outer.reduce((p, d) => p * d, 1), channels!] })[0]!;
  const padded = pad([image], { channels: [before, after] })[0]!;
  return reshape([padded], { shape: [...x.type.shape.slice(0, -1), before + channels! + after] })[0]!;
}

/** The inverse: x without its border. */
export const padGrad = defineOp({
  name: 'pad_grad',
  attributes: padding,
  infer: ([x], a, where) => {
    const [h, w, c] = imageShape(x!, where);
    const shape = [h - a.pad[0]! - a.pad[1]!, w - a.pad[2]! - a.pad[3]!, c - a.channels[0]! - a.channels[1]!];
    if (shape.some(size => size < 1)) {
      throw shapeError(where, `more than a border of ${[...a.pad, ...a.channels].join(', ')}`, showType(x!));
    }
    return [{ ...x!, shape }];
  },
  gradient: ({ dy, attributes: { pad: border, channels } }): Gradients => pad([dy[0]!], { pad: border, channels }),
});

/** Every stride-th pixel, the first included (the identity shortcut of type A, He et al. 2015, section 4.2). */
export const subsample = defineOp({
  name: 'subsample',
  attributes: { stride: ints([1, 1], 1) },
  infer: ([x], a, where) => {
    const [h, w, c] = imageShape(x!, where);
    return [{ ...x!, shape: [Math.ceil(h / a.stride[0]!), Math.ceil(w / a.stride[1]!), c] }];
  },
  gradient: ({ inputs, dy, attributes: a }): Gradients =>
    subsampleGrad([dy[0]!], { stride: a.stride, size: inputs[0]!.type.shape.slice(0, 2) }),
});

export const subsampleGrad = defineOp({
  name: 'subsample_grad',
  attributes: { stride: ints([1, 1], 1), size: { ...ints([0, 0]), local: true } },
  infer: ([dy], a) => [{ ...dy!, shape: [...a.size, dy!.shape[2]!] }],
});

/**
 * Channel g·k + i goes to i·groups + g, k = c/groups (Zhang et al. 2017, ShuffleNet, section 3.1). The channels may come
 * from several inputs side by side, and go to outputs of so many channels each, by default one of all; such a shuffle has
 * no gradient, for it is made of others when theirs are there (`shuffleInPieces`).
 */
export const channelShuffle = defineOp({
  name: 'channel_shuffle',
  attributes: { groups: int(1, 1), outputs: { ...list(), local: true } },
  infer: (inputs, a, where) => {
    const x = sideBySide(inputs, where);
    const c = x.shape.at(-1)!;
    if (c % a.groups !== 0) throw shapeError(where, `channels divisible by ${a.groups} groups`, `${c}`);
    const widths = a.outputs.length > 0 ? a.outputs : [c];
    if (widths.reduce((sum, width) => sum + width, 0) !== c)
      throw shapeError(where, `outputs of ${c} channels in all`, widths.join(' and '));
    return widths.map(width => ({ ...x, shape: [...x.shape.slice(0, -1), width] }));
  },
  shuffles: a => a.groups,
  gradient: ({ dy, attributes: a }): Gradients =>
    channelShuffle([dy[0]!], { groups: dy[0]!.type.shape.at(-1)! / a.groups }),
});

/** x[n,h,w,c] to [n, c·h·w], channels outermost: the order that PyTorch's linear layers expect. */
export const flatten = defineOp({
  name: 'flatten',
  attributes: {},
  infer: ([x]) => [{ ...x!, shape: [x!.shape.reduce((p, d) => p * d, 1)] }],
  gradient: ({ inputs, dy }): Gradients => unflatten([dy[0]!], { shape: inputs[0]!.type.shape }),
});

export const unflatten = defineOp({
  name: 'unflatten',
  attributes: { shape: { ...list(), local: true } },
  infer: ([x], a) => [{ ...x!, shape: a.shape }],
  gradient: ({ dy }): Gradients => flatten([dy[0]!]),
});

const resized = { size: { ...ints([1, 1], 1), local: true } };
const resizeInfer = ([x]: readonly TensorType[], a: { size: readonly number[] }, where: string): TensorType[] => [
  { ...x!, shape: [...a.size, imageShape(x!, where)[2]] },
];

const bilinear = { align_corners: flag(false), antialias: flag(false) };

/**
 * Bilinear resize, half-pixel centres or aligned corners, as PyTorch's interpolate. With `antialias` the filter is as
 * wide as the reduction.
 */
export const resizeBilinear = defineOp({
  name: 'resize_bilinear',
  attributes: { ...resized, ...bilinear },
  infer: resizeInfer,
  gradient: ({ inputs, dy, attributes: a }): Gradients =>
    resizeBilinearGrad([dy[0]!], {
      size: inputs[0]!.type.shape.slice(0, 2),
      align_corners: a.align_corners,
      antialias: a.antialias,
    }),
});
export const resizeBilinearGrad = defineOp({
  name: 'resize_bilinear_grad',
  attributes: { ...resized, ...bilinear },
  infer: resizeInfer,
});

/** Nearest-neighbour resize: source pixel ⌊i · in/out⌋. */
export const resizeNearest = defineOp({
  name: 'resize_nearest',
  attributes: resized,
  infer: resizeInfer,
  gradient: ({ inputs, dy }): Gradients => resizeNearestGrad([dy[0]!], { size: inputs[0]!.type.shape.slice(0, 2) }),
});
export const resizeNearestGrad = defineOp({ name: 'resize_nearest_grad', attributes: resized, infer: resizeInfer });
