// Fine-tuning in one call: weights, data, and what to train when.

import { statSync } from 'node:fs';
import type { Dataset } from '../data/dataset.js';
import { openDataset } from '../data/open.js';
import { type ModelOptions, withOptions } from '../layers/rewrite.js';
import { FORMAT, type LoadedModel, loadModel } from '../models/file.js';
import { defineState } from '../models/weights.js';
import { beginWith, modelFor, openingFor } from './initial.js';
import { type FitOptions, Learner } from './learner.js';
import { makeRecipe, type Recipe } from './recipe.js';
import { weightsOfRun } from './run.js';

export interface FineTuneOptions extends Partial<Recipe>, ModelOptions, Pick<FitOptions, 'signal' | 'onEvent'> {
  /** [height, width] of the network's input. Default: that of the weights, or of an open data set. */
  readonly input?: readonly [number, number];
}

/** A tenth of what a training from nothing takes: the weights are good already. */
const LEARNING_RATE = 0.01;

/**
 * Trains given weights on other data: the model gets a new head where the classes are others; preprocessing travels with
 * the weights.
 *
 *     const learner = await fineTune('weights.pth', './flowers', { freeze: 'backbone', unfreezeAfter: 3, epochs: 10 });
 *
 * @param weights a model file, one of another program, a run folder, or a loaded model
 * @param data a folder or name as `openDataset` takes it, or an open data set
 * @param options of the recipe: `freeze`, `unfreezeAfter`, `backboneLr`, `epochs`, `lr` (0.01 by default), …
 * Throws E_WEIGHTS where tensors do not fit, E_HEAD where the model has no head, and what `fit` throws.
 */
export async function fineTune(
  weights: string | LoadedModel,
  data: string | Dataset,
  options: FineTuneOptions = {},
): Promise<Learner> {
  const { input, signal, onEvent, squeezeExcitation, stochasticDepth, dropout, initialisation, ...given } = options;
  const from = typeof weights === 'string' ? await loadModel(await modelFile(weights)) : weights;
  const recipe = makeRecipe({ lr: LEARNING_RATE, ...given });
  const dataset = typeof data === 'string' ? await openDataset(data, openingFor(from, input)) : data;
  const { height, width, channels } = dataset.image;
  const plain = modelFor(from.model, dataset.classes.length, [height, width, channels]);
  const model = withOptions(plain, { squeezeExcitation, stochasticDepth, dropout, initialisation });
  const { store } = beginWith(from, model, dataset.classes, typeof weights === 'string' ? weights : from.model.name);
  defineState(store, model.state, recipe.seed);
  // The size is that of the data; mean and deviation are those that the weights know.
  const { mean, std } = from.card.preprocessing ?? (await dataset.preprocessing());
  const preprocessing = { ...(await dataset.preprocessing()), mean, std };
  const learner = new Learner(model, recipe, store, {
    format: FORMAT,
    model: model.config,
    classes: dataset.classes,
    preprocessing,
    data: dataset.name,
  });
  await learner.fit(dataset, { ...(signal ? { signal } : {}), ...(onEvent ? { onEvent } : {}) });
  return learner;
}

const modelFile = async (path: string): Promise<string> =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() ? weightsOfRun(path) : path;
