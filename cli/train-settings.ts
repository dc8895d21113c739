// The settings of a training: one table that flags, environment, config files and the run's own config share.

import { type ViewCount, viewCounts } from '../src/data/crops.js';
import { type InitializerName, initializerNames } from '../src/layers/initializers.js';
import { type Augmentation, parseAugmentation } from '../src/train/augmentation.js';
import { defaultRun } from '../src/train/defaults.js';
import { type OptimizerName, optimizers } from '../src/train/optimizer.js';
import type { Recipe } from '../src/train/recipe.js';
import { type RecipeName, recipeNames, type WrittenRecipe } from '../src/train/recipes.js';
import { defaultSchedule, scheduleNames } from '../src/train/schedule.js';
import { type Resolved, setting, type Values } from './settings.js';
import {
  choice,
  choices,
  epochList,
  exactHelp,
  interval,
  type Kind,
  real,
  size,
  text,
  whole,
  wholeOr,
  yes,
} from './values.js';

const viewCount: Kind<ViewCount> = {
  expected: viewCounts.join(', '),
  parse: value => viewCounts.find(count => String(count) === value),
};

const optimizerNames = Object.keys(optimizers) as OptimizerName[];
const extraFormats = ['gif', 'tiff', 'avif'] as const;

const augmentation: Kind<Augmentation> = { expected: 'none or names such as crop=4,flip', parse: parseAugmentation };

export const forms = ['cifar', 'imagenet'] as const;

/** How a data set is opened. */
export const dataSettings = {
  input: setting(
    '--input <size>',
    'pixels that the network sees, such as 32x32 (default: the size of the images)',
    size,
  ),
  channels: setting('--channels <n>', '1 or 3 (default: as in the data)', choice(['1', '3'])),
  split: setting(
    '--split <share>',
    'share set aside for testing where there is no test folder (default: 0.1)',
    real(0, 1),
  ),
  skipBad: setting('--skip-bad', 'go on without files that cannot be used', yes),
  formats: setting('--formats <names>', `also read ${extraFormats.join(', ')}`, choices(extraFormats)),
  labels: setting('--labels <kind>', "CIFAR-100's fine or coarse labels (default: fine)", choice(['fine', 'coarse'])),
} as const;

