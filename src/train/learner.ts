// The library's front door: a model with its weights, and the verbs compile, fit, evaluate, predict, save, load.

import { withViews } from '../data/cropped.js';
import { viewCounts } from '../data/crops.js';
import type { Dataset } from '../data/dataset.js';
import { DlcourseError } from '../errors.js';
import type { Model } from '../layers/model.js';
import { FORMAT, loadModel, type ModelCard, saveModel } from '../models/file.js';
import { type Cut, withCut } from '../models/pictures.js';
import { defineState } from '../models/weights.js';
import { Program, Store } from '../runtime/program.js';
import { type Answer, Classifier, type ClassifierOptions } from './classify.js';
import { evaluate, evaluationGraph, forEachBatch } from './evaluation.js';
import { ArraySource, ImageSource, imageSources, type Source } from './inputs.js';
import { type EpochRecord, type LoopEvent, trainLoop } from './loop.js';
import type { Evaluation } from './metrics.js';
import { makeRecipe, type Recipe } from './recipe.js';
import { Training } from './training.js';
import { whiten } from './whiten.js';

/** Rows in memory with their targets: x n×(model input), channels innermost; y class indices or target values. */
export interface Arrays {
  readonly x: Float32Array;
  readonly y: Int32Array | Float32Array;
}

export interface FitOptions {
  /** Evaluated after each epoch. A data set brings its own. */
  readonly test?: Arrays;
  /** Stops after the present step; `fit` then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called after every step and every epoch. */
  readonly onEvent?: (event: LoopEvent) => void;
  /** Names of the tensors that are trained. */
  readonly trainable?: (name: string) => boolean;
  /** Weight of the loss at each named output. */
  readonly outputWeights?: Readonly<Record<string, number>>;
}

export interface CompileSettings extends Partial<Recipe> {
  /** Names of the classes; by default their numbers, or those of the data set. */
  readonly classes?: readonly string[];
}

/** A model with weights. Make one with `compile` or `load`. */
export class Learner {
  readonly model: Model;
  readonly recipe: Recipe;
  readonly store: Store;
  #card: ModelCard;

  constructor(model: Model, recipe: Recipe, store: Store, card: ModelCard) {
    this.model = model;
    this.recipe = recipe;
    this.store = store;
    this.#card = card;
  }

  get classes(): readonly string[] {
    return this.#card.classes;
  }

  /**
   * Trains on a data set, or on rows in memory.
   * Throws E_DIVERGED when a number becomes NaN or infinite, E_MODEL when shapes do not fit.
   */
  async fit(data: Dataset | Arrays, options: FitOptions = {}): Promise<EpochRecord[]> {
    const sources = await this.#sources(data, options.test);
    const { train } = sources;
    if (this.recipe.whiten) {
      if (!(train instanceof ImageSource)) throw whitensArrays();
      await whiten(this.model, this.store, train, this.recipe.seed);
    }
    const training = new Training({
      model: this.model,
      store: this.store,
      recipe: this.recipe,
      train,
      classes: this.classes,
      ...(sources.test ? { test: sources.test } : {}),
      ...(options.trainable ? { trainable: options.trainable } : {}),
      ...(options.outputWeights ? { outputWeights: options.outputWeights } : {}),
    });
    const history: EpochRecord[] = [];
    const evaluated = sources.test?.labels !== undefined;
    for await (const event of trainLoop(training, {
      ...{ history, patience: this.recipe.patience, testEvery: this.recipe.testEvery, evaluate: evaluated },
    })) {
      options.onEvent?.(event);
      options.signal?.throwIfAborted();
    }
    return history;
  }

  async #sources(data: Dataset | Arrays, test: Arrays | undefined): Promise<{ train: Source; test?: Source }> {
    if ('splits' in data) {
      const sources = await imageSources(data, this.recipe, this.#card.preprocessing);
      const { preprocessing } = sources;
      const { testCrops } = this.recipe;
      const crops = testCrops === 1 ? {} : { crops: testCrops };
      this.#card = { ...this.#card, classes: data.classes, preprocessing, ...crops };
      return sources.test.length > 0 ? sources : { train: sources.train };
    }
    return { train: this.#arrays(data), ...(test ? { test: this.#arrays(test) } : {}) };
  }

  #arrays({ x, y }: Arrays): ArraySource {
    return new ArraySource(
      x,
      this.model.inputShape(),
      y,
      this.model.outputShape().reduce((p, d) => p * d, 1),
    );
  }

