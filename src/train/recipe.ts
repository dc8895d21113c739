// Everything that decides a training besides the model and the data, as plain data. Stored in every checkpoint.

import { type ViewCount, viewCounts } from '../data/crops.js';
import { DlcourseError } from '../errors.js';
import { type Augmentation, noAugmentation } from './augmentation.js';
import { type OptimizerName, type OptimizerOptions, optimizerNamed, optimizers } from './optimizer.js';
import { defaultSchedule, type ScheduleOptions, scheduleNamed } from './schedule.js';
import type { LossName } from './step.js';

export interface Recipe extends OptimizerOptions {
  readonly epochs: number;
  /** Samples a step: the micro-batches of an accumulation together. */
  readonly batchSize: number;
  /** Micro-batches a step. */
  readonly accumulate: number;
  readonly seed: number;
  readonly loss: LossName;
  readonly optimizer: OptimizerName;
  /** Largest learning rate of the schedule. */
  readonly lr: number;
  /** That of everything but the heads; theirs is `lr`. Default: the same. */
  readonly backboneLr?: number;
  /** What keeps its values: `backbone` (all but the heads), or patterns of tensor names; empty for nothing. */
  readonly freeze: string;
  /** Epochs after which everything is trained, 0 for never. */
  readonly unfreezeAfter: number;
  readonly weightDecay: number;
  /** Norms and biases do not decay. */
  readonly exemptNorms: boolean;
  /** Factor of the learning rate for the biases of norms; a step decays them as much as all others (Page 2018). */
  readonly biasLr: number;
  readonly schedule: ScheduleOptions;
  readonly augmentation: Augmentation;
  /** Share of each target spread over all classes. */
  readonly labelSmoothing: number;
  /** Decay of the moving average of all tensors, 0 for none. */
  readonly ema: number;
  /**
   * Every five steps, slow weights take in the trained ones, which go on from there (Zhang et al. 2019, Lookahead). This
   * share of the slow weights stays at the end; at first nothing, then in proportion to the cube of the share of the run
   * that is done (Jordan 2024, section 3.4). 0 for none.
   */
  readonly lookahead: number;
  /** Largest gradient norm, 0 for no limit. */
  readonly clip: number;
  /** The first convolution whitens patches of the training images and keeps its weights, see `whiten`. */
  readonly whiten: boolean;
  /** Views of a test picture whose answers are averaged: 1, 2 with its mirror image, 6 with both moved by a pixel. */
  readonly testCrops: ViewCount;
  /** Epochs from one evaluation to the next; the last epoch has one anyway. */
  readonly testEvery: number;
  /** Stop after this many epochs without a better test loss, 0 for never. */
  readonly patience: number;
  /** Convolutions without Winograd's transforms: slower, with smaller rounding errors. */
  readonly exact: boolean;
  /** Compute parts of the forward pass again in the backward pass: less memory, more time, the same numbers. */
  readonly checkpointActivations: boolean;
  /** Threads, which change no result. */
  readonly threads?: number;
}

export const defaultRecipe: Recipe = {
  ...optimizers.sgd.defaults,
  epochs: 10,
  batchSize: 128,
  accumulate: 1,
  seed: 1,
  loss: 'cross_entropy',
  optimizer: 'sgd',
  lr: optimizers.sgd.defaults.lr,
  freeze: '',
  unfreezeAfter: 0,
  weightDecay: optimizers.sgd.defaults.weightDecay,
  exemptNorms: false,
  biasLr: 1,
  schedule: defaultSchedule,
  augmentation: noAugmentation,
  labelSmoothing: 0,
  ema: 0,
  lookahead: 0,
  clip: 0,
  whiten: false,
  testCrops: 1,
  testEvery: 1,
  patience: 0,
  exact: false,
  checkpointActivations: false,
};

/**
 * Fills in what is not given: an optimizer brings its own learning rate, decay and constants.
 * Throws E_RECIPE naming the field that is out of range.
 */
