// Fine-tuning: what is frozen costs nothing and keeps its bytes, what is unfrozen later begins anew, heads fit the data.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { showInitial } from '../../cli/train-progress.js';
import { openDataset } from '../../src/data/open.js';
import { Generations } from '../../src/io/generations.js';
import {
  batchNorm,
  conv2d,
  flatten,
  globalAvgPool,
  linear,
  Model,
  relu,
  residual,
  seq,
} from '../../src/layers/index.js';
import { generator } from '../../src/layers/initializers.js';
import { isLearned } from '../../src/layers/layer.js';
import { headTensors } from '../../src/layers/rewrite.js';
import { FORMAT, type LoadedModel, saveModel } from '../../src/models/file.js';
import { defineState } from '../../src/models/weights.js';
import { Store } from '../../src/runtime/program.js';
import { readCheckpoint, restoreCheckpoint, saveCheckpoint } from '../../src/train/checkpoint.js';
import { fineTune } from '../../src/train/fine-tune.js';
import { frozenTensors } from '../../src/train/freeze.js';
import { beginWith, modelFor } from '../../src/train/initial.js';
import { ArraySource } from '../../src/train/inputs.js';
import { type EpochRecord, trainLoop } from '../../src/train/loop.js';
import { makeRecipe, type Recipe } from '../../src/train/recipe.js';
import { defaultSchedule } from '../../src/train/schedule.js';
import { slotName } from '../../src/train/step.js';
import { Training } from '../../src/train/training.js';
import { buildNetwork } from '../../src/zoo/zoo.js';

const input = [8, 8, 3] as const;
const CLASSES = 4;
const SAMPLES = 24;

const network = (classes = CLASSES): Model =>
  Model.from(
    input,
    seq({
      stem: seq({ conv: conv2d(8, 3, { bias: false }), bn: batchNorm(), relu: relu() }),
      block: residual(seq({ conv: conv2d(8, 3, { bias: false }), bn: batchNorm() })),
      pool: globalAvgPool(),
      fc: linear(classes),
    }),
    'net',
  );
const model = network();

const numbers = (length: number, key: string): Float32Array => {
  const random = generator(11, key);
  return Float32Array.from({ length }, () => 2 * random() - 1);
};
const train = new ArraySource(
  numbers(SAMPLES * 192, 'x'),
  input,
  Int32Array.from({ length: SAMPLES }, (_, i) => (i * 7) % CLASSES),
);

const constant = { ...defaultSchedule, name: 'constant' } as const;

function begin(given: Partial<Recipe>): { training: Training; store: Store } {
  const store = new Store();
  const recipe = makeRecipe({ epochs: 4, batchSize: 8, lr: 0.05, seed: 5, schedule: constant, ...given });
  return { store, training: new Training({ model, store, recipe, train, classes: ['a', 'b', 'c', 'd'] }) };
}

async function steps(training: Training, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await training.step();
    if (training.epochDone) training.endEpoch();
  }
}