  /** Loss, top-1 and top-5 and more, on a data set's test split or on rows in memory with class indices. */
  async evaluate(data: Dataset | Arrays): Promise<Evaluation> {
    // Crops of another kind need whole pictures.
    const views = viewCounts.find(count => count === this.#card.crops) ?? 1;
    const source =
      'splits' in data
        ? new ImageSource(withViews(data.splits.test, views), this.#card.preprocessing ?? (await data.preprocessing()))
        : this.#arrays(data);
    if (!source.labels) throw needsLabels();
    const program = this.#evaluator(source);
    try {
      return await evaluate(program, source, this.classes);
    } finally {
      program.dispose();
    }
  }

  /** The model's main output for rows in memory: x n×(model input) to n×(model output). */
  async predict(x: Float32Array): Promise<Float32Array> {
    const shape = this.model.inputShape();
    const size = shape.reduce((p, d) => p * d, 1);
    const source = new ArraySource(x, shape, new Int32Array(Math.floor(x.length / size)));
    const program = this.#evaluator(source);
    const parts: Float32Array[] = [];
    try {
      await forEachBatch(program, source, results => {
        parts.push(results[Object.keys(this.model.config.outputs)[0]!] as Float32Array);
      });
    } finally {
      program.dispose();
    }
    const out = new Float32Array(parts.reduce((sum, p) => sum + p.length, 0));
    let at = 0;
    for (const part of parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }

  /**
   * Names what is on picture files, prepared as in training: scaled, cropped, normalised. With `crops`, the mean of the
   * probabilities for several crops; `resize` and `crop` as in `dlcourse predict`.
   * Throws E_NO_PREPROCESSING for a model of plain arrays, E_NOT_FOUND, E_READ and E_IMAGE for the first bad file.
   */
  async classify(files: string | readonly string[], options: ClassifierOptions & Cut = {}): Promise<Answer[]> {
    const { model, store } = this;
    const classifier = new Classifier(withCut({ model, store, card: this.#card }, options, model.name), options);
    const answers: Answer[] = [];
    for await (const one of classifier.pictures([files].flat(), model.name)) {
      if ('error' in one) throw one.error;
      answers.push(one);
    }
    return answers;
  }

  #evaluator(source: Source): Program {
    return new Program(
      evaluationGraph(this.model, graph => source.input(graph)),
      {
        batch: Math.max(1, Math.min(this.recipe.batchSize, source.length)),
        store: this.store,
        exact: this.recipe.exact,
        ...(this.recipe.threads ? { threads: this.recipe.threads } : {}),
      },
    );
  }

  /** Writes model, weights, classes and preprocessing to one safetensors file. `half`: as 16-bit floats. */
  async save(path: string, options: { half?: boolean } = {}): Promise<void> {
    await saveModel(path, { model: this.model, card: this.#card, store: this.store }, options);
  }
}

const whitensArrays = (): DlcourseError =>
  new DlcourseError({
    code: 'E_WHITEN',
    class: 'usage',
    where: 'fit',
    problem: 'expected a data set of images, got rows in memory',
    hint: 'leave whitening out',
  });

const needsLabels = (): DlcourseError =>
  new DlcourseError({
    code: 'E_ARRAYS',
    class: 'usage',
    where: 'evaluate',
    problem: 'expected class indices (Int32Array), got target values',
    hint: 'use predict() and compare yourself',
  });

/** Gives a model weights (drawn by `settings.seed`) and a way to be trained. */
export function compile(model: Model, settings: CompileSettings = {}): Learner {
  const { classes, ...given } = settings;
  const recipe = makeRecipe(given);
  const store = new Store();
  defineState(store, model.state, recipe.seed);
  const outputs = model.outputShape().at(-1)!;
  return new Learner(model, recipe, store, {
    format: FORMAT,
    model: model.config,
    classes: classes ?? Array.from({ length: outputs }, (_, i) => String(i)),
  });
}

/** Reads what `save` or a training wrote. */
export async function load(path: string, settings: Partial<Recipe> = {}): Promise<Learner> {
  const { model, card, store } = await loadModel(path);
  return new Learner(model, makeRecipe(settings), store, card);
}
