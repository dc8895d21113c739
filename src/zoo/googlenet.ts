/**
 * GoogLeNet. Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke & Rabinovich 2014, Going deeper with
 * convolutions, table 1 and section 5, as torchvision writes it: batch norm, 3×3 in place of 5×5. The CIFAR form
 * (kuangliu/pytorch-cifar) has one 3×3 stem, keeps the biases, and takes two 3×3 for each 5×5; it has no auxiliary
 * classifiers, so that those here are torchvision's, counted in PyTorch. The paper's own network is googlenet_2014.ts.
 */

import {
  adaptiveAvgPool,
  branches,
  type ConvOptions,
  dropout,
  flatten,
  globalAvgPool,
  linear,
  maxPool,
  relu,
  seq,
  sideOutput,
} from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { convBn } from './blocks.js';
import { type BuildParameters, defineFamily, published } from './zoo.js';

const modules = {
  // 1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, pool proj
  '3a': [64, 96, 128, 16, 32, 32],
  '3b': [128, 128, 192, 32, 96, 64],
  '4a': [192, 96, 208, 16, 48, 64],
  '4b': [160, 112, 224, 24, 64, 64],
  '4c': [128, 128, 256, 24, 64, 64],
  '4d': [112, 144, 288, 32, 64, 64],
  '4e': [256, 160, 320, 32, 128, 128],
  '5a': [256, 160, 320, 32, 128, 128],
  '5b': [384, 192, 384, 48, 128, 128],
} as const;

/** What each implementation does in its own way. */
export interface Style {
  readonly stem: Readonly<Record<string, Block>>;
  readonly conv: (width: number, kernel: number, options?: ConvOptions) => Block;
  readonly conv5x5: (width: number) => Block;
  /** Before the modules 4a and 5a. */
  readonly pools: readonly [Block, Block];
  readonly auxiliaryPool: Block;
  readonly dropout: number;
}

const inception = ({ conv, conv5x5 }: Style, name: keyof typeof modules): Block => {
  const [w1, reduce3, w3, reduce5, w5, proj] = modules[name];
  return branches({
    '1x1': conv(w1, 1),
    '3x3': seq({ reduce: conv(reduce3, 1), conv: conv(w3, 3) }),
    '5x5': seq({ reduce: conv(reduce5, 1), conv: conv5x5(w5) }),
    pool: seq({ pool: maxPool(3, { stride: 1, padding: 1 }), proj: conv(proj, 1) }),
  });
};

const classifier = ({ auxiliaryPool, conv }: Style, classes: number): Block =>
  seq({
    pool: auxiliaryPool,
    conv: conv(128, 1),
    flatten: flatten(),
    fc1: linear(1024),
    relu: relu(),
    dropout: dropout(0.7),
    fc2: linear(classes),
  });

export const googlenet = (style: Style, { classes, auxiliary }: BuildParameters): Block => {
  const side = (name: string): Block | undefined =>
    auxiliary ? sideOutput(name, 0.3, classifier(style, classes)) : undefined;
  return seq({
    stem: seq(style.stem),
    inception3a: inception(style, '3a'),
    inception3b: inception(style, '3b'),
    pool3: style.pools[0],
    inception4a: inception(style, '4a'),
    side4a: side('aux1'),
    inception4b: inception(style, '4b'),
    inception4c: inception(style, '4c'),
    inception4d: inception(style, '4d'),
    side4d: side('aux2'),
    inception4e: inception(style, '4e'),
    pool4: style.pools[1],
    inception5a: inception(style, '5a'),
    inception5b: inception(style, '5b'),
    pool: globalAvgPool(),
    dropout: style.dropout > 0 ? dropout(style.dropout) : undefined,
    fc: linear(classes),
  });
};

const init = 'kaiming_normal';
const conv: Style['conv'] = (width, kernel, options) =>
  convBn(width, kernel, { init, norm: { epsilon: 1e-3 }, ...options });
const biased: Style['conv'] = (width, kernel) => convBn(width, kernel, { init, bias: true });
// A pool's last window may hang over the end.
const pool = maxPool(3, { stride: 2, ceil: true });

const torchvision: Style = {
  stem: { conv1: conv(64, 7, { stride: 2 }), pool1: pool, conv2: conv(64, 1), conv3: conv(192, 3), pool2: pool },
  conv,
  conv5x5: width => conv(width, 3),
  pools: [pool, maxPool(2, { ceil: true })],
  auxiliaryPool: adaptiveAvgPool(4),
  dropout: 0.2,
};

const kuangliu: Style = {
  ...torchvision,
  stem: { conv1: biased(192, 3) },
  conv: biased,
  conv5x5: width => seq(biased(width, 3), biased(width, 3)),
  pools: [maxPool(3, { stride: 2, padding: 1 }), maxPool(3, { stride: 2, padding: 1 })],
  dropout: 0,
};

export const googlenetPaper = { family: 'GoogLeNet', paper: 'Going deeper with convolutions', year: 2014 } as const;

export default defineFamily(googlenetPaper, {
  googlenet: {
    // CIFAR and ImageNet: parameters, multiply-adds in millions, accuracy; parameters with auxiliary classifiers
    forms: published(
      { cifar: [6_166_250, 1521.76], imagenet: [6_624_904, 1498.38, 0.6978] },
      { cifar: 10_516_990, imagenet: 13_004_888 },
    ),
    write: parameters => googlenet(parameters.form === 'cifar' ? kuangliu : torchvision, parameters),
  },
});
