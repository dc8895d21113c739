/**
 * Inception-v3. Szegedy, Vanhoucke, Ioffe, Shlens & Wojna 2015, Rethinking the Inception architecture for computer
 * vision, section 6 and figures 5 to 10, as torchvision writes it. The paper does not say how much the auxiliary
 * classifier's loss counts: 0.4 is what TF-slim and PyTorch's tutorials take; its windows shrink to the grid where that
 * is smaller, as in TF-slim. The CIFAR form (weiaicunzai/pytorch-cifar100, of 100 classes) keeps the resolution in the
 * stem, projects pools of mixed5 by 3×3, has 7×1 before 1×7 in the second branch of mixed6, and an average pool in
 * mixed7; it has no auxiliary classifier: the one here is ours, counted in PyTorch.
 */

import {
  avgPool,
  branches,
  type ConvOptions,
  dropout,
  globalAvgPool,
  linear,
  maxPool,
  seq,
  sideOutput,
} from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { auxiliaryPool, convBn } from './blocks.js';
import { type BuildParameters, defineFamily, type Form } from './zoo.js';

const maximum = maxPool(3, { stride: 2 });
const wide = [1, 7] as const;
const tall = [7, 1] as const;
const shrink = { stride: 2, padding: 'valid' } as const;

/** The modules, and the convolution that they consist of. */
const parts = (form: Form) => {
  const cifar = form === 'cifar';
  const conv = (width: number, kernel: number | readonly [number, number], options: ConvOptions = {}): Block =>
    convBn(width, kernel, { init: 'kaiming_normal', norm: { epsilon: cifar ? 1e-5 : 1e-3 }, ...options });
  const pooled = (proj: number, kernel = 1): Block =>
    seq({ pool: avgPool(3, { stride: 1, padding: 1 }), proj: conv(proj, kernel) });
  const split = (width: number): Block => branches({ '1x3': conv(width, [1, 3]), '3x1': conv(width, [3, 1]) });
  return {
    conv,
    /** Figure 5. */
    a: (proj: number): Block =>
      branches({
        '1x1': conv(64, 1),
        '5x5': seq(conv(48, 1), conv(64, 5)),
        '3x3dbl': seq(conv(64, 1), conv(96, 3), conv(96, 3)),
        pool: pooled(proj, cifar ? 3 : 1),
      }),
    /** Figure 10. */
    b: branches({
      '3x3': conv(384, 3, shrink),
      '3x3dbl': seq(conv(64, 1), conv(96, 3), conv(96, 3, shrink)),
      pool: maximum,
    }),
    /** Figure 6 with n = 7. */
    c: (width: number): Block =>
      branches({
        '1x1': conv(192, 1),
        '7x7': seq(conv(width, 1), conv(width, cifar ? tall : wide), conv(192, cifar ? wide : tall)),
        '7x7dbl': seq(conv(width, 1), conv(width, tall), conv(width, wide), conv(width, tall), conv(192, wide)),
        pool: pooled(192),
      }),
    /** As figure 10, with 7×7 in front. */
    d: branches({
      '3x3': seq(conv(192, 1), conv(320, 3, shrink)),
      '7x7': seq(conv(192, 1), conv(192, wide), conv(192, tall), conv(192, 3, shrink)),
      pool: cifar ? avgPool(3, { stride: 2 }) : maximum,
    }),
    /** Figure 7. */
    e: branches({
      '1x1': conv(320, 1),
      '3x3': seq({ conv: conv(384, 1), split: split(384) }),
      '3x3dbl': seq({ reduce: conv(448, 1), conv: conv(384, 3), split: split(384) }),
      pool: pooled(192),
    }),
  };
};

const write = ({ form, classes, auxiliary }: BuildParameters): Block => {
  const { conv, a, b, c, d, e } = parts(form);
  const large = form === 'imagenet';
  const classifier = seq({
    pool: auxiliaryPool,
    conv1: conv(128, 1),
    conv2: x => conv(768, [Math.min(5, x.shape[0]!), Math.min(5, x.shape[1]!)], { padding: 'valid' })(x),
    global: globalAvgPool(),
    fc: linear(classes),
  });
  return seq({
    conv1: conv(32, 3, large ? shrink : {}),
    conv2: conv(32, 3, large ? { padding: 'valid' } : {}),
    conv3: conv(64, 3),
    pool3: large ? maximum : undefined,
    conv4: conv(80, 1),
    conv5: conv(192, 3, { padding: 'valid' }),
    pool5: large ? maximum : undefined,
    mixed5: seq({ b: a(32), c: a(64), d: a(64) }),
    mixed6: seq({ a: b, b: c(128), c: c(160), d: c(160), e: c(192) }),
    side6: auxiliary ? sideOutput('aux', 0.4, classifier) : undefined,
    mixed7: seq({ a: d, b: e, c: e }),
    pool: globalAvgPool(),
    dropout: dropout(0.5),
    fc: linear(classes),
  });
};

export default defineFamily(
  { family: 'Inception', paper: 'Rethinking the Inception architecture for computer vision', year: 2015 },
  {
    inception_v3: {
      forms: {
        cifar: {
          input: [32, 32, 3],
          classes: 100,
          params: 22_318_148,
          multiplyAddsMillions: 3390.71,
          auxiliaryParams: 24_068_008,
        },
        imagenet: {
          input: [299, 299, 3],
          classes: 1000,
          params: 23_834_568,
          multiplyAddsMillions: 5713.22,
          auxiliaryParams: 27_161_264,
          top1: 0.7729,
        },
      },
      write,
    },
  },
);