export const trainSettings = {
  model: setting('--model <name>', "a network of 'dlcourse models'", text, { initial: defaultRun.model }),
  data: setting('--data <dir|name>', "a folder, or a name of 'dlcourse data ls'", text, { initial: defaultRun.data }),
  recipe: setting(
    '--recipe <name>',
    `values of what is not given: ${recipeNames.join(', ')}`,
    choice<RecipeName>(recipeNames),
    {
      initial: 'quick',
    },
  ),
  epochs: setting('--epochs <n>', 'passes over the training images', whole(1), { initial: defaultRun.epochs }),
  batchSize: setting(
    '--batch-size <n>',
    'images a step; recipes take fewer where there are few images',
    whole(1, 2 ** 20),
    { initial: defaultRun.batchSize },
  ),
  lr: setting(
    '--lr <x>',
    `largest learning rate (default: the recipe's, in quick ${defaultRun.lr}, or a tenth with --init; or the optimizer's)`,
    real(0, 1e6),
  ),
  backboneLr: setting('--backbone-lr <x>', 'that of all but the head (default: the same)', real(0, 1e6)),
  optimizer: setting('--optimizer <name>', optimizerNames.join(', '), choice(optimizerNames), {
    initial: defaultRun.optimizer,
  }),
  momentum: setting(
    '--momentum <x>',
    "of SGD and RMSprop (default: the recipe's, or the optimizer's)",
    real(0, 1, true),
  ),
  weightDecay: setting('--weight-decay <x>', `default: ${defaultRun.weightDecay}, or the optimizer's`, real(0, 1e6)),
  nesterov: setting('--nesterov [yes]', "Nesterov's momentum in SGD (default: true)", yes),
  alpha: setting('--alpha <x>', "RMSprop's decay of squares (default: 0.99)", real(0, 1, true)),
  epsilon: setting('--epsilon <x>', "Adam's and RMSprop's (default: 1e-8)", real(0, 1)),
  biasLr: setting(
    '--bias-lr <factor>',
    'factor of the rate for the biases of norms, which decay as all others (default: 1)',
    real(0, 1e6),
  ),
  exemptNorms: setting('--exempt-norms [yes]', 'norms and biases do not decay', yes),
  schedule: setting('--schedule <name>', scheduleNames.join(', '), choice(scheduleNames), {
    initial: defaultRun.schedule,
  }),
  warmup: setting('--warmup <epochs>', 'epochs in which the rate rises from 0 (default: 0)', real(0, 1e6)),
  milestones: setting('--milestones <epochs>', 'multi_step: when the rate falls, such as 60,80', epochList),
  stepEpochs: setting('--step-epochs <n>', 'step: epochs between falls (default: 30)', whole(1)),
  gamma: setting(
    '--gamma <x>',
    'step, multi_step: factor of a fall; exponential: of the end (default: 0.1)',
    real(0, 1),
  ),
  power: setting('--power <x>', 'polynomial: its exponent (default: 1)', real(0, 100)),
  rise: setting(
    '--rise <share>',
    'one_cycle, triangular: share of the run in which the rate rises (default: 0.3)',
    real(0, 1),
  ),
  first: setting('--first <x>', 'triangular: factor of the rate at the beginning (default: 0.04)', real(0, 1)),
  last: setting('--last <x>', 'triangular: factor of the rate at the end (default: 0)', real(0, 1)),
  augment: setting(
    '--augment <list>',
    'none, or crop=4,flip,reflect,alternate,resized,cutout,erasing,jitter,lighting,mixup,cutmix',
    augmentation,
    {
      initial: defaultRun.augment,
    },
  ),
  labelSmoothing: setting(
    '--label-smoothing <x>',
    'share of a target spread over all classes (default: 0)',
    real(0, 1, true),
  ),
  ema: setting('--ema <decay>', 'moving average of the weights, such as 0.999 (default: none)', real(0, 1, true)),
  lookahead: setting(
    '--lookahead <share>',
    'average every 5 steps with slow weights, of which this share stays at the end (default: none)',
    real(0, 1, true),
  ),
  whiten: setting('--whiten [yes]', 'the first convolution whitens patches of the images and is not trained', yes),
  testCrops: setting(
    '--test-crops <n>',
    'average the answers to 2 views of a test picture (mirrored), or 6 (and moved by a pixel; default: 1)',
    viewCount,
  ),
  testEvery: setting('--test-every <epochs>', 'epochs from one evaluation to the next (default: 1)', whole(1)),
  clip: setting(
    '--clip <norm>',
    `largest gradient norm, 0 for any (default: the recipe's, in quick ${defaultRun.clip})`,
    real(0, 1e30),
  ),
  accumulate: setting('--accumulate <n>', 'micro-batches a step, to need less memory (default: 1)', whole(1, 65_536)),
  checkpointActivations: setting(
    '--checkpoint-activations [yes]',
    'compute parts of the forward pass again in the backward pass: less memory, more time, the same numbers',
    yes,
  ),
  patience: setting(
    '--patience <epochs>',
    'stop after so many epochs without a better test loss (default: never)',
    whole(0),
  ),
  seed: setting('--seed <n>', 'of weights, order and augmentation', whole(0), { initial: defaultRun.seed }),
  ...dataSettings,
  form: setting('--form <name>', "the network's form (default: cifar up to 64 pixels)", choice(forms)),
  dropout: setting('--dropout <rate>', 'share of the features dropped before the classifier', real(0, 1, true)),
  stochasticDepth: setting(
    '--stochastic-depth <rate>',
    'drop residual branches in training: so many of the last, fewer before',
    real(0, 1, true),
  ),
  squeezeExcitation: setting(
    '--squeeze-excitation [reduction]',
    'gates on the channels of residual branches (reduction: 16)',
    wholeOr(16, 1),
  ),
  initialisation: setting(
    '--initialisation <name>',
    `of convolutions and linear layers: network, ${initializerNames.join(', ')} (default: network)`,
    choice<'network' | InitializerName>(['network', ...initializerNames]),
  ),
  init: setting('--init <weights>', 'begin with the weights of this run or file', text),
  freeze: setting(
    '--freeze <what>',
    'backbone (all but the head), or tensors such as stem,stage1.*: not trained',
    text,
  ),
  unfreezeAfter: setting('--unfreeze-after <epochs>', 'train everything after so many epochs', whole(1)),
  saveEvery: setting(
    '--save-every <n|minutes>',
    'steps, or minutes such as 10m, between checkpoints; each epoch has one',
    interval,
    {
      initial: defaultRun.saveEvery,
    },
  ),
  exact: setting('--exact [yes]', exactHelp, yes),
  threads: setting('--threads <n>', 'threads, which change no result (default: all)', whole(1, 1024), { once: true }),
  out: setting('--out <dir>', 'folder of this run (default: runs/<model>-<data>-<number>)', text, { once: true }),
  name: setting('--name <name>', 'the same, below runs/', text, { once: true }),
  minAccuracy: setting('--min-accuracy <x>', 'fail with status 80 below this test accuracy, such as 0.9', real(0, 1), {
    once: true,
  }),
} as const;

