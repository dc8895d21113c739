/**
 * NASNet-A. Zoph, Vasudevan, Shlens & Le 2017, Learning transferable architectures for scalable image recognition,
 * figure 4 (the cells), section 3 and appendix A (how they are stacked, auxiliary classifier, scheduled drop path), as
 * TF-slim writes it: TensorFlow's padding, an activation before every convolution.
 */

import { dropout, globalAvgPool, linear, relu, reshapeTo, seq } from '../layers/index.js';
import { type Block, sideOutput, type Tensor } from '../layers/model.js';
import { auxiliaryPool, convBn } from './blocks.js';
import { type Cell, writeCell } from './cells.js';
import { type BuildParameters, defineFamily, type FormInfo } from './zoo.js';

// 0 is the input, 1 the cell before it, 2 to 6 the five sums.
const normal: Cell = {
  sums: [
    ['separable5', 0, 'separable3', 1],
    ['separable5', 1, 'separable3', 1],
    ['avg_pool3', 0, 'identity', 1],
    ['avg_pool3', 1, 'avg_pool3', 1],
    ['separable3', 0, 'identity', 0],
  ],
  yields: [1, 2, 3, 4, 5, 6],
};
const reduction: Cell = {
  sums: [
    ['separable5', 0, 'separable7', 1],
    ['max_pool3', 0, 'separable7', 1],
    ['avg_pool3', 0, 'separable5', 1],
    ['identity', 3, 'avg_pool3', 2],
    ['separable3', 2, 'max_pool3', 0],
  ],
  yields: [3, 4, 5, 6],
};
/** timm's means of strided windows count the padding. */
const timmReduction: Cell = {
  ...reduction,
  sums: reduction.sums.map(row => (row[0] === 'avg_pool3' ? ['avg_pool3_zeros', row[1], row[2], row[3]] : row)),
};

interface Shape {
  /** Normal cells in each of three stages, and the width of the first. */
  readonly cells: number;
  readonly width: number;
  readonly stem: number;
  /** For large pictures: a stem that divides the resolution by 8. */
  readonly large: boolean;
  /** What a cell behind a reduction has before it: the reduction's own predecessor instead of its input. */
  readonly skips?: boolean;
  readonly reduction?: Cell;
  /** Rate of scheduled drop path in the last cell. */
  readonly dropPath: number;
}

const init = 'kaiming_fan_out';

/** To 1/3 of the resolution, then a convolution of all that is left (TF-slim's). */
const auxiliaryHead = (classes: number, epsilon: number): Block =>
  seq({
    relu: relu(),
    pool: auxiliaryPool,
    conv1: convBn(128, 1, { norm: { epsilon }, init }),
    conv2: x => convBn(768, [x.shape[0]!, x.shape[1]!], { padding: 'valid', norm: { epsilon }, init })(x),
    vector: reshapeTo([768]),
    fc: linear(classes),
  });

const network = (shape: Shape, info: FormInfo) => ({
  forms: { [shape.large ? 'imagenet' : 'cifar']: info },
  write: ({ classes, auxiliary }: BuildParameters): Block => {
    const { cells, width, stem, large, skips, dropPath } = shape;
    const reducing = shape.reduction ?? reduction;
    const epsilon = large ? 1e-3 : 1e-5;
    const count = 3 * cells + (large ? 4 : 2);
    return x => {
      const options = large ? ({ stride: 2, padding: 'valid' } as const) : {};
      const first = convBn(stem, 3, { ...options, activation: 'none', norm: { epsilon }, init });
      let now = seq({ conv0: first })(x);
      let previous: Tensor | undefined;
      let halved = false;
      let written = 0;
      const cell = (path: string, kind: Cell, channels: number): Tensor => {
        const stride = kind === reducing ? 2 : 1;
        const rate = (dropPath * ++written) / count;
        const options = { width: channels, stride, halved, epsilon, dropPath: rate } as const;
        halved = kind === reducing;
        return x.model.scoped(path, () => writeCell(kind, now, previous, options));
      };
      for (const i of large ? [0, 1] : []) {
        [previous, now] = [now, cell(`stem${i}`, reducing, width / 2 ** (2 - i))];
      }
      for (let stage = 0; stage < 3; stage++) {
        const channels = width * 2 ** stage;
        if (stage > 0) {
          [previous, now] = [skips ? previous : now, cell(`reduction${stage - 1}`, reducing, channels)];
        }
        for (let i = 0; i < cells; i++) {
          [previous, now] = [now, cell(`stage${stage}.${i}`, normal, channels)];
        }
        if (stage === 1 && auxiliary) now = sideOutput('auxiliary', 0.4, auxiliaryHead(classes, epsilon))(now);
      }
      return seq({
        relu: relu(),
        pool: globalAvgPool(),
        dropout: large ? dropout(0.5) : undefined,
        fc: linear(classes),
      })(now);
    };
  },
});

type Row = readonly [
  side: number,
  classes: number,
  params: number,
  auxiliaryParams: number,
  millions: number,
  top1: number,
];

const info = (...[side, classes, params, auxiliaryParams, multiplyAddsMillions, top1]: Row): FormInfo => ({
  ...{ input: [side, side, 3], classes, params, auxiliaryParams, multiplyAddsMillions, top1 },
});

const largest: Shape = { large: true, cells: 6, width: 168, stem: 96, skips: true, dropPath: 0.3 };

export default defineFamily(
  { family: 'NASNet', paper: 'Learning transferable architectures for scalable image recognition', year: 2017 },
  {
    // shape; side, classes, parameters (without, with the auxiliary classifier), multiply-adds in millions, accuracy
    nasnet_a_large: network(largest, info(331, 1000, 88_753_150, 93_320_934, 23783.41, 0.827)),
    nasnet_a_large_timm: network(
      { ...largest, reduction: timmReduction },
      info(331, 1000, 88_753_150, 93_320_934, 23783.41, 0.8262),
    ),
    nasnet_a_mobile: network(
      { large: true, cells: 4, width: 44, stem: 32, dropPath: 0 },
      info(224, 1000, 5_289_978, 7_701_218, 563.64, 0.74),
    ),
    nasnet_a_cifar: network(
      { large: false, cells: 6, width: 32, stem: 96, dropPath: 0.4 },
      info(32, 10, 3_346_538, 4_978_036, 544.33, 0.9659),
    ),
  },
);
