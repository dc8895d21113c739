// What is on pictures: files or rows in, the most probable classes out.

import { forEachConcurrently } from '../data/concurrency.js';
import { CroppedSplit, stacked } from '../data/cropped.js';
import { type CropCount, checkCrops, cropsOf } from '../data/crops.js';
import { PackedSplit } from '../data/dataset.js';
import { type ImageFormat, loadPicture } from '../data/image.js';
import type { Preprocessing } from '../data/preprocessing.js';
import type { LoadedModel } from '../models/file.js';
import { noPreprocessing } from '../models/pictures.js';
import { Program } from '../runtime/program.js';
import { evaluationGraph, forEachAnswer } from './evaluation.js';
import { ImageSource, type Source } from './inputs.js';
import { type Prediction, topPredictions } from './metrics.js';

/** What was said about one picture or row. */
export interface Answer {
  readonly name: string;
  /** The main output. With several crops: logarithms of the averaged probabilities. */
  readonly scores: Float32Array;
  readonly predictions: readonly Prediction[];
}

/** A picture that could not be read. */
export interface Unread {
  readonly name: string;
  readonly error: unknown;
}

interface Decoded {
  readonly name: string;
  readonly pixels: Uint8Array;
}

export interface ClassifierOptions {
  /** Classes for each picture. Default 5. */
  readonly top?: number;
  /** Crops of each picture whose probabilities are averaged: 1, 2, 5, 6, 10 or 144. Default: as the model's card says. */
  readonly crops?: CropCount;
  /** Convolutions without Winograd's transforms: slower, with smaller rounding errors. */
  readonly exact?: boolean;
  /** Threads, which change no result. */
  readonly threads?: number;
  /** Formats to enable beside JPEG, PNG and WebP. */
  readonly formats?: readonly ImageFormat[];
}

/** Rows of a model at a time. */
const BATCH = 32;

/** A model that answers. */
export class Classifier {
  readonly #loaded: Promise<LoadedModel>;
  readonly #options: ClassifierOptions;

  /** @param loaded may still be on its way: the first pictures are decoded meanwhile. */
  constructor(loaded: LoadedModel | Promise<LoadedModel>, options: ClassifierOptions = {}) {
    this.#loaded = Promise.resolve(loaded);
    this.#loaded.catch(() => {}); // met where it is awaited
    this.#options = options;
  }

  /**
   * Answers in the order of the files, each as soon as it is there. The next pictures are decoded while the network
   * looks at some.
   * Throws E_NO_PREPROCESSING for a model of plain arrays, E_CROPS.
   *
   * @param where names the model in errors.
   */
  async *pictures(files: readonly string[], where: string): AsyncGenerator<Answer | Unread> {
    if (files.length === 0) return;
    const few = Math.max(1, Math.floor(BATCH / (this.#options.crops ?? 1)));
    const decode = (at: number) => {
      const decoded = this.#decode(files.slice(at, at + few), where);
      decoded.catch(() => {}); // met where it is awaited
      return decoded;
    };
    let next = decode(0);
    const { preprocessing, crops } = await this.#preparation(where);
    const sourceOf = (good: readonly Decoded[]): ImageSource => {
      const pixels = Buffer.concat(good.map(one => one.pixels));
      const labels = new Int32Array(good.length);
      const packed = new PackedSplit(stacked(preprocessing, crops), labels, pixels, i => good[i]!.name);
      return new ImageSource(new CroppedSplit(packed, crops), preprocessing);
    };
    const program = await this.#compile(sourceOf([]), Math.min(BATCH, files.length * crops));
    try {
      for (let at = 0; at < files.length; at += few) {
        const decoded = await next;
        next = decode(at + few);
        const good = decoded.filter(one => 'pixels' in one);
        const answers = await this.#ask(program, sourceOf(good), i => good[i]!.name);
        for (const one of decoded) yield 'pixels' in one ? answers.shift()! : one;
      }
    } finally {
      program.dispose();
    }
  }

  /** Answers to rows of any source. */
  async rows(source: Source, nameOf: (row: number) => string): Promise<Answer[]> {
    const program = await this.#compile(source, Math.min(BATCH, source.length));
    try {
      return await this.#ask(program, source, nameOf);
    } finally {
      program.dispose();
    }
  }

  async #decode(files: readonly string[], where: string): Promise<(Decoded | Unread)[]> {
    const { formats } = this.#options;
    const found: (Decoded | Unread)[] = [];
    await forEachConcurrently(files.length, async i => {
      const name = files[i]!;
      const picture = await loadPicture(name, 3, formats).catch((error: unknown) => ({ error }));
      const { preprocessing, crops } = await this.#preparation(where);
      found[i] = 'error' in picture ? { name, ...picture } : { name, pixels: cropsOf(picture, preprocessing, crops) };
    });
    return found;
  }

  /** How pictures are prepared, and the crops of each. Throws E_NO_PREPROCESSING, E_CROPS. */
  async #preparation(where: string): Promise<{ preprocessing: Preprocessing; crops: CropCount }> {
    const { card } = await this.#loaded;
    if (!card.preprocessing) throw noPreprocessing(where);
    const { crops = card.crops ?? 1 } = this.#options;
    checkCrops(card.preprocessing, crops);
    return { preprocessing: card.preprocessing, crops };
  }

  async #compile(source: Source, batch: number): Promise<Program> {
    const { model, store } = await this.#loaded;
    const { threads, exact = false } = this.#options;
    const graph = evaluationGraph(model, g => source.input(g));
    return new Program(graph, { batch, store, exact, ...(threads ? { threads } : {}) });
  }

  async #ask(program: Program, source: Source, nameOf: (row: number) => string): Promise<Answer[]> {
    const { top = 5 } = this.#options;
    const { card } = await this.#loaded;
    const answers: Answer[] = [];
    await forEachAnswer(program, source, (scores, i) => {
      answers.push({ name: nameOf(i), scores: scores.slice(), predictions: topPredictions(scores, card.classes, top) });
    });
    return answers;
  }
}
