// Activation checkpointing changes what memory a training needs, and not a byte of what it computes.

import { describe, expect, test } from '@jest/globals';
import {
  add,
  batchNorm,
  concat,
  conv2d,
  globalAvgPool,
  linear,
  Model,
  maxPool,
  relu,
  seq,
  sideOutput,
} from '../../src/layers/index.js';
import { generator } from '../../src/layers/initializers.js';
import { withOptions } from '../../src/layers/rewrite.js';
import { Store } from '../../src/runtime/program.js';
import { ArraySource } from '../../src/train/inputs.js';
import { makeRecipe, type Recipe } from '../../src/train/recipe.js';
import { Training } from '../../src/train/training.js';
import { buildNetwork } from '../../src/zoo/zoo.js';

const CLASSES = 5;
const SAMPLES = 22;
const BATCH = 8;

const build = (name: string, side: number): Promise<Model> =>
  buildNetwork(name, [side, side, 3], CLASSES, { form: 'cifar', auxiliary: true });

function rows(side: number): ArraySource {
  const random = generator(3, 'rows');
  const x = Float32Array.from({ length: SAMPLES * side * side * 3 }, () => 2 * random() - 1);
  return new ArraySource(
    x,
    [side, side, 3],
    Int32Array.from({ length: SAMPLES }, (_, i) => (3 * i) % CLASSES),
  );
}

const unit = (width: number) => seq(conv2d(width, 3), batchNorm(), relu());

/** A classifier of its own in the middle, a concatenation, and a shortcut over most of the network. */
const branched = Model.from([16, 16, 3], x => {
  const first = unit(8)(x);
  const half = sideOutput('side', 0.3, seq(globalAvgPool(), linear(CLASSES)))(seq(unit(8), unit(8))(first));
  const wide = concat(seq(unit(4), unit(4))(half), seq(maxPool(3, { stride: 1, padding: 1 }), unit(4))(half));
  return seq(unit(8), globalAvgPool(), linear(CLASSES))(add(first, unit(8)(wide)));
});

/** Three epochs: losses and norms of the steps, every tensor of the end, and the bytes of intermediate values. */
async function trained(model: Model, given: Partial<Recipe>) {
  const store = new Store();
  const recipe = makeRecipe({ epochs: 3, batchSize: BATCH, lr: 0.05, ema: 0.9, clip: 1, ...given });
  const training = new Training({ model, store, recipe, train: rows(model.inputShape()[0]!) });
  const steps: unknown[] = [];
  const arenas: number[] = [];
  while (!training.done) {
    steps.push(await training.step());
    arenas.push(training.plan.arenaBytes);
    if (training.epochDone) training.endEpoch();
  }
  const tensors = training.state.map(({ name }) => {
    const data = store.read(name);
    return [name, Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')] as const;
  });
  return { result: { steps, tensors: new Map(tensors) }, arenas };
}

describe('the same bytes with and without', () => {
  const plain = (name: string, side: number) => () => build(name, side);
  const dropping = async () => withOptions(await build('resnet20', 16), { dropout: 0.3, stochasticDepth: 0.5 });
  test.each<[string, () => Promise<Model>, Partial<Recipe>, number]>([
    ['resnet20', plain('resnet20', 32), {}, 0.6],
    ['densenet_cifar', plain('densenet_cifar', 32), {}, 0.7],
    ['mobilenet_v2', plain('mobilenet_v2', 16), {}, 0.65],
    ['an auxiliary classifier', async () => branched, {}, 0.8],
    ['dropout and stochastic depth', dropping, {}, 0.75],
    ['accumulation', dropping, { accumulate: 4, optimizer: 'adamw', lr: 1e-3 }, 0.95],
    ['frozen layers, then all', dropping, { freeze: 'backbone', unfreezeAfter: 1 }, 0.75],
    ['other thread counts', dropping, { threads: 3 }, 0.75],
  ])('%s', async (_, make, recipe, most) => {
    const model = await make();
    const usual = await trained(model, { threads: 1, ...recipe });
    const less = await trained(model, { ...recipe, checkpointActivations: true });
    expect(less.result).toEqual(usual.result);
    expect(less.arenas.at(-1)).toBeLessThan(most * usual.arenas.at(-1)!);
    // Where nothing is saved for a backward pass there is nothing to gain, and nothing lost.
    less.arenas.forEach((bytes, i) => {
      expect(bytes).toBeLessThanOrEqual(usual.arenas[i]!);
    });
  });
});
