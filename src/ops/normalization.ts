// Normalisations. Statistics are values of their own, so that batch norm trains on a batch's, is evaluated on running
// ones and can be frozen, node by node.

import { fixed, sameShape, showType, type TensorType, type Value } from '../graph/graph.js';
import { defineOp, flag, int, oneOf, real, shapeError, word } from '../graph/op.js';

/** Mean, biased variance and unbiased variance of each channel over all pixels and rows: x[n,…,c] to three [c]. */
export const moments = defineOp({
  name: 'moments',
  attributes: {},
  infer: ([x]) => [fixed([x!.shape.at(-1)!]), fixed([x!.shape.at(-1)!]), fixed([x!.shape.at(-1)!])],
  moments: true,
});

const affineNorm = { epsilon: real(1e-5), affine: flag(true) };

/**
 * y = act((x − mean) / √(variance + ε) · γ + β + residual), per channel (Ioffe & Szegedy 2015).
 * `statistics` says whether mean and variance are those of x itself (their gradient is then part of dx) or constants.
 * Inputs: x mean variance, γ β if affine, residual if residual.
 */
export const batchNorm = defineOp({
  name: 'batch_norm',
  attributes: {
    ...affineNorm,
    residual: flag(false),
    activation: word('none'),
    statistics: { ...oneOf('constant', 'batch'), local: true },
  },
  infer: ([x, mean, ...rest], a, where) => {
    const c = x!.shape.at(-1)!;
    if (!sameShape(mean!.shape, [c])) throw shapeError(where, `statistics of ${c} channels`, showType(mean!));
    const residual = a.residual ? rest.at(-1)! : undefined;
    if (residual && !sameShape(residual.shape, x!.shape)) {
      throw shapeError(where, `a shortcut of ${showType(x!)}`, showType(residual), 'project the shortcut');
    }
    return [x!];
  },
  inPlace: [[0, 0]],
  isPrologue: a => !a.residual,
  norms: a => a.statistics === 'constant' && !a.residual && a.activation === 'none',
  takesActivation: true,
  takesResidual: (node, residual) => ({
    inputs: [...node.inputs, residual],
    attributes: { ...node.attributes, residual: true },
  }),
  gradient: ({ inputs, outputs, dy, attributes: a, wants }) => {
    const [x, mean, variance] = inputs as [Value, Value, Value];
    const gammaBeta = a.affine ? inputs.slice(3, 5) : [];
    const common = { epsilon: a.epsilon, affine: a.affine };
    // Behind a shortcut an activation's derivative is told from y. Without one the shortcut's gradient is dy itself.
    const masked = a.residual && a.activation !== 'none';
    const seesOutput = masked ? [outputs[0]!] : [];
    const sums = { ...common, residual: masked, activation: a.activation };
    const residualOf = (dz = dy[0]) => (a.residual ? [dz] : []);
    const wantsAffine = a.affine && (wants[3] || wants[4]);
    if (a.statistics === 'constant') {
      const [dx, dbeta, dgamma, dz] = batchNormGradFrozen(
        [dy[0]!, x, mean, variance, ...gammaBeta, ...seesOutput],
        sums,
      );
      return [
        dx,
        undefined,
        undefined,
        ...(a.affine ? [wantsAffine ? dgamma : undefined, dbeta] : []),
        ...residualOf(dz),
      ];
    }
    const [dbeta, dgamma, dz] = batchNormGradSums([dy[0]!, x, mean, variance, ...gammaBeta, ...seesOutput], sums);
    const dx = wants[0]
      ? batchNormGradInput([dz ?? dy[0]!, x, mean, variance, ...gammaBeta, dbeta!, dgamma!], {
          ...common,
          activation: masked ? 'none' : a.activation,
        })[0]
      : undefined;
    return [dx, undefined, undefined, ...(a.affine ? [dgamma, dbeta] : []), ...residualOf(dz)];
  },
});

/** Σdz and Σdz·x̂ of each channel, and dz = dy · act′ itself where a shortcut wants it (`residual`). */
export const batchNormGradSums = defineOp({
  name: 'batch_norm_grad_sums',
  attributes: { ...affineNorm, residual: flag(false), activation: word('none') },
  isGradientSums: a => !a.residual,
  infer: ([dy], a) => {
    const c = dy!.shape.at(-1)!;
    return [fixed([c]), fixed([c]), ...(a.residual ? [dy!] : [])];
  },
});

