// From samples to feeds: how batches of a data set enter a program.

import { withViews } from '../data/cropped.js';
import type { Dataset, Split } from '../data/dataset.js';
import type { Preprocessing } from '../data/preprocessing.js';
import { DlcourseError } from '../errors.js';
import { fixed, type Graph, rows, type Value } from '../graph/graph.js';
import { augment } from '../ops/augment.js';
import type { Data } from '../runtime/program.js';
import { type Augmentation, drawAugmentation, noAugmentation } from './augmentation.js';
import type { Recipe } from './recipe.js';

export type Feeds = Record<string, Data>;

/** Samples of one split as feeds of a program. */
export interface Source {
  readonly length: number;
  /** Class of each sample; absent where targets are not classes. */
  readonly labels?: Int32Array;
  /** Consecutive samples that are crops of one picture, whose answers are averaged; 1 when absent. */
  readonly crops?: number;
  /** Adds the model's input to a graph. */
  readonly input: (graph: Graph) => Value;
  /** Feeds of a batch. In training, augmentation is drawn for `epoch`; otherwise pixels are only normalised. */
  readonly feeds: (samples: Int32Array, training: { seed: number; epoch: number } | undefined) => Promise<Feeds>;
  /** Announces a later batch. */
  readonly prefetch?: (samples: Int32Array) => void;
}

/** Images of a data set. */
export class ImageSource implements Source {
  readonly length: number;
  readonly labels: Int32Array;
  readonly crops: number;
  readonly #bytes: number;
  readonly #color: boolean;
  readonly #mixing: boolean;

  constructor(
    readonly split: Split,
    readonly preprocessing: Pick<Preprocessing, 'mean' | 'std'>,
    readonly augmentation: Augmentation = noAugmentation,
  ) {
    this.length = split.length;
    this.labels = split.labels;
    this.crops = split.crops ?? 1;
    const { height, width, channels } = split.image;
    this.#bytes = height * width * channels;
    this.#color = augmentation.jitter > 0 || (augmentation.lighting > 0 && channels === 3);
    this.#mixing = augmentation.mixup > 0 || augmentation.cutmix > 0;
  }

  input(graph: Graph): Value {
    const { height, width, channels } = this.split.image;
    const operands = [
      graph.feed('images', rows([height, width, channels], 'u8')),
      graph.feed('boxes', rows([4])),
      graph.feed('flip', rows([], 'i32')),
      graph.feed('erase', rows([4])),
      graph.feed('mean', fixed([channels])),
      graph.feed('std', fixed([channels])),
    ];
    if (this.#color) operands.push(graph.feed('color', rows([4])), graph.feed('lighting', rows([channels])));
    if (this.#mixing) {
      operands.push(
        graph.feed('partner', rows([], 'i32')),
        graph.feed('blend', rows([])),
        graph.feed('cut', rows([4])),
      );
    }
    return augment(operands, {
      ...{ size: [height, width], color: this.#color, mixing: this.#mixing },
      fill: this.augmentation.reflect ? 'reflect' : 'zero',
    })[0]!;
  }

  prefetch(samples: Int32Array): void {
    this.split.prefetch?.(samples);
  }

  async feeds(samples: Int32Array, training: { seed: number; epoch: number } | undefined): Promise<Feeds> {
    const n = samples.length;
    const { height, width, channels } = this.split.image;
    const images = new Uint8Array(n * this.#bytes);
    await this.split.read(samples, images);
    const labels = Int32Array.from(samples, s => this.labels[s]!);
    const boxes = new Float32Array(4 * n);
    const flip = new Int32Array(n);
    const erase = new Float32Array(4 * n);
    const color = new Float32Array(4 * n);
    const lighting = new Float32Array(channels * n);
    const mix = new Float32Array(n).fill(1);
    const blend = new Float32Array(n).fill(1);
    const cut = new Float32Array(4 * n);
    // A sample mixes with the one that is as far from the batch's end as it is from the start.
    const partner = Int32Array.from({ length: n }, (_, i) => (this.#mixing && training ? n - 1 - i : i));
    const augmentation = training ? this.augmentation : noAugmentation;
    const { seed, epoch } = training ?? { seed: 0, epoch: 0 };
    for (let i = 0; i < n; i++) {
      const draw = drawAugmentation(augmentation, seed, epoch, samples[i]!, [height, width, channels]);
      boxes.set(draw.box, 4 * i);
      flip[i] = Number(draw.flip);
      erase.set(draw.erase, 4 * i);
      color.set(draw.color, 4 * i);
      lighting.set(draw.lighting, channels * i);
      blend[i] = draw.blend;
      mix[i] = draw.mix;
      cut.set(draw.cut, 4 * i);
    }
    const { mean, std } = this.preprocessing;
    return {
      images,
      boxes,
      flip,
      erase,
      mean: Float32Array.from(mean),
      std: Float32Array.from(std),
      labels,
      partner_labels: partner.map(p => labels[p]!),
      mix,
      ...(this.#color ? { color, lighting } : {}),
      ...(this.#mixing ? { partner, blend, cut } : {}),
    };
  }
}

/** Both splits of a data set, the training one augmented; test pictures in `testCrops` views. */
export async function imageSources(
  dataset: Dataset,
  { augmentation, testCrops }: Pick<Recipe, 'augmentation' | 'testCrops'>,
  preprocessing?: Preprocessing,
): Promise<{ train: ImageSource; test: ImageSource; preprocessing: Preprocessing }> {
  const how = preprocessing ?? (await dataset.preprocessing());
  const { train, test } = dataset.splits;
  return {
    train: new ImageSource(train, how, augmentation),
    test: new ImageSource(withViews(test, testCrops), how),
    preprocessing: how,
  };
}

/** Rows in memory: `x` holds n rows of the model's input, channels innermost: (N, L, C) for sequences. */
export class ArraySource implements Source {
  readonly length: number;
  readonly labels?: Int32Array;
  readonly #row: number;
  readonly #target: number;

  /**
   * @param shape of one row of x
   * @param y class indices (Int32Array, one a row) or target values (Float32Array, `targetSize` a row)
   */
  constructor(
    readonly x: Float32Array,
    readonly shape: readonly number[],
    readonly y: Int32Array | Float32Array,
    targetSize = 1,
  ) {
    this.#row = shape.reduce((p, d) => p * d, 1);
    this.length = x.length / this.#row;
    this.#target = targetSize;
    if (y instanceof Int32Array) this.labels = y;
    const expected = this.labels ? this.length : this.length * targetSize;
    if (!Number.isInteger(this.length) || y.length !== expected) {
      throw new DlcourseError({
        code: 'E_ARRAYS',
        class: 'usage',
        where: 'fit',
        problem: `expected ${expected} targets for ${x.length} numbers in rows of ${shape.join('×')}, got ${y.length}`,
      });
    }
  }

  input(graph: Graph): Value {
    return graph.feed('x', rows(this.shape));
  }

  async feeds(samples: Int32Array): Promise<Feeds> {
    const n = samples.length;
    const x = new Float32Array(n * this.#row);
    samples.forEach((s, i) => {
      x.set(this.x.subarray(s * this.#row, (s + 1) * this.#row), i * this.#row);
    });
    if (this.labels) {
      const labels = Int32Array.from(samples, s => this.labels![s]!);
      return { x, labels, partner_labels: labels, mix: new Float32Array(n).fill(1) };
    }
    const target = new Float32Array(n * this.#target);
    samples.forEach((s, i) => {
      target.set(this.y.subarray(s * this.#target, (s + 1) * this.#target), i * this.#target);
    });
    return { x, target };
  }
}
