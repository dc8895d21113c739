/**
 * AlexNet. `alexnet_grouped` is that of Krizhevsky, Sutskever & Hinton 2012, ImageNet classification with deep
 * convolutional neural networks, section 3: conv2, 4 and 5 in two groups, local response normalisation before the
 * first two pools, 227×227 pixels; initial values as in section 5. `alexnet` is the one-tower form of Krizhevsky 2014,
 * One weird trick for parallelizing convolutional neural networks, as torchvision writes it: no groups, no such norm.
 * The CIFAR forms are ours, counted in PyTorch: conv1 is 5×5 with stride 1, the last pool leaves 3×3 pixels, and the
 * hidden layers have 1024 units.
 */

import {
  adaptiveAvgPool,
  conv2d,
  dropout,
  flatten,
  linear,
  localResponseNorm,
  maxPool,
  relu,
  seq,
} from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { type BuildParameters, defineFamily, published } from './zoo.js';

interface Tower {
  readonly widths: readonly [number, number, number, number, number];
  /** Padding of conv1. */
  readonly padding: number;
  /** Of conv2, 4 and 5. */
  readonly groups: number;
  readonly norm?: Block;
  /** Dropout stands before the hidden layers (torchvision), or behind them (the paper). */
  readonly dropout: 'before' | 'behind';
  /** Initial weights, and biases of conv2, 4, 5 and the hidden layers. */
  readonly initial: { readonly init: 'default' | 'normal_0.01'; readonly biasInit?: number };
}

const paper: Tower = {
  widths: [96, 256, 384, 384, 256],
  padding: 0,
  groups: 2,
  // α is divided by the size here, and is not in the paper: 10⁻⁴ each for five channels.
  norm: localResponseNorm({ size: 5, alpha: 5e-4, beta: 0.75, k: 2 }),
  dropout: 'behind',
  initial: { init: 'normal_0.01', biasInit: 1 },
};

const oneTower: Tower = {
  widths: [64, 192, 384, 256, 256],
  padding: 2,
  groups: 1,
  dropout: 'before',
  initial: { init: 'default' },
};

const pool = maxPool(3, { stride: 2 });

const network =
  ({ widths, padding, groups, norm, dropout: place, initial }: Tower) =>
  ({ form, classes }: BuildParameters): Block => {
    const cifar = form === 'cifar';
    const hidden = cifar ? 1024 : 4096;
    // With 0.01 everywhere CIFAR's narrow layers would fade; with He's, overlapping pools make scores begin large.
    const lifted = cifar ? ({ init: 'xavier_uniform' } as const) : initial;
    const { init } = lifted;
    const half = dropout(0.5);
    return seq({
      conv1: cifar ? conv2d(widths[0], 5, { init }) : conv2d(widths[0], 11, { stride: 4, padding, init }),
      relu1: relu(),
      norm1: norm,
      pool1: pool,
      conv2: conv2d(widths[1], 5, { groups, ...lifted }),
      relu2: relu(),
      norm2: norm,
      pool2: pool,
      conv3: conv2d(widths[2], 3, { init }),
      relu3: relu(),
      conv4: conv2d(widths[3], 3, { groups, ...lifted }),
      relu4: relu(),
      conv5: conv2d(widths[4], 3, { groups, ...lifted }),
      relu5: relu(),
      pool5: pool,
      // As many already with 227 and with 32 pixels.
      pool: adaptiveAvgPool(cifar ? 3 : 6),
      flatten: flatten(),
      dropout5: place === 'before' ? half : undefined,
      fc6: linear(hidden, lifted),
      relu6: relu(),
      dropout6: half,
      fc7: linear(hidden, lifted),
      relu7: relu(),
      dropout7: place === 'behind' ? half : undefined,
      fc8: linear(classes, { init: cifar ? 'normal_0.01' : init }),
    });
  };

export default defineFamily(
  { family: 'AlexNet', paper: 'ImageNet classification with deep convolutional neural networks', year: 2012 },
  {
    alexnet: {
      forms: published({ cifar: [5_871_434, 182.22], imagenet: [61_100_840, 714.19, 0.5652] }),
      write: network(oneTower),
    },
    alexnet_grouped: {
      // Accuracy of BVLC/caffe's replication.
      forms: {
        ...published({ cifar: [5_726_602, 177.45] }),
        imagenet: {
          input: [227, 227, 3],
          classes: 1000,
          params: 60_965_224,
          multiplyAddsMillions: 724.41,
          top1: 0.571,
        },
      },
      write: network(paper),
    },
  },
);