export function makeRecipe(given: Partial<Recipe> = {}): Recipe {
  const name = given.optimizer ?? defaultRecipe.optimizer;
  const { lr, weightDecay, ...constants } = optimizerNamed(name).defaults;
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const recipe: Recipe = { ...defaultRecipe, ...constants, lr, weightDecay, ...known };
  scheduleNamed(recipe.schedule.name);
  type Count = 'epochs' | 'batchSize' | 'accumulate' | 'seed' | 'patience' | 'testEvery' | 'threads' | 'unfreezeAfter';
  const whole = (field: Count, low: number): void => {
    if (!(Number.isSafeInteger(recipe[field]) && recipe[field]! >= low)) {
      throw recipeError(field, `a whole number of at least ${low}`, recipe[field]);
    }
  };
  whole('epochs', 1);
  whole('batchSize', 1);
  whole('accumulate', 1);
  whole('seed', 0);
  whole('patience', 0);
  whole('testEvery', 1);
  if (!viewCounts.includes(recipe.testCrops)) throw recipeError('testCrops', viewCounts.join(', '), recipe.testCrops);
  whole('unfreezeAfter', 0);
  if (recipe.batchSize % recipe.accumulate !== 0) {
    throw recipeError('batchSize', `a multiple of ${recipe.accumulate} micro-batches`, recipe.batchSize);
  }
  const within = (field: keyof Recipe, low: number, high: number, open = false): void => {
    const value = recipe[field] as number;
    if (!(typeof value === 'number' && value >= low && (open ? value < high : value <= high))) {
      throw recipeError(field, `a number from ${low} to ${open ? 'below ' : ''}${high}`, value);
    }
  };
  within('lr', 0, 1e6);
  if (recipe.backboneLr !== undefined) within('backboneLr', 0, 1e6);
  if (recipe.unfreezeAfter > 0 && recipe.freeze === '')
    throw recipeError('unfreezeAfter', 'something that is frozen before (freeze)', recipe.unfreezeAfter);
  if (recipe.unfreezeAfter >= recipe.epochs)
    throw recipeError('unfreezeAfter', `less than the ${recipe.epochs} epochs`, recipe.unfreezeAfter);
  within('weightDecay', 0, 1e6);
  within('momentum', 0, 1, true);
  within('labelSmoothing', 0, 1, true);
  within('ema', 0, 1, true);
  within('lookahead', 0, 1, true);
  within('biasLr', 0, 1e6);
  within('clip', 0, 1e30);
  within('beta1', 0, 1, true);
  within('beta2', 0, 1, true);
  within('alpha', 0, 1, true);
  within('epsilon', 0, 1);
  if (recipe.threads !== undefined) whole('threads', 1);
  checkSchedule(recipe.schedule);
  return recipe;
}

function checkSchedule(schedule: ScheduleOptions): void {
  const check = (field: keyof ScheduleOptions, fits: boolean, expected: string): void => {
    if (!fits) throw recipeError(`schedule.${field}`, expected, JSON.stringify(schedule[field]));
  };
  const share = 'a number from 0 to 1';
  const { warmup, stepEpochs, milestones, gamma, power, rise, first, last } = schedule;
  check('warmup', warmup >= 0 && warmup <= 1e6, 'a number of epochs');
  check('stepEpochs', Number.isSafeInteger(stepEpochs) && stepEpochs >= 1, 'a whole number of epochs');
  check('milestones', Array.isArray(milestones) && milestones.every(m => m >= 0 && m <= 1e6), 'numbers of epochs');
  check('gamma', gamma >= 0 && gamma <= 1, share);
  check('power', power >= 0 && power <= 100, 'a number from 0 to 100');
  check('rise', rise >= 0 && rise <= 1, share);
  check('first', first >= 0 && first <= 1, share);
  check('last', last >= 0 && last <= 1, share);
}

const recipeError = (where: string, expected: string, got: unknown): DlcourseError =>
  new DlcourseError({ code: 'E_RECIPE', class: 'usage', where, problem: `expected ${expected}, got ${got}` });
