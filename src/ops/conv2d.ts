// Convolution, 1-D and linear included: a linear layer is a 1×1 convolution of 1×1 images.

import { fixed, type Node, sameShape, showType, type TensorType, type Value } from '../graph/graph.js';
import { type Attributes, type AttributesOf, defineOp, flag, int, ints, real, shapeError, word } from '../graph/op.js';
import { activationGradient } from './arithmetic.js';

const window = {
  stride: ints([1, 1], 1),
  /** top, bottom, left, right */
  pad: ints([0, 0, 0, 0], 0),
  dilation: ints([1, 1], 1),
  groups: int(1, 1),
  /** Sums products as they are: no algorithm that needs fewer of them, and rounds more. */
  exact: flag(false),
};
type Window = AttributesOf<typeof window>;

const windowOf = ({ stride, pad, dilation, groups, exact }: Window): Window => ({
  stride,
  pad,
  dilation,
  groups,
  exact,
});

/** x is act((x − mean) / √(variance + ε) · γ + β) of what is given, with these as the last inputs: see passes/prologue.ts. */
const prologue = {
  prologue: flag(false),
  prologueActivation: word('none'),
  prologueEpsilon: real(1e-5),
  prologueAffine: flag(true),
};
const prologueInputs = (a: AttributesOf<typeof prologue>): number => (a.prologue ? (a.prologueAffine ? 4 : 2) : 0);

/** Of conv2d and of its weight gradient: their first input may be a batch norm that they compute themselves. */
const takesPrologue = (node: Node, norm: Node): { inputs: Value[]; attributes: Attributes } | undefined => {
  if (node.attributes['prologue']) return undefined;
  const { activation, epsilon, affine } = norm.attributes;
  const named = { prologueActivation: activation!, prologueEpsilon: epsilon!, prologueAffine: affine! };
  const [x, ...parameters] = norm.inputs;
  return {
    inputs: [x!, ...node.inputs.slice(1), ...parameters],
    attributes: { ...node.attributes, prologue: true, ...named },
  };
};

/**
 * y = act(x ∗ w + bias + residual): x[n,ih,iw,ic], w[kh,kw,ic/groups,oc] to y[n,oh,ow,oc], with
 * oh = ⌊(ih + top + bottom − dilation·(kh − 1) − 1) / stride⌋ + 1.
 * With `moments`, also the mean, biased and unbiased variance of each channel of y. With `norm`,
 * y = act((x ∗ w + bias − mean) / √(variance + ε) · γ + β + residual), γ and β if affine, by a convolution with weights
 * that are derived from all these, again when the store's content has changed.
 * Inputs: x, w, bias, mean and variance, γ and β, residual, the prologue's, those that the attributes name.
 */
