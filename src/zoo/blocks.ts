// Blocks that more than one family uses.

import { activate, type BatchNormOptions, batchNorm, type ConvOptions, conv2d, seq } from '../layers/index.js';
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
