/**
 * SqueezeNet. Iandola, Han, Moskewicz, Ashraf, Dally & Keutzer 2016, SqueezeNet: AlexNet-level accuracy with 50x fewer
 * parameters and <0.5MB model size, table 1, as torchvision writes it; 1.1 is the authors' cheaper revision. The CIFAR
 * form (weiaicunzai/pytorch-cifar100) has batch norm and the paper's simple bypass (section 6); that of 1.1 is ours,
 * the same with its stem and pools, counted in PyTorch.
 */

import { branches, conv2d, dropout, globalAvgPool, maxPool, relu, residual, seq } from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { convBn } from './blocks.js';
import { type BuildParameters, defineFamily, published } from './zoo.js';

const init = 'kaiming_normal';

// Squeeze width and width of each of the two expansions, fire2 to fire9; where the pools stand; the stem.
const fires = [
  [16, 64],
  [16, 64],
  [32, 128],
  [32, 128],
  [48, 192],
  [48, 192],
  [64, 256],
  [64, 256],
] as const;
const versions = {
  '1.0': { width: 96, kernel: 7, poolsBefore: [2, 5, 9] },
  '1.1': { width: 64, kernel: 3, poolsBefore: [2, 4, 6] },
} as const;

const convRelu = (width: number, kernel: number): Block => seq({ conv: conv2d(width, kernel, { init }), relu: relu() });
const convBnRelu = (width: number, kernel: number): Block => convBn(width, kernel, { bias: true, init });

const fire = (squeeze: number, expand: number, conv: typeof convRelu): Block =>
  seq({ squeeze: conv(squeeze, 1), expand: branches({ expand1x1: conv(expand, 1), expand3x3: conv(expand, 3) }) });

const imagenet = (version: keyof typeof versions, classes: number): Block => {
  const { width, kernel, poolsBefore } = versions[version];
  // A pool's last window may hang over the end, as in Caffe.
  const pool = maxPool(3, { stride: 2, ceil: true });
  return seq({
    conv1: conv2d(width, kernel, { stride: 2, padding: 'valid', init }),
    relu1: relu(),
    ...Object.fromEntries(
      fires.flatMap(([squeeze, expand], i) => [
        [`pool${i + 2}`, (poolsBefore as readonly number[]).includes(i + 2) ? pool : undefined],
        [`fire${i + 2}`, fire(squeeze, expand, convRelu)],
      ]),
    ),
    dropout: dropout(0.5),
    conv10: conv2d(classes, 1, { init: 'normal_0.01' }),
    relu10: relu(),
    pool: globalAvgPool(),
  });
};

/** fire3, 5 and 7 are bypassed: those that keep the width, but for the last, as in the reference. */
const cifar = (version: keyof typeof versions, classes: number): Block => {
  const { width, poolsBefore } = versions[version];
  return seq({
    conv1: convBnRelu(width, 3),
    ...Object.fromEntries(
      fires.flatMap(([squeeze, expand], i) => {
        const block = fire(squeeze, expand, convBnRelu);
        return [
          [`pool${i + 2}`, (poolsBefore as readonly number[]).includes(i + 2) ? maxPool(2) : undefined],
          [`fire${i + 2}`, [3, 5, 7].includes(i + 2) ? residual(block) : block],
        ];
      }),
    ),
    conv10: conv2d(classes, 1, { init: 'normal_0.01' }),
    pool: globalAvgPool(),
  });
};

const write =
  (version: keyof typeof versions) =>
  ({ form, classes }: BuildParameters): Block =>
    form === 'cifar' ? cifar(version, classes) : imagenet(version, classes);

export default defineFamily(
  { family: 'SqueezeNet', paper: 'SqueezeNet: AlexNet-level accuracy with 50x fewer parameters', year: 2016 },
  {
    squeezenet1_0: {
      forms: {
        // The reference counts 100 classes.
        cifar: { input: [32, 32, 3], classes: 100, params: 781_156, multiplyAddsMillions: 53.28 },
        ...published({ imagenet: [1_248_424, 818.92, 0.5809] }),
      },
      write: write('1.0'),
    },
    squeezenet1_1: {
      forms: published({ cifar: [733_514, 23.51], imagenet: [1_235_496, 349.15, 0.5818] }),
      write: write('1.1'),
    },
  },
);
