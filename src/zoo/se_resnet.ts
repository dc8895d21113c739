/**
 * SE-ResNet. Hu, Shen & Sun 2017, Squeeze-and-excitation networks, table 1 and figure 3: each branch is scaled channel
 * by channel before it is added, reduction 16. As the authors' Caffe networks (Cadene/pretrained-models.pytorch): the
 * stride of a bottleneck is on its first 1×1, the first pool is unpadded. The CIFAR form (kuangliu/pytorch-cifar) is
 * pre-activated and has no last norm.
 */

import { activate, globalAvgPool, linear, maxPool, relu, residual, scaleChannels, seq } from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { convBn } from './blocks.js';
import { preActivated, preActivatedBasic } from './preact_resnet.js';
import { type BuildParameters, defineFamily, type Published, published } from './zoo.js';

const init = 'kaiming_fan_out';
const widths = [64, 128, 256, 512];

/** x · σ(W₂ relu(W₁ mean(x))), with c/16 channels between (section 3). */
const excited: Block = x => {
  const c = x.shape[2]!;
  const gate = seq({
    pool: globalAvgPool(),
    fc1: linear(c / 16),
    relu: relu(),
    fc2: linear(c),
    sigmoid: activate('sigmoid'),
  });
  const s = x.model.scoped('gate', () => gate(x));
  return x.model.scoped('scale', () => scaleChannels(x, s));
};

const bottleneck =
  (width: number, stride: number): Block =>
  x => {
    const out = 4 * width;
    const branch = seq({
      conv1: convBn(width, 1, { stride, init }),
      conv2: convBn(width, 3, { init }),
      conv3: convBn(out, 1, { activation: 'none', init }),
      se: excited,
    });
    const project = x.shape[2] === out ? undefined : convBn(out, 1, { stride, activation: 'none', init });
    return seq({ sum: residual(branch, project), relu: relu() })(x);
  };

const preActivatedUnit = (width: number, stride: number): Block =>
  preActivated(seq({ branch: preActivatedBasic(width, stride), se: excited }), width, stride);

const stages = (unit: (width: number, stride: number) => Block, repeats: readonly number[]): Record<string, Block> =>
  Object.fromEntries(
    widths.map((width, i) => [
      `stage${i + 1}`,
      seq(...Array.from({ length: repeats[i]! }, (_, j) => unit(width, i > 0 && j === 0 ? 2 : 1))),
    ]),
  );

const large = (repeats: readonly number[], ...imagenet: Published) => ({
  forms: published({ imagenet }),
  write: ({ classes }: BuildParameters) =>
    seq({
      conv1: convBn(64, 7, { stride: 2, init }),
      pool1: maxPool(3, { stride: 2, ceil: true }),
      ...stages(bottleneck, repeats),
      pool: globalAvgPool(),
      fc: linear(classes),
    }),
});

export default defineFamily(
  { family: 'SENet', paper: 'Squeeze-and-excitation networks', year: 2017 },
  {
    se_resnet18: {
      forms: published({ cifar: [11_260_354, 555.51] }),
      write: ({ classes }) =>
        seq({
          conv1: convBn(64, 3, { init }),
          ...stages(preActivatedUnit, [2, 2, 2, 2]),
          pool: globalAvgPool(),
          fc: linear(classes),
        }),
    },
    // blocks a stage; parameters, multiply-adds in millions, accuracy
    se_resnet50: large([3, 4, 6, 3], 28_088_024, 3860.49, 0.7764),
    se_resnet101: large([3, 4, 23, 3], 49_326_872, 7574.94, 0.784),
    se_resnet152: large([3, 8, 36, 3], 66_821_848, 11288.99, 0.7866),
  },
);
