/**
 * ResNet for CIFAR-10. He, Zhang, Ren & Sun 2015, Deep residual learning for image recognition, section 4.2:
 * depth 6n + 2, three stages of n blocks, shortcuts of type A (every second pixel, zero channels on both sides).
 */

import { batchNorm, conv2d, globalAvgPool, linear, pad, relu, residual, seq, subsample } from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { convBn } from './blocks.js';
import { defineFamily } from './zoo.js';

const widths = [16, 32, 64];
const init = 'kaiming_normal';

const shortcut = (width: number): Block =>
  seq({ pixels: subsample(2), channels: pad({ channels: [width / 4, width / 4] }) });

const block = (width: number, stride: number): Block =>
  seq({
    sum: residual(
      seq({
        conv1: conv2d(width, 3, { stride, bias: false, init }),
        bn1: batchNorm(),
        relu1: relu(),
        conv2: conv2d(width, 3, { bias: false, init }),
        bn2: batchNorm(),
      }),
      stride > 1 ? shortcut(width) : undefined,
    ),
    relu2: relu(),
  });

const stage = (width: number, blocks: number, stride: number): Block =>
  seq(...Array.from({ length: blocks }, (_, i) => block(width, i === 0 ? stride : 1)));

const network = (depth: number, params: number, multiplyAddsMillions: number, top1: number) => ({
  forms: { cifar: { input: [32, 32, 3] as const, classes: 10, params, multiplyAddsMillions, top1 } },
  write: ({ classes }: { classes: number }) => {
    const blocks = (depth - 2) / 6;
    return seq({
      stem: convBn(16, 3, { init }),
      ...Object.fromEntries(widths.map((width, i) => [`stage${i + 1}`, stage(width, blocks, i === 0 ? 1 : 2)])),
      pool: globalAvgPool(),
      fc: linear(classes, { init }),
    });
  },
});

export default defineFamily(
  { family: 'ResNet', paper: 'Deep residual learning for image recognition', year: 2015 },
  {
    // depth, parameters, multiply-adds in millions, accuracy: the paper's table 6
    resnet20: network(20, 269_722, 40.55, 0.9125),
    resnet32: network(32, 464_154, 68.86, 0.9249),
    resnet44: network(44, 658_586, 97.17, 0.9283),
    resnet56: network(56, 853_018, 125.49, 0.9303),
    resnet110: network(110, 1_727_962, 252.89, 0.9357),
    resnet1202: network(1202, 19_421_274, 2829.24, 0.9207),
  },
);
