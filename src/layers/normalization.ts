// Normalisation layers. Conventions are PyTorch's: momentum is the weight of the new value, running variance unbiased.

import type { Value } from '../graph/graph.js';
import { flag, int, real } from '../graph/op.js';
import {
  batchNorm as batchNormOp,
  groupNorm as groupNormOp,
  layerNorm as layerNormOp,
  lrn,
  moments,
} from '../ops/normalization.js';
import { type Initializer, ones, zeros } from './initializers.js';
import { type LayerContext, registerLayer } from './layer.js';
import { type Block, layer } from './model.js';

interface Affine {
  gamma?: Initializer;
  /** γ is learned; else it stays as it is. */
  scale?: boolean;
}

function affine(
  context: LayerContext,
  shape: readonly number[],
  wanted: boolean,
  { gamma = ones, scale = true }: Affine = {},
): Value[] {
  if (!wanted) return [];
  const weight = scale ? context.parameter('weight', shape, gamma, 'norm') : context.fixed('weight', shape, gamma);
  return [weight, context.parameter('bias', shape, zeros, 'norm')];
}

const batchNormLayer = registerLayer({
  kind: 'batch_norm',
  config: {
    epsilon: real(1e-5, 0),
    momentum: real(0.1, 0, 1),
    affine: flag(true),
    scale: flag(true),
    zero_gamma: flag(false),
    frozen: flag(false),
  },
  build: (context, [x], c) => {
    const channels = [x!.type.shape.at(-1)!];
    const gamma = c.zero_gamma ? zeros : ones;
    const parameters = affine(context, channels, c.affine, { gamma, scale: c.scale });
    const runningMean = context.statistic('running_mean', channels, zeros);
    const runningVariance = context.statistic('running_var', channels, ones);
    const { epsilon } = c;
    if (!context.training || c.frozen) {
      return batchNormOp([x!, runningMean, runningVariance, ...parameters], { epsilon, affine: c.affine })[0]!;
    }
    const [mean, variance, unbiased] = moments([x!]) as [Value, Value, Value];
    context.follow(runningMean, mean, c.momentum);
    context.follow(runningVariance, unbiased, c.momentum);
    return batchNormOp([x!, mean, variance, ...parameters], { epsilon, affine: c.affine, statistics: 'batch' })[0]!;
  },
});

const layerNormLayer = registerLayer({
  kind: 'layer_norm',
  config: { axes: int(0, 0), epsilon: real(1e-5, 0), affine: flag(true) },
  build: (context, [x], c) => {
    const axes = c.axes === 0 ? x!.type.shape.length : c.axes;
    const parameters = affine(context, x!.type.shape.slice(-axes), c.affine);
    return layerNormOp([x!, ...parameters], { axes, epsilon: c.epsilon, affine: c.affine })[0]!;
  },
});

const groupNormLayer = registerLayer({
  kind: 'group_norm',
  config: { groups: int(0, 0), epsilon: real(1e-5, 0), affine: flag(true) },
  build: (context, [x], c) => {
    const channels = x!.type.shape.at(-1)!;
    const parameters = affine(context, [channels], c.affine);
    return groupNormOp([x!, ...parameters], {
      groups: c.groups === 0 ? channels : c.groups,
      epsilon: c.epsilon,
      affine: c.affine,
    })[0]!;
  },
});

const lrnLayer = registerLayer({
  kind: 'lrn',
  config: { size: int(5, 1), alpha: real(1e-4), beta: real(0.75), k: real(1) },
  build: (_, [x], c) => lrn([x!], c)[0]!,
});

export interface BatchNormOptions {
  epsilon?: number;
  momentum?: number;
  affine?: boolean;
  /** Learn γ, where the norm is affine; else it stays 1. */
  scale?: boolean;
  /** γ begins at 0: a residual branch begins as the identity (Goyal et al. 2017, section 5.1). */
  zeroGamma?: boolean;
  /** Always use the running statistics. */
  frozen?: boolean;
}

/** Batch normalisation over rows and pixels, per channel (Ioffe & Szegedy 2015). Any shape n×…×c. */
export const batchNorm = ({ zeroGamma, ...options }: BatchNormOptions = {}): Block =>
  layer(batchNormLayer)({ ...options, ...(zeroGamma === undefined ? {} : { zero_gamma: zeroGamma }) });

/** Normalises each row over its last `axes` dimensions, by default all of them (Ba et al. 2016). */
export const layerNorm = (options: { axes?: number; epsilon?: number; affine?: boolean } = {}): Block =>
  layer(layerNormLayer)(options);

/** Normalises each row over its pixels and each of `groups` groups of channels (Wu & He 2018). */
export const groupNorm = (groups: number, options: { epsilon?: number; affine?: boolean } = {}): Block =>
  layer(groupNormLayer)({ groups, ...options });

/** Normalises each channel of each row over its pixels (Ulyanov et al. 2016); not affine by default, as in PyTorch. */
export const instanceNorm = (options: { epsilon?: number; affine?: boolean } = {}): Block =>
  layer(groupNormLayer)({ groups: 0, affine: false, ...options });

/** Local response normalisation across channels (Krizhevsky et al. 2012); α is divided by `size`, as in PyTorch. */
export const localResponseNorm = (options: { size?: number; alpha?: number; beta?: number; k?: number } = {}): Block =>
  layer(lrnLayer)(options);
