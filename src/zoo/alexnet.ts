/**
 * AlexNet. `alexnet_grouped` is that of Krizhevsky, Sutskever & Hinton 2012, ImageNet classification with deep
 * convolutional neural networks, section 3: conv2, 4 and 5 in two groups, local response normalisation before the
 * first two pools. Its input is 227×227 pixels; biases begin at 0. `alexnet` is the one-tower form of Krizhevsky 2014,
 * One weird trick for parallelizing convolutional neural networks, as torchvision writes it: no groups, no such norm.
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
import { defineFamily, published } from './zoo.js';

const pool = maxPool(3, { stride: 2 });
// α is divided by the size here, and is not in the paper: 10⁻⁴ each for five channels.
const norm = localResponseNorm({ size: 5, alpha: 5e-4, beta: 0.75, k: 2 });

const grouped = (classes: number): Block => {
  const init = 'normal_0.01';
  return seq({
    conv1: conv2d(96, 11, { stride: 4, padding: 'valid', init }),
    relu1: relu(),
    norm1: norm,
    pool1: pool,
    conv2: conv2d(256, 5, { groups: 2, init }),
    relu2: relu(),
    norm2: norm,
    pool2: pool,
    conv3: conv2d(384, 3, { init }),
    relu3: relu(),
    conv4: conv2d(384, 3, { groups: 2, init }),
    relu4: relu(),
    conv5: conv2d(256, 3, { groups: 2, init }),
    relu5: relu(),
    pool5: pool,
    // 6×6 already with 227 pixels.
    pool: adaptiveAvgPool(6),
    flatten: flatten(),
    fc6: linear(4096, { init }),
    relu6: relu(),
    dropout6: dropout(0.5),
    fc7: linear(4096, { init }),
    relu7: relu(),
    dropout7: dropout(0.5),
    fc8: linear(classes, { init }),
  });
};

const oneTower = (classes: number): Block =>
  seq({
    conv1: conv2d(64, 11, { stride: 4, padding: 2 }),
    relu1: relu(),
    pool1: pool,
    conv2: conv2d(192, 5),
    relu2: relu(),
    pool2: pool,
    conv3: conv2d(384, 3),
    relu3: relu(),
    conv4: conv2d(256, 3),
    relu4: relu(),
    conv5: conv2d(256, 3),
    relu5: relu(),
    pool5: pool,
    pool: adaptiveAvgPool(6),
    flatten: flatten(),
    dropout6: dropout(0.5),
    fc6: linear(4096),
    relu6: relu(),
    dropout7: dropout(0.5),
    fc7: linear(4096),
    relu7: relu(),
    fc8: linear(classes),
  });

export default defineFamily(
  { family: 'AlexNet', paper: 'ImageNet classification with deep convolutional neural networks', year: 2012 },
  {
    alexnet: {
      forms: published({ imagenet: [61_100_840, 714.19, 0.5652] }),
      write: ({ classes }) => oneTower(classes),
    },
    alexnet_grouped: {
      // Accuracy of BVLC/caffe's replication.
      forms: {
        imagenet: {
          input: [227, 227, 3],
          classes: 1000,
          params: 60_965_224,
          multiplyAddsMillions: 724.41,
          top1: 0.571,
        },
      },
      write: ({ classes }) => grouped(classes),
    },
  },
);