export type TrainValues = Values<typeof trainSettings>;
export type TrainSettings = Resolved<typeof trainSettings>;

/** The part of the settings that is the recipe. What is not set is left to makeRecipe. */
export function recipeOf({ values: v }: TrainSettings): Partial<Recipe> {
  return {
    epochs: v.epochs,
    batchSize: v.batchSize,
    accumulate: v.accumulate,
    seed: v.seed,
    optimizer: v.optimizer,
    lr: v.lr,
    backboneLr: v.backboneLr,
    freeze: v.freeze,
    unfreezeAfter: v.unfreezeAfter,
    weightDecay: v.weightDecay,
    momentum: v.momentum,
    nesterov: v.nesterov,
    alpha: v.alpha,
    epsilon: v.epsilon,
    exemptNorms: v.exemptNorms,
    biasLr: v.biasLr,
    schedule: {
      ...defaultSchedule,
      name: v.schedule!,
      warmup: v.warmup ?? defaultSchedule.warmup,
      stepEpochs: v.stepEpochs ?? defaultSchedule.stepEpochs,
      milestones: v.milestones ?? defaultSchedule.milestones,
      gamma: v.gamma ?? defaultSchedule.gamma,
      power: v.power ?? defaultSchedule.power,
      rise: v.rise ?? defaultSchedule.rise,
      first: v.first ?? defaultSchedule.first,
      last: v.last ?? defaultSchedule.last,
    },
    augmentation: v.augment,
    labelSmoothing: v.labelSmoothing,
    ema: v.ema,
    lookahead: v.lookahead,
    clip: v.clip,
    whiten: v.whiten,
    testCrops: v.testCrops,
    testEvery: v.testEvery,
    patience: v.patience,
    exact: v.exact,
    checkpointActivations: v.checkpointActivations,
    threads: v.threads,
  };
}

/** What belongs to an optimizer, or to a schedule: another one brings its own. */
const bound = {
  optimizer: ['lr', 'weightDecay', 'momentum', 'nesterov', 'alpha', 'epsilon'],
  schedule: ['milestones', 'stepEpochs', 'gamma', 'power', 'rise', 'first', 'last'],
} as const;

/** The values of a recipe that go with what the user chose: those of another optimizer or schedule are left out. */
export function fitting(recipe: WrittenRecipe, { written, origins }: TrainSettings): WrittenRecipe {
  const left = { ...recipe };
  for (const [choice, keys] of Object.entries(bound)) {
    if (origins[choice] === 'default' || written[choice] === recipe[choice]) continue;
    for (const key of keys) delete left[key];
  }
  return left;
}

/**
 * The values of a training in a line: those of the recipe, and what was given instead.
 * @param written all values that are set
 */
export function showRecipe(
  { values, origins }: TrainSettings,
  written: Readonly<Record<string, string>>,
  source?: string,
): string[] {
  const given = (key: string): boolean => ['flag', 'environment', 'config'].includes(origins[key] ?? '');
  const shown = recipeKeys.flatMap(key =>
    written[key] === undefined ? [] : [`${key} ${written[key]}${given(key) ? ` (${origins[key]})` : ''}`],
  );
  return [`recipe ${values.recipe}${source ? `, after ${source}` : ''}: ${shown.join(', ')}`];
}

const recipeKeys = [
  ...['epochs', 'batchSize', 'optimizer', 'lr', 'backboneLr', 'biasLr', 'momentum', 'nesterov', 'alpha', 'epsilon'],
  ...['weightDecay', 'exemptNorms', 'schedule', 'warmup', 'milestones', 'stepEpochs', 'gamma', 'power', 'rise'],
  ...['first', 'last', 'augment', 'labelSmoothing', 'ema', 'lookahead', 'clip', 'whiten', 'testCrops', 'testEvery'],
  ...['freeze', 'unfreezeAfter', 'dropout', 'stochasticDepth', 'squeezeExcitation', 'initialisation'],
];

/** The part that says how data are opened. */
export function openOptions(v: Partial<Values<typeof dataSettings>>) {
  return {
    ...(v.input ? { input: v.input } : {}),
    ...(v.channels ? { channels: Number(v.channels) as 1 | 3 } : {}),
    ...(v.split !== undefined ? { split: v.split } : {}),
    ...(v.skipBad ? { skipBad: true } : {}),
    ...(v.formats ? { formats: v.formats } : {}),
    ...(v.labels ? { labels: v.labels } : {}),
  };
}
