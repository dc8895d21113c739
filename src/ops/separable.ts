// Separable convolution: a depthwise convolution with pointwise ones around it, as one op of evaluated networks.

import type { TensorType } from '../graph/graph.js';
import { type AttributesOf, defineOp, flag, int, ints, real, shapeError, word } from '../graph/op.js';
import { outputSize } from './conv2d.js';

const attributes = {
  /** Of the depthwise convolution. */
  stride: ints([1, 1], 1),
  pad: ints([0, 0, 0, 0], 0),
  dilation: ints([1, 1], 1),
  bias: flag(false),
  norm: flag(false),
  epsilon: real(1e-5),
  affine: flag(true),
  activation: word('none'),
  expand: flag(false),
  expandBias: flag(false),
  expandNorm: flag(false),
  expandEpsilon: real(1e-5),
  expandAffine: flag(true),
  expandActivation: word('none'),
  expandGroups: int(1, 1),
  shuffle: int(1, 1),
  projectBias: flag(false),
  projectNorm: flag(false),
  projectEpsilon: real(1e-5),
  projectAffine: flag(true),
  projectActivation: word('none'),
  projectGroups: int(1, 1),
  residual: flag(false),
};
type Separable = AttributesOf<typeof attributes>;

/** Of a convolution: weights, bias, statistics and parameters of a norm. */
const count = (bias: boolean, norm: boolean, affine: boolean): number =>
  1 + (bias ? 1 : 0) + (norm ? (affine ? 4 : 2) : 0);

/** The weights of the three convolutions, in their order; without an expansion of two. */
function weightsOf(inputs: readonly TensorType[], a: Separable): TensorType[] {
  const depthwise = 1 + (a.expand ? count(a.expandBias, a.expandNorm, a.expandAffine) : 0);
  const project = depthwise + count(a.bias, a.norm, a.affine);
  return [...(a.expand ? [inputs[1]!] : []), inputs[depthwise]!, inputs[project]!];
}

/**
 * y = project(filter(shuffle(expand(x)))) + residual, each convolution act(… ∗ w + bias) or act(norm(… ∗ w + bias)) as
 * conv2d's: expand, if at all, and project are 1×1, of groups or not, filter is depthwise; channels are shuffled in so many
 * groups as by channelShuffle. x[n,ih,iw,ic] to y[n,oh,ow,oc]. The activation of the projection follows the residual.
 * Inputs: x, those of each convolution as conv2d takes them, residual. It has no gradient.
 */
export const separableConv2d = defineOp({
  name: 'separable_conv2d',
  attributes,
  infer: (inputs, a, where) => {
    const weights = weightsOf(inputs, a);
    const [kh, kw, , channels] = weights.at(-2)!.shape as [number, number, number, number];
    const [, , ic, oc] = weights.at(-1)!.shape as [number, number, number, number];
    const projected = ic * a.projectGroups;
    if (projected !== channels) throw shapeError(where, `${channels} channels to project`, `${projected}`);
    const [ih, iw] = inputs[0]!.shape as [number, number, number];
    const oh = outputSize(ih, kh, a.stride[0]!, a.pad[0]! + a.pad[1]!, a.dilation[0]!);
    const ow = outputSize(iw, kw, a.stride[1]!, a.pad[2]! + a.pad[3]!, a.dilation[1]!);
    return [{ ...inputs[0]!, shape: [oh, ow, oc] }];
  },
  multiplyAdds: (inputs, [y], a) => {
    const [ih, iw] = inputs[0]!.shape as [number, number, number];
    const [oh, ow] = y!.shape as [number, number, number];
    const weights = weightsOf(inputs, a).map(({ shape }) => shape.reduce((product, d) => product * d, 1));
    const filtered = oh * ow * (weights.at(-2)! + weights.at(-1)!);
    return filtered + (a.expand ? ih * iw * weights[0]! : 0);
  },
});