const bytes = (store: Store, names: Iterable<string>): Record<string, string> =>
  Object.fromEntries(
    [...names].map(name => {
      const data = store.read(name);
      return [name, Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')];
    }),
  );

const content = ({ training, store }: { training: Training; store: Store }): Record<string, string> =>
  bytes(
    store,
    training.state.map(s => s.name),
  );

describe('what is frozen', () => {
  test('is named by backbone, or by paths of tensors and of what is around them', () => {
    const names = model.state.map(s => s.name);
    const rest = names.filter(name => !name.startsWith('fc.'));
    expect([...frozenTensors(model, 'backbone')]).toEqual(rest);
    expect([...frozenTensors(model, 'stem, block.conv')]).toEqual(
      names.filter(name => name.startsWith('stem.') || name === 'block.conv.weight'),
    );
    expect([...frozenTensors(model, '*.bn.*')]).toEqual(names.filter(name => name.includes('.bn.')));
    expect([...frozenTensors(model, '')]).toEqual([]);
    expect(() => frozenTensors(model, 'stm')).toThrow(
      expect.objectContaining({ code: 'E_FREEZE', hint: "did you mean 'stem'?" }),
    );
    // A pattern is no regular expression.
    expect(() => frozenTensors(model, 'st.m')).toThrow(expect.objectContaining({ code: 'E_FREEZE' }));
  });

  test.each(['sgd', 'adamw'] as const)(
    'keeps every byte with %s, statistics and averages included',
    async optimizer => {
      const one = begin({ freeze: 'backbone', optimizer, ema: 0.9, weightDecay: 0.1 });
      const names = model.state.map(s => s.name).filter(name => !name.startsWith('fc.'));
      const averages = names.map(name => `ema/${name}`);
      const before = bytes(one.store, [...names, ...averages]);
      const head = bytes(one.store, ['fc.weight', 'ema/fc.weight']);
      await steps(one.training, 5);
      expect(bytes(one.store, [...names, ...averages])).toEqual(before);
      const after = bytes(one.store, ['fc.weight', 'ema/fc.weight']);
      for (const name of Object.keys(head)) expect(after[name]).not.toBe(head[name]);
    },
  );

  test('has its batch norm in evaluation mode: the loss is that of the evaluation', async () => {
    const one = begin({ freeze: 'backbone', batchSize: SAMPLES, lr: 0 });
    one.store.write('stem.bn.running_mean', numbers(8, 'mean'));
    const { loss } = await one.training.step();
    expect(loss).toBeCloseTo((await one.training.evaluate(train)).loss, 5);
    const other = begin({ batchSize: SAMPLES, lr: 0 });
    expect((await other.training.step()).loss).not.toBeCloseTo(loss, 2);
  });

  test('takes no gradient op, no slot and less memory', async () => {
    // Enough for activations to be most of the memory, not the sums of weight gradients.
    const BATCH = 32;
    const resnet = await buildNetwork('resnet18', [32, 32, 3], 10);
    const source = new ArraySource(new Float32Array(BATCH * 3072), [32, 32, 3], new Int32Array(BATCH));
    const made = (freeze: string) => {
      // Zeros: drawing 11 million numbers takes seconds.
      const store = new Store();
      for (const { name, shape } of resnet.state) store.define(name, shape);
      return new Training({ model: resnet, store, recipe: makeRecipe({ batchSize: BATCH, freeze }), train: source });
    };
    const [whole, head, upper] = [made(''), made('backbone'), made('stem,stage1,stage2')];
    const slots = (t: Training) => t.state.filter(s => s.name.startsWith('optimizer/')).map(s => s.name);
    expect(slots(head)).toEqual(['fc.weight', 'fc.bias'].map(name => slotName('momentum', name)));
    expect(slots(upper).every(name => /stage[34]|fc/.test(name))).toBe(true);
    const gradients = (t: Training) =>
      t.plan.wire.steps.flatMap(({ op }, i) => (op.includes('_grad') ? [t.plan.paths[i]!] : []));
    expect(gradients(whole).some(at => at.startsWith('stem'))).toBe(true);
    expect(new Set(gradients(head))).toEqual(new Set(['fc']));
    expect(gradients(upper).every(at => /^(stage[34]|fc|pool)/.test(at))).toBe(true);
    expect(head.plan.arenaBytes).toBeLessThan(0.3 * whole.plan.arenaBytes);
    expect(upper.plan.arenaBytes).toBeLessThan(0.75 * whole.plan.arenaBytes);
  });
});

describe('rates of their own', () => {
  test('scale the steps of the backbone alone', async () => {
    const change = async (given: Partial<Recipe>) => {
      const one = begin({ momentum: 0, nesterov: false, weightDecay: 0, ...given });
      const before = new Map(model.state.map(s => [s.name, one.store.read(s.name)]));
      await one.training.step();
      return new Map(
        model.state
          .filter(isLearned)
          .map(s => [s.name, one.store.read(s.name).map((v, i) => v - before.get(s.name)![i]!)] as const),
      );
    };
    const [same, slower] = [await change({}), await change({ backboneLr: 0.005 })];
    const heads = headTensors(model);
    for (const [name, deltas] of same) {
      const factor = heads.has(name) ? 1 : 0.1;
      const largest = Math.max(...deltas.map(Math.abs));
      slower.get(name)!.forEach((v, i) => {
        expect(Math.abs(v - factor * deltas[i]!)).toBeLessThan(1e-4 * largest + 1e-7);
      });
    }
  });

  test('follow the schedule, exempt tensors too', async () => {
    const one = begin({ backboneLr: 0.005, exemptNorms: true, schedule: { ...defaultSchedule, name: 'linear' } });
    expect(one.training.learningRate(6)).toBeCloseTo(0.025, 12);
    expect(one.training.learningRate(6, true)).toBeCloseTo(0.0025, 12);
    await steps(one.training, 1);
  });
});

describe('what is unfrozen after some epochs', () => {
  // Three steps an epoch; everything is trained from step 6 on.
  const given = {
    freeze: 'stem,block',
    unfreezeAfter: 2,
    optimizer: 'adam',
    lr: 1e-3,
    ema: 0.9,
    exemptNorms: true,
  } as const;

  test('begins with empty slots and its own count of steps', async () => {
    const one = begin({ ...given, weightDecay: 0 });
    await steps(one.training, 6);
    const weight = one.store.read('stem.conv.weight');
    expect(one.store.read(slotName('v', 'stem.conv.weight')).every(v => v === 0)).toBe(true);
    expect(one.store.read(slotName('v', 'fc.weight')).every(v => v > 0)).toBe(true);
    await steps(one.training, 1);
    // Adam's first step is lr · g/(|g| + ε): its bias is corrected for one step, not for seven.
    const sizes = one.store.read('stem.conv.weight').map((v, i) => Math.abs(v - weight[i]!));
    const typical = [...sizes].sort((a, b) => a - b)[sizes.length / 2]!;
    expect(typical).toBeCloseTo(1e-3, 5);
    expect(Math.max(...sizes)).toBeLessThan(1.01e-3);
  });

  test('keeps its bytes until then, and statistics move from then on', async () => {
    const one = begin(given);
    const names = ['stem.bn.running_mean', 'block.conv.weight', 'ema/stem.bn.running_var'];
    const before = bytes(one.store, names);
    await steps(one.training, 6);
    expect(bytes(one.store, names)).toEqual(before);
    await steps(one.training, 1);
    const after = bytes(one.store, names);
    for (const name of names) expect(after[name]).not.toBe(before[name]);
  });

  const folder = mkdtempSync(path.join(tmpdir(), 'dlcourse-unfreeze-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each([1, 4])('resumes on both sides of it, byte for byte (%d micro-batches)', async accumulate => {
    const recipe = { ...given, accumulate };
    const whole = begin(recipe);
    await steps(whole.training, 12);
    for (const stop of [1, 5, 6, 7, 11]) {
      const first = begin(recipe);
      await steps(first.training, stop);
      const { position } = first.training;
      const generations = path.join(folder, `${accumulate}-${stop}`);
      mkdirSync(generations);
      const { path: file } = await saveCheckpoint(
        new Generations(generations),
        first.training,
        first.store,
        { format: FORMAT, model: model.config, classes: ['a', 'b', 'c', 'd'] },
        {
          recipe: makeRecipe(recipe),
          position,
          history: [],
          data: { source: '', name: '', fingerprint: '', trainImages: SAMPLES, testImages: 0 },
          isa: '',
        },
      );
      const second = begin(recipe);
      await restoreCheckpoint(file, second.training, second.store, (await readCheckpoint(file)).record.position);
      expect(content(second)).toEqual(content(first));
      await steps(second.training, 12 - stop);
      expect(content(second)).toEqual(content(whole));
    }
  });

  test('is refused where nothing is frozen before, or nothing is left', () => {
    const refused = expect.objectContaining({ code: 'E_RECIPE', where: 'unfreezeAfter' });
    expect(() => makeRecipe({ epochs: 4, unfreezeAfter: 2 })).toThrow(refused);
    expect(() => makeRecipe({ epochs: 4, freeze: 'backbone', unfreezeAfter: 4 })).toThrow(refused);
  });
});

/** A model with weights. */
function loaded(of: Model, classes: readonly string[], seed = 3): LoadedModel {
  const store = new Store();
  defineState(store, of.state, seed);
  return { model: of, store, card: { format: FORMAT, model: of.config, classes } };
}

describe('given weights', () => {
  const names = (...letters: string[]) => letters;
  const from = loaded(model, names('a', 'b', 'c', 'd'));

  test('get a new head for other classes; everything else is taken over', () => {
    const init = beginWith(from, modelFor(model, 2, input), names('x', 'y'), 'file');
    expect(init.head).toEqual({ from: 4, to: 2 });
    expect(init.fresh).toEqual(['fc.weight', 'fc.bias']);
    expect(init.unused).toEqual(['fc.weight', 'fc.bias']);
    expect(init.model.outputShape()).toEqual([2]);
    expect(bytes(init.store, init.loaded)).toEqual(bytes(from.store, init.loaded));
    expect(init.loaded.length).toBe(model.state.length - 2);
    expect(showInitial(init)).toEqual([
      'head: 4 → 2 classes',
      '10 tensors loaded; 2 new: fc.weight, fc.bias; 2 unused: fc.weight, fc.bias',
    ]);
  });

  test('keep the head for the same classes, and not for others of the same number', () => {
    expect(beginWith(from, model, names('a', 'b', 'c', 'd'), 'file')).toMatchObject({ fresh: [], unused: [] });
    const others = beginWith(from, model, names('a', 'b', 'c', 'x'), 'file');
    expect(others.fresh).toEqual(['fc.weight', 'fc.bias']);
    expect(showInitial(others)[0]).toBe('head: 4 other classes');
    // Numbers say nothing of what the classes are.
    const numbered = loaded(model, names('0', '1', '2', '3'));
    expect(beginWith(numbered, model, names('a', 'b', 'c', 'd'), 'file').head).toBeUndefined();
  });

  test('that lack or misshape anything else are refused, with its name', () => {
    const wider = Model.from(
      input,
      seq({ stem: seq({ conv: conv2d(9, 3, { bias: false }) }), pool: globalAvgPool(), fc: linear(4) }),
    );
    const refused = (problem: RegExp) =>
      expect.objectContaining({ code: 'E_WEIGHTS', class: 'mismatch', message: expect.stringMatching(problem) });
    expect(() => beginWith(loaded(wider, names('a', 'b', 'c', 'd')), model, names('a', 'b', 'c', 'd'), 'file')).toThrow(
      refused(/stem\.conv\.weight is 3×3×3×9 instead of 3×3×3×8, .*stem\.bn\.weight is missing/),
    );
    const flat = Model.from([4, 4, 3], seq({ flatten: flatten(), hidden: linear(5), fc: linear(2) }));
    expect(() => modelFor(flat, 2, [6, 6, 3])).toThrow(expect.objectContaining({ code: 'E_INPUT' }));
  });

  test('need not have the gates that an option adds', async () => {
    const { withSqueezeExcitation } = await import('../../src/layers/rewrite.js');
    const gated = withSqueezeExcitation(model, 2);
    const { fresh } = beginWith(from, gated, names('a', 'b', 'c', 'd'), 'file');
    expect(fresh).toEqual(gated.state.map(s => s.name).filter(name => name.includes('squeeze_excitation')));
  });
});

describe('fineTune', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'dlcourse-fine-tune-'));
  const cache = process.env['DLCOURSE_CACHE'];
  afterAll(() => {
    if (cache === undefined) delete process.env['DLCOURSE_CACHE'];
    else process.env['DLCOURSE_CACHE'] = cache;
    rmSync(folder, { recursive: true });
  });

  test('trains a file on a folder in one call: a new head, the preprocessing of the weights, the backbone as it was', async () => {
    process.env['DLCOURSE_CACHE'] = path.join(folder, 'cache');
    const { makeStickers } = await import('../../src/data/make.js');
    await makeStickers({ out: path.join(folder, 'data'), train: 60, test: 30, size: 16, seed: 5 });
    const file = path.join(folder, 'weights.safetensors');
    const given = loaded(
      network(7),
      Array.from({ length: 7 }, (_, i) => `class ${i}`),
    );
    const preprocessing = {
      ...{ height: 8, width: 8, channels: 3 as const, fit: 'crop' as const, cropFraction: 1 },
      ...{ interpolation: 'linear' as const, mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6] },
    };
    await saveModel(file, { ...given, card: { ...given.card, preprocessing } });
    const epochs: number[] = [];
    const learner = await fineTune(file, path.join(folder, 'data'), {
      freeze: 'backbone',
      epochs: 2,
      batchSize: 16,
      onEvent: event => event.kind === 'epoch' && epochs.push(event.record.epoch),
    });
    expect(epochs).toEqual([1, 2]);
    expect(learner.recipe.lr).toBe(0.01);
    expect(learner.classes).toHaveLength(10);
    expect(learner.model.outputShape()).toEqual([10]);
    expect(learner.model.inputShape()).toEqual([8, 8, 3]);
    const kept = [...frozenTensors(learner.model, 'backbone')];
    expect(bytes(learner.store, kept)).toEqual(bytes(given.store, kept));
    const saved = path.join(folder, 'tuned.safetensors');
    await learner.save(saved);
    const { loadModel } = await import('../../src/models/file.js');
    expect((await loadModel(saved)).card.preprocessing).toMatchObject({ mean: [0.1, 0.2, 0.3], height: 8 });

    // An open data set brings its size.
    const data = await openDataset(path.join(folder, 'data'));
    const other = await fineTune(given, data, { epochs: 1, stochasticDepth: 0.2 });
    expect(other.model.inputShape()).toEqual([16, 16, 3]);
    expect(other.model.config.layers.some(node => node.kind === 'dropout')).toBe(true);
  });
});

test('a residual network with stochastic depth learns', async () => {
  const { withStochasticDepth } = await import('../../src/layers/rewrite.js');
  const deep = withStochasticDepth(await buildNetwork('resnet20', [8, 8, 3], CLASSES), 0.5);
  const store = new Store();
  const recipe = makeRecipe({ epochs: 25, batchSize: 8, lr: 0.05, seed: 5 });
  const training = new Training({ model: deep, store, recipe, train, classes: ['a', 'b', 'c', 'd'] });
  const history: EpochRecord[] = [];
  for await (const _ of trainLoop(training, { history, patience: 0, evaluate: false }));
  const losses = history.map(r => r.train.loss);
  expect(losses.at(-1)).toBeLessThan(0.5 * losses[0]!);
  // Nothing is dropped in evaluation: it is the same twice.
  expect(await training.evaluate(train)).toEqual(await training.evaluate(train));
});