export const conv2d = defineOp({
  name: 'conv2d',
  attributes: {
    ...window,
    ...prologue,
    bias: flag(false),
    residual: flag(false),
    activation: word('none'),
    moments: flag(false),
    norm: flag(false),
    epsilon: real(1e-5),
    affine: flag(true),
  },
  infer: ([x, w, ...rest], a, where) => {
    const [ih, iw, ic] = x!.shape as [number, number, number];
    const [kh, kw, icPerGroup, oc] = w!.shape as [number, number, number, number];
    if (x!.shape.length !== 3) throw shapeError(where, 'images n×h×w×c', showType(x!));
    if (ic !== icPerGroup * a.groups) {
      throw shapeError(
        where,
        `${icPerGroup * a.groups} input channels`,
        `${ic}`,
        'check the width of the layer before it',
      );
    }
    if (oc % a.groups !== 0) throw shapeError(where, `output channels divisible by ${a.groups} groups`, `${oc}`);
    const oh = outputSize(ih, kh, a.stride[0]!, a.pad[0]! + a.pad[1]!, a.dilation[0]!);
    const ow = outputSize(iw, kw, a.stride[1]!, a.pad[2]! + a.pad[3]!, a.dilation[1]!);
    if (oh < 1 || ow < 1) {
      throw shapeError(
        where,
        `an input of at least the kernel's extent`,
        `${showType(x!)} for a ${kh}×${kw} kernel`,
        'give a larger input, more padding, or fewer strides before it',
      );
    }
    const y: TensorType = { ...x!, shape: [oh, ow, oc] };
    const residual = a.residual ? rest.at(-1 - prologueInputs(a)) : undefined;
    if (residual && !sameShape(residual.shape, y.shape)) {
      throw shapeError(where, `a residual of ${showType(y)}`, showType(residual));
    }
    return a.moments ? [y, fixed([oc]), fixed([oc]), fixed([oc])] : [y];
  },
  takesActivation: true,
  takesMoments: true,
  takesPrologue,
  takesResidual: (node, residual) => ({
    inputs: [...node.inputs, residual],
    attributes: { ...node.attributes, residual: true },
  }),
  takesNorm: (node, norm) => {
    const { activation, residual, moments, norm: taken } = node.attributes;
    if (activation !== 'none' || residual || moments || taken) return undefined;
    const { epsilon, affine } = norm.attributes;
    return {
      inputs: [...node.inputs, ...norm.inputs.slice(1)],
      attributes: { ...node.attributes, norm: true, epsilon: epsilon!, affine: affine! },
    };
  },
  pointwise: ([, w], a) => {
    const [kh, kw] = w!.shape;
    const plain = !a.prologue && !a.moments;
    return plain && kh === 1 && kw === 1 && a.stride.every(s => s === 1) && a.pad.every(p => p === 0);
  },
  depthwise: ([, w], a) => {
    const [, , icPerGroup, oc] = w!.shape;
    return a.groups > 1 && a.groups === oc && icPerGroup === 1 && !a.prologue && !a.moments;
  },
  multiplyAdds: ([, w], [y]) => {
    const [kh, kw, icPerGroup, oc] = w!.shape as [number, number, number, number];
    return kh * kw * icPerGroup * oc * y!.shape[0]! * y!.shape[1]!;
  },
  gradient: ({ inputs, outputs, dy, attributes: a, wants }) => {
    if (a.norm || a.prologue) throw new Error('a graph is differentiated before norms move into convolutions');
    const [x, w] = inputs as [Value, Value];
    const dz = activationGradient(a.activation, dy[0]!, outputs[0]!);
    const dx = wants[0] ? conv2dGradInput([dz, w], { ...windowOf(a), size: x.type.shape.slice(0, 2) })[0] : undefined;
    const bias = a.bias && wants[2]!;
    const [dw, db] =
      wants[1] || bias ? conv2dGradWeight([x, dz], { ...windowOf(a), bias, kernel: w.type.shape.slice(0, 2) }) : [];
    return [dx, dw, ...(a.bias ? [db] : []), ...(a.residual ? [dz] : [])];
  },
});

/** The gradient sums of the norm before a convolution, with that norm's input and parameters: see passes/sums.ts. */
const sums = {
  sums: flag(false),
  sumsActivation: word('none'),
  sumsEpsilon: real(1e-5),
  sumsAffine: flag(true),
};

/** dx from dy and w; with `sums` also dβ and dγ of a norm that made x, whose input and parameters follow w. */
export const conv2dGradInput = defineOp({
  name: 'conv2d_grad_input',
  attributes: { ...window, ...sums, size: { ...ints([0, 0]), local: true } },
  infer: ([dy, w], a) => {
    const c = w!.shape[2]! * a.groups;
    return [{ ...dy!, shape: [...a.size, c] }, ...(a.sums ? [fixed([c]), fixed([c])] : [])];
  },
  takesGradientSums: (node, of) => {
    const { stride, sums: taken } = node.attributes;
    if (taken || !(stride as readonly number[]).every(s => s === 1)) return undefined;
    const { activation, epsilon, affine } = of.attributes;
    return {
      inputs: [...node.inputs, ...of.inputs.slice(1)],
      attributes: {
        ...node.attributes,
        sums: true,
        sumsActivation: activation!,
        sumsEpsilon: epsilon!,
        sumsAffine: affine!,
      },
    };
  },
});

export const conv2dGradWeight = defineOp({
  name: 'conv2d_grad_weight',
  attributes: { ...window, ...prologue, bias: flag(false), kernel: { ...ints([0, 0]), local: true } },
  takesPrologue,
  infer: ([x, dy], a) => {
    const oc = dy!.shape[2]!;
    return [fixed([...a.kernel, x!.shape[2]! / a.groups, oc]), ...(a.bias ? [fixed([oc])] : [])];
  },
});

/** Windows of a kernel along one axis. */
export function outputSize(input: number, kernel: number, stride: number, padding: number, dilation: number): number {
  return Math.floor((input + padding - dilation * (kernel - 1) - 1) / stride) + 1;
}
