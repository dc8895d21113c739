/**
 * NASNet-A. Zoph, Vasudevan, Shlens & Le 2017, Learning transferable architectures for scalable image recognition,
 * figure 4 (the cells), section 3 and appendix A (how they are stacked, auxiliary classifier, scheduled drop path), as
 * TF-slim writes it: TensorFlow's padding, an activation before every convolution.
 */

import { avgPool, dropout, globalAvgPool, linear, relu, reshapeTo, seq } from '../layers/index.js';
import { type Block, sideOutput, type Tensor } from '../layers/model.js';
import { convBn } from './blocks.js';
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

interface Shape {
  /** Normal cells in each of the three stages, and their channels in the first. */
  readonly cells: number;
  readonly width: number;
  readonly stem: number;
  /** For large pictures: a stem that divides the resolution by 8. */
  readonly large: boolean;
  /** After a reduction the cell before is the one that the reduction had before it, not its input. */
  readonly skips?: boolean;
  readonly epsilon: number;
  /** Rate of scheduled drop path in the last cell, and of dropout before the last layer. */
  readonly dropPath: number;
  readonly dropout: number;
}

const init = 'kaiming_fan_out';

/** To 1/3 of the resolution, then a convolution of all that is left (TF-slim's). */
const auxiliaryHead =
  (classes: number, epsilon: number): Block =>
  x => {
    const y = seq({
      relu: relu(),
      pool: avgPool(5, { stride: 3 }),
      conv1: convBn(128, 1, { norm: { epsilon }, init }),
    })(x);
    const [h, w] = y.shape as [number, number];
    return seq({
      conv2: convBn(768, [h, w], { padding: 'valid', norm: { epsilon }, init }),
      vector: reshapeTo([768]),
      fc: linear(classes, { init }),
    })(y);
  };

const network = (shape: Shape, info: FormInfo) => ({
  forms: { [shape.large ? 'imagenet' : 'cifar']: info },
  write: ({ classes, auxiliary }: BuildParameters): Block => {
    const { cells, width, stem, large, skips, epsilon, dropPath } = shape;
    const count = 3 * cells + (large ? 4 : 2);
    return x => {
      let written = 0;
      const cell = (
        path: string,
        kind: Cell,
        channels: number,
        input: Tensor,
        previous: Tensor | undefined,
      ): Tensor => {
        const rate = (dropPath * ++written) / count;
        const stride = kind === reduction ? 2 : 1;
        return x.model.scoped(path, () =>
          writeCell(kind, input, previous, { width: channels, stride, epsilon, dropPath: rate }),
        );
      };
      const options = large ? ({ stride: 2, padding: 'valid' } as const) : {};
      const first = convBn(stem, 3, { ...options, activation: 'none', norm: { epsilon }, init });
      let previous: Tensor | undefined;
      let now = seq({ conv0: first })(x);
      for (const i of large ? [0, 1] : []) {
        [previous, now] = [now, cell(`stem${i}`, reduction, width / 2 ** (2 - i), now, previous)];
      }
      for (let stage = 0; stage < 3; stage++) {
        const channels = width * 2 ** stage;
        if (stage > 0) {
          const reduced = cell(`reduction${stage - 1}`, reduction, channels, now, previous);
          [previous, now] = [skips ? previous : now, reduced];
        }
        for (let i = 0; i < cells; i++) {
          [previous, now] = [now, cell(`stage${stage}.${i}`, normal, channels, now, previous)];
        }
        if (stage === 1 && auxiliary) now = sideOutput('auxiliary', 0.4, auxiliaryHead(classes, epsilon))(now);
      }
      return seq({
        relu: relu(),
        pool: globalAvgPool(),
        dropout: shape.dropout > 0 ? dropout(shape.dropout) : undefined,
        fc: linear(classes, { init }),
      })(now);
    };
  },
});

const imagenet = { large: true, epsilon: 1e-3, dropout: 0.5 };

export default defineFamily(
  {
    family: 'NASNet',
    paper: 'Learning transferable architectures for scalable image recognition',
    year: 2017,
  },
  {
    nasnet_a_large: network(
      { ...imagenet, cells: 6, width: 168, stem: 96, skips: true, dropPath: 0.3 },
      {
        input: [331, 331, 3],
        classes: 1000,
        params: 88_753_150,
        auxiliaryParams: 93_320_934,
        multiplyAddsMillions: 23783.41,
        top1: 0.827,
      },
    ),
    nasnet_a_mobile: network(
      { ...imagenet, cells: 4, width: 44, stem: 32, dropPath: 0 },
      {
        input: [224, 224, 3],
        classes: 1000,
        params: 5_289_978,
        auxiliaryParams: 7_701_218,
        multiplyAddsMillions: 563.64,
        top1: 0.74,
      },
    ),
    nasnet_a_cifar: network(
      { cells: 6, width: 32, stem: 96, large: false, epsilon: 1e-5, dropPath: 0.4, dropout: 0 },
      {
        input: [32, 32, 3],
        classes: 10,
        params: 3_346_538,
        auxiliaryParams: 4_978_036,
        multiplyAddsMillions: 544.33,
        top1: 0.9659,
      },
    ),
  },
);
