// Recipes: every network has its own and the quick one, and both are trainings that can be.

import { describe, expect, test } from '@jest/globals';
import { resolveSettings } from '../../cli/settings.js';
import { fitting, recipeOf, type TrainSettings, trainSettings } from '../../cli/train-settings.js';
import { makeRecipe } from '../../src/train/recipe.js';
import {
  fastNetwork,
  fastRecipe,
  fittedRecipe,
  type Occasion,
  publishedRecipe,
  publishedRecipes,
  quickRecipe,
  stochasticDepthRecipe,
} from '../../src/train/recipes.js';
import { allNetworks, type Form } from '../../src/zoo/zoo.js';

const networks = await allNetworks();
const forms = networks.flatMap(network =>
  (Object.keys(network.forms) as Form[]).map(form => ({ name: network.name, form, info: network.forms[form]! })),
);

const occasion = (given: Partial<Occasion> = {}): Occasion => ({
  ...{ network: 'resnet20', form: 'cifar', input: [32, 32], epochs: 16, trainImages: 50_000 },
  initialised: false,
  ...given,
});

const settingsOf = (flags: Record<string, string>): TrainSettings =>
  resolveSettings(trainSettings, flags, undefined, {});

const resolved = (values: Readonly<Record<string, string>>, flags: Record<string, string> = {}): TrainSettings =>
  resolveSettings(
    trainSettings,
    flags,
    undefined,
    {},
    {
      origin: 'recipe',
      values: fitting(values, settingsOf(flags)),
    },
  );

test.each(forms)("$name ($form) has its paper's recipe and the quick one", ({ name, form, info }) => {
  const row = publishedRecipe(name, form)!;
  expect(row).toBeDefined();
  const [height, width] = info.input;
  for (const trainImages of [400, 50_000, 1_281_167]) {
    const at = occasion({ network: name, form, input: [height, width], trainImages });
    for (const values of [fittedRecipe(row, at), quickRecipe(at)]) {
      const recipe = makeRecipe(recipeOf(resolved(values)));
      expect(recipe.optimizer).toBe(values['optimizer']);
      expect(recipe.schedule.milestones.every(m => m > 0 && m < 16)).toBe(true);
    }
  }
});

test('every row is for a network of the list, and says where it is from', () => {
  const used = new Set(forms.map(({ name, form }) => publishedRecipe(name, form)));
  for (const row of publishedRecipes) {
    expect([row.networks, used.has(row)]).toEqual([row.networks, true]);
    expect(row.source).toMatch(/(19|20)\d\d/);
    expect(row.milestones?.every(m => m < row.length) ?? true).toBe(true);
  }
});

