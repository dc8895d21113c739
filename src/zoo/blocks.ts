// Blocks that more than one family uses.

import {
  activate,
  avgPool,
  type BatchNormOptions,
  batchNorm,
  type ConvOptions,
  conv2d,
  excitation,
  scaleChannels,
  seq,
} from '../layers/index.js';
import type { Block } from '../layers/model.js';
import type { ActivationName } from '../ops/activations.js';

/** Convolution without bias, batch norm, activation. */
export const convBn = (
  channels: number,
  kernel: number | readonly [number, number],
  options: ConvOptions & { activation?: ActivationName | 'none'; norm?: BatchNormOptions } = {},
): Block => {
  const { activation = 'relu', norm, ...conv } = options;
  return seq({
    conv: conv2d(channels, kernel, { bias: false, ...conv }),
    bn: batchNorm(norm),
    [activation]: activation === 'none' ? undefined : activate(activation),
  });
};

/** x · excitation(x), with c/16 channels between (Hu et al. 2017, section 3). */
export const squeezeExcite: Block = x => {
  const s = x.model.scoped('gate', () => excitation()(x));
  return x.model.scoped('scale', () => scaleChannels(x, s));
};

/** In front of an auxiliary classifier: averages of 5×5 pixels, three apart, or of all where there are fewer. */
export const auxiliaryPool: Block = x => {
  const [h, w] = x.shape as [number, number, number];
  return avgPool([Math.min(5, h), Math.min(5, w)], { stride: 3 })(x);
};
