// Pooling. Sizes come from PyTorch's rules, ceil mode and adaptive bins included.

import { showType, type TensorType } from '../graph/graph.js';
import { defineOp, flag, ints, shapeError, word } from '../graph/op.js';
import { activationGradient } from './arithmetic.js';

/**
 * Windows along one axis. In ceil mode a last window may hang over the end, but must begin inside the input or its
 * leading padding.
 */
export function pooledSize(
  input: number,
  kernel: number,
  stride: number,
  [before, after]: readonly [number, number],
  dilation: number,
  ceil: boolean,
): number {
  const span = input + before + after - dilation * (kernel - 1) - 1;
  const windows = (ceil ? Math.ceil(span / stride) : Math.floor(span / stride)) + 1;
  return ceil && (windows - 1) * stride >= input + before ? windows - 1 : windows;
}

const window = { kernel: ints([1, 1], 1), stride: ints([1, 1], 1), pad: ints([0, 0, 0, 0], 0) };
const ceilMode = { ceil: { ...flag(false), local: true } };

interface Window {
  kernel: readonly number[];
  stride: readonly number[];
  pad: readonly number[];
  dilation?: readonly number[];
  ceil: boolean;
}

function pooled(x: TensorType, a: Window, where: string): TensorType {
  const [h, w, c] = x.shape as [number, number, number];
  if (x.shape.length !== 3) throw shapeError(where, 'images n×h×w×c', showType(x));
  const dilation = a.dilation ?? [1, 1];
  a.pad.forEach((pad, i) => {
    const extent = dilation[i >> 1]! * (a.kernel[i >> 1]! - 1) + 1;
    // A window of nothing but padding has no largest value and no mean.
    if (pad >= extent) throw shapeError(where, `padding below the window's ${extent} pixels`, `${pad}`);
  });
  const oh = pooledSize(h, a.kernel[0]!, a.stride[0]!, [a.pad[0]!, a.pad[1]!], dilation[0]!, a.ceil);
  const ow = pooledSize(w, a.kernel[1]!, a.stride[1]!, [a.pad[2]!, a.pad[3]!], dilation[1]!, a.ceil);
  if (oh < 1 || ow < 1) {
    throw shapeError(
      where,
      'an input of at least the window',
      `${showType(x)} for ${a.kernel.join('×')}`,
      'give a larger input, or leave a pooling layer out',
    );
  }
  return { ...x, shape: [oh, ow, c] };
}

/**
 * act of the largest value of each window, and which tap it was (first wins; u8, or i32 for windows of more than 256).
 */
export const maxPool2d = defineOp({
  name: 'max_pool2d',
  attributes: { ...window, dilation: ints([1, 1], 1), activation: word('none'), ...ceilMode },
  infer: ([x], a, where) => {
    const y = pooled(x!, a, where);
    return [y, { ...y, dtype: a.kernel[0]! * a.kernel[1]! <= 256 ? 'u8' : 'i32' }];
  },
  largest: true,
  takesActivation: true,
  gradient: ({ inputs, outputs, dy, attributes: { kernel, stride, pad, dilation, activation } }) => {
    const dz = activationGradient(activation, dy[0]!, outputs[0]!);
    return maxPool2dGrad([dz, outputs[1]!], { kernel, stride, pad, dilation, size: inputs[0]!.type.shape.slice(0, 2) });
  },
});

const sized = { size: { ...ints([1, 1], 1), local: true } };
const inputSized = ([x]: readonly TensorType[], a: { size: readonly number[] }, where: string): TensorType[] => {
  if (x!.shape.length !== 3) throw shapeError(where, 'images n×h×w×c', showType(x!));
  return [{ ...x!, shape: [...a.size, x!.shape[2]!] }];
};

export const maxPool2dGrad = defineOp({
  name: 'max_pool2d_grad',
  attributes: { ...window, dilation: ints([1, 1], 1), ...sized },
  infer: inputSized,
});

/** The mean of each window; `count_include_pad` divides by the whole window also at the border. */
export const avgPool2d = defineOp({
  name: 'avg_pool2d',
  attributes: { ...window, count_include_pad: flag(true), ...ceilMode },
  infer: ([x], a, where) => [pooled(x!, a, where)],
  gradient: ({ inputs, dy, attributes: { kernel, stride, pad, count_include_pad } }) =>
    avgPool2dGrad([dy[0]!], { kernel, stride, pad, count_include_pad, size: inputs[0]!.type.shape.slice(0, 2) }),
});

export const avgPool2dGrad = defineOp({
  name: 'avg_pool2d_grad',
  attributes: { ...window, count_include_pad: flag(true), ...sized },
  infer: inputSized,
});

/** The mean of each of size[0]×size[1] bins, ⌊i·h/oh⌋ to ⌈(i+1)·h/oh⌉; 1×1 is global average pooling. */
export const adaptiveAvgPool2d = defineOp({
  name: 'adaptive_avg_pool2d',
  attributes: sized,
  infer: inputSized,
  gradient: ({ inputs, dy }) => adaptiveAvgPool2dGrad([dy[0]!], { size: inputs[0]!.type.shape.slice(0, 2) }),
});

export const adaptiveAvgPool2dGrad = defineOp({
  name: 'adaptive_avg_pool2d_grad',
  attributes: sized,
  infer: inputSized,
});

/** The largest value of each bin, and its flat position h·width + w (i32). */
export const adaptiveMaxPool2d = defineOp({
  name: 'adaptive_max_pool2d',
  attributes: sized,
  infer: (inputs, a, where) => {
    const [y] = inputSized(inputs, a, where);
    return [y!, { ...y!, dtype: 'i32' }];
  },
  gradient: ({ inputs, outputs, dy }) =>
    adaptiveMaxPool2dGrad([dy[0]!, outputs[1]!], { size: inputs[0]!.type.shape.slice(0, 2) }),
});

export const adaptiveMaxPool2dGrad = defineOp({
  name: 'adaptive_max_pool2d_grad',
  attributes: sized,
  infer: inputSized,
});