describe('a published recipe is fitted', () => {
  // He et al. 2015, section 4.2: 64k steps of 128 pictures, falls at 32k and 48k.
  const row = publishedRecipe('resnet56', 'cifar')!;

  test('to the epochs: falls and warm-up at the same share of the run', () => {
    expect(fittedRecipe(row, occasion({ epochs: 100 }))).toMatchObject({ milestones: '50,75', lr: '0.1' });
    const deep = publishedRecipe('resnet110', 'cifar')!;
    // 400 of 64,000 steps
    expect(fittedRecipe(deep, occasion({ epochs: 160 }))).toMatchObject({ milestones: '80,120', warmup: '1' });
  });

  test('to the batch: the rate is in proportion', () => {
    expect(fittedRecipe(row, occasion({ batchSize: 32 }))).toMatchObject({ batchSize: '32', lr: '0.025' });
    expect(fittedRecipe(row, occasion({ batchSize: 512 }))).toMatchObject({ batchSize: '512', lr: '0.4' });
  });

  test('to the data: at least 50 steps an epoch, batches of at least 8', () => {
    const batch = (trainImages: number) => fittedRecipe(row, occasion({ trainImages }))['batchSize'];
    expect([6400, 6399, 1600, 10].map(batch)).toEqual(['128', '64', '32', '8']);
    expect(fittedRecipe(row, occasion({ trainImages: 1600 }))).toMatchObject({ lr: '0.025' });
  });

  test('to the input: shifts are the same share of the side', () => {
    expect(fittedRecipe(row, occasion({ input: [64, 64] }))['augment']).toBe('crop=8,flip');
    const alexnet = publishedRecipe('alexnet', 'imagenet')!;
    expect(fittedRecipe(alexnet, occasion({ input: [224, 224] }))['augment']).toBe('crop=16,flip,lighting=0.1');
  });

  test('and gives way to what the user chose: another optimizer or schedule brings its own', () => {
    const inception = fittedRecipe(publishedRecipe('inception_v3', 'imagenet')!, occasion());
    expect(makeRecipe(recipeOf(resolved(inception)))).toMatchObject({
      ...{ optimizer: 'rmsprop', lr: 0.045, momentum: 0.9, alpha: 0.9, epsilon: 1, weightDecay: 4e-5, clip: 2 },
      ...{ ema: 0.9999, labelSmoothing: 0.1 },
      schedule: { name: 'exponential', gamma: 0.04533 },
    });
    const other = resolved(inception, { optimizer: 'adamw', schedule: 'step', clip: '1' });
    expect(makeRecipe(recipeOf(other))).toMatchObject({
      ...{ optimizer: 'adamw', lr: 1e-3, weightDecay: 1e-2, epsilon: 1e-8, clip: 1, labelSmoothing: 0.1 },
      schedule: { name: 'step', gamma: 0.1 },
    });
    expect(other.origins).toMatchObject({ optimizer: 'flag', clip: 'flag', ema: 'recipe', epochs: 'default' });
  });
});

test('the quick recipe is the default run; rates are lower for trained weights, batches smaller for few pictures', () => {
  expect([false, true].map(initialised => quickRecipe({ ...occasion(), initialised })['lr'])).toEqual(['0.1', '0.01']);
  const halves = [{ trainImages: 4000 }, { trainImages: 4000, batchSize: 64 }, { batchSize: 256 }];
  expect(halves.map(one => quickRecipe(occasion(one))['lr'])).toEqual(['0.05', '0.1', '0.2']);
  const batches = [50_000, 12_800, 12_799, 4000, 10].map(n => quickRecipe(occasion({ trainImages: n }))['batchSize']);
  expect(batches).toEqual(['64', '64', '32', '16', '16']);
  const { recipe: _, ...initial } = settingsOf({}).written;
  const { lr, momentum, weightDecay, clip, ...quick } = quickRecipe(occasion());
  expect(initial).toMatchObject(quick);
});

test('the fast recipe is that of its network, for any', () => {
  expect(publishedRecipe(fastNetwork, 'cifar')).toBe(fastRecipe);
  const recipe = makeRecipe(recipeOf(resolved(fittedRecipe(fastRecipe, occasion({ epochs: 20 })))));
  // For steps of 1024 pictures: 11.5 / (1 + 1 / (1 − 0.85)), and a decay of 0.0153 / (1 + 1 / (1 − 0.85)).
  expect(recipe).toMatchObject({ momentum: 0.85, nesterov: true, batchSize: 1000, testEvery: 20 });
  expect(recipe.lr * 1.024).toBeCloseTo(1.5, 3);
  expect(recipe.lr * recipe.weightDecay * 1.024).toBeCloseTo(0.0153 / (1 + 1 / 0.15), 6);
  expect(recipe).toMatchObject({ biasLr: 64, whiten: true, testCrops: 6, labelSmoothing: 0.2 });
  expect(recipe.augmentation).toMatchObject({ crop: 2, reflect: true, alternate: true, flip: false });
  expect(recipe.schedule).toMatchObject({ name: 'triangular', rise: 0.23, first: 0.2, last: 0.07 });
});

test('stochastic depth has a recipe for every residual network', () => {
  expect(fittedRecipe(stochasticDepthRecipe, occasion({ epochs: 20 }))).toMatchObject({
    ...{ stochasticDepth: '0.5', milestones: '10,15', nesterov: 'true', weightDecay: '0.0001' },
  });
});
