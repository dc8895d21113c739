/**
 * Xception. Chollet 2016, Xception: Deep learning with depthwise separable convolutions, figure 5: nothing stands
 * between a depthwise convolution and its pointwise one. As Cadene and timm (legacy_xception) write it: pools padded on
 * all sides, ε = 10⁻⁵ (Keras leaves it at 10⁻³). The CIFAR form (weiaicunzai/pytorch-cifar100) keeps full resolution in
 * the stem and in the third unit; its projections have biases, and its activations in place also reach the shortcuts.
 */

import {
  batchNorm,
  conv2d,
  depthwiseConv2d,
  globalAvgPool,
  linear,
  maxPool,
  relu,
  residual,
  seq,
} from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { convBn } from './blocks.js';
import { type BuildParameters, defineFamily } from './zoo.js';

const init = 'kaiming_fan_out';

const separable = (width: number): Block =>
  seq({ depthwise: depthwiseConv2d(3, { bias: false, init }), pointwise: conv2d(width, 1, { bias: false, init }) });

type Unit = readonly [widths: readonly number[], stride: number, cifarStride: number, lead: Lead, cifarLead: Lead];
/** Where a unit's first activation stands: nowhere, in the branch, or before shortcut and branch. */
type Lead = 'none' | 'branch' | 'both';

const units: readonly Unit[] = [
  // widths; stride (0: no pool, the middle flow) and first activation, each also in the CIFAR form
  [[128, 128], 2, 2, 'none', 'none'],
  [[256, 256], 2, 2, 'branch', 'both'],
  [[728, 728], 2, 1, 'branch', 'both'],
  ...Array.from({ length: 8 }, (): Unit => [[728, 728, 728], 0, 0, 'branch', 'both']),
  [[728, 1024], 2, 2, 'branch', 'branch'],
];

const unit = (widths: readonly number[], stride: number, lead: Lead, bias: boolean): Block => {
  const branch = seq({
    ...Object.fromEntries(
      widths.flatMap((width, i) => [
        [`relu${i + 1}`, i > 0 || lead === 'branch' ? relu() : undefined],
        [`conv${i + 1}`, separable(width)],
        [`bn${i + 1}`, batchNorm()],
      ]),
    ),
    pool: stride > 0 ? maxPool(3, { stride, padding: 1 }) : undefined,
  });
  const project = stride > 0 ? convBn(widths.at(-1)!, 1, { stride, bias, activation: 'none', init }) : undefined;
  return seq({ relu: lead === 'both' ? relu() : undefined, sum: residual(branch, project) });
};

const write = ({ form, classes }: BuildParameters): Block => {
  const cifar = form === 'cifar';
  const padding = cifar ? 1 : 'valid';
  return seq({
    conv1: convBn(32, 3, { stride: cifar ? 1 : 2, padding, init }),
    conv2: convBn(64, 3, { padding, init }),
    blocks: seq(
      ...units.map(([widths, stride, cifarStride, lead, cifarLead]) =>
        cifar ? unit(widths, cifarStride, cifarLead, true) : unit(widths, stride, lead, false),
      ),
    ),
    conv3: separable(1536),
    bn3: batchNorm(),
    relu3: relu(),
    conv4: separable(2048),
    bn4: batchNorm(),
    relu4: relu(),
    pool: globalAvgPool(),
    fc: linear(classes),
  });
};

export default defineFamily(
  { family: 'Xception', paper: 'Xception: Deep learning with depthwise separable convolutions', year: 2016 },
  {
    xception: {
      forms: {
        // The reference counts 100 classes.
        cifar: { input: [32, 32, 3], classes: 100, params: 21_013_988, multiplyAddsMillions: 1129.87 },
        imagenet: {
          input: [299, 299, 3],
          classes: 1000,
          params: 22_855_952,
          multiplyAddsMillions: 8357.4,
          top1: 0.7904,
        },
      },
      write,
    },
  },
);