export const batchNormGradInput = defineOp({
  name: 'batch_norm_grad_input',
  attributes: { ...affineNorm, activation: word('none') },
  infer: ([dy]) => [dy!],
  inPlace: [[0, 0]],
});

export const batchNormGradFrozen = defineOp({
  name: 'batch_norm_grad_frozen',
  attributes: { ...affineNorm, residual: flag(false), activation: word('none') },
  infer: ([dy], a) => {
    const c = dy!.shape.at(-1)!;
    return [dy!, fixed([c]), fixed([c]), ...(a.residual ? [dy!] : [])];
  },
});

const affineGradients = (affine: boolean, parameter: () => TensorType): TensorType[] =>
  affine ? [parameter(), parameter()] : [];

/** Normalises each row over its last `axes` dimensions (Ba et al. 2016); γ, β have the shape of those. */
export const layerNorm = defineOp({
  name: 'layer_norm',
  attributes: { axes: int(1, 1), ...affineNorm },
  infer: ([x, gamma], a, where) => {
    if (a.axes > x!.shape.length) throw shapeError(where, `at least ${a.axes} dimensions`, showType(x!));
    const normalized = x!.shape.slice(-a.axes);
    if (gamma && !sameShape(gamma.shape, normalized)) {
      throw shapeError(where, `parameters of ${normalized.join('×')}`, showType(gamma));
    }
    const outer = { ...x!, shape: x!.shape.slice(0, -a.axes) };
    return [x!, outer, outer];
  },
  dense: true,
  gradient: ({ inputs, outputs, dy, attributes: a }) => {
    const [dx, dgamma, dbeta] = layerNormGrad(
      [dy[0]!, inputs[0]!, outputs[1]!, outputs[2]!, ...(a.affine ? [inputs[1]!] : [])],
      { axes: a.axes, affine: a.affine },
    );
    return [dx, dgamma, dbeta];
  },
});

export const layerNormGrad = defineOp({
  name: 'layer_norm_grad',
  attributes: { axes: int(1, 1), affine: flag(true) },
  infer: ([dy], a) => [dy!, ...affineGradients(a.affine, () => fixed(dy!.shape.slice(-a.axes)))],
  dense: true,
});

/** Normalises each row over its pixels and the channels of one group (Wu & He 2018); instance norm: groups = c. */
export const groupNorm = defineOp({
  name: 'group_norm',
  attributes: { groups: int(1, 1), ...affineNorm },
  infer: ([x], a, where) => {
    const c = x!.shape.at(-1)!;
    if (c % a.groups !== 0) throw shapeError(where, `channels divisible by ${a.groups} groups`, `${c}`);
    const statistics = { ...x!, shape: [a.groups] };
    return [x!, statistics, statistics];
  },
  gradient: ({ inputs, outputs, dy, attributes: a }) => {
    const [dx, dgamma, dbeta] = groupNormGrad(
      [dy[0]!, inputs[0]!, outputs[1]!, outputs[2]!, ...(a.affine ? [inputs[1]!] : [])],
      { groups: a.groups, affine: a.affine },
    );
    return [dx, dgamma, dbeta];
  },
});

export const groupNormGrad = defineOp({
  name: 'group_norm_grad',
  attributes: { groups: int(1, 1), affine: flag(true) },
  infer: ([dy], a) => [dy!, ...affineGradients(a.affine, () => fixed([dy!.shape.at(-1)!]))],
});

const lrnAttributes = { size: int(5, 1), alpha: real(1e-4), beta: real(0.75), k: real(1) };

/** y = x / (k + α/size · Σ x²)^β over `size` neighbouring channels (Krizhevsky et al. 2012, section 3.3). */
export const lrn = defineOp({
  name: 'lrn',
  attributes: lrnAttributes,
  infer: ([x]) => [x!],
  gradient: ({ inputs, outputs, dy, attributes }) => lrnGrad([dy[0]!, inputs[0]!, outputs[0]!], attributes),
});

export const lrnGrad = defineOp({ name: 'lrn_grad', attributes: lrnAttributes, infer: ([dy]) => [dy!] });
