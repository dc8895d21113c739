// A training as a whole: what does not change its numbers, what stops it, and how it goes on.

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { Split } from '../../src/data/dataset.js';
import { Generations } from '../../src/io/generations.js';
import {
  batchNorm,
  concat,
  conv2d,
  depthwiseConv2d,
  dropout,
  globalAvgPool,
  groupNorm,
  linear,
  Model,
  maxPool,
  relu,
  residual,
  seq,
  silu,
  stochasticDepth,
  tanh,
} from '../../src/layers/index.js';
import { generator } from '../../src/layers/initializers.js';
import { isLearned } from '../../src/layers/layer.js';
import { FORMAT } from '../../src/models/file.js';
import { native } from '../../src/native.js';
import { Store } from '../../src/runtime/program.js';
import { parseAugmentation } from '../../src/train/augmentation.js';
import { readCheckpoint, restoreCheckpoint, saveCheckpoint, type TrainingRecord } from '../../src/train/checkpoint.js';
import { ArraySource, type Feeds, ImageSource, type Source } from '../../src/train/inputs.js';
import { compile } from '../../src/train/learner.js';
import { type EpochRecord, trainLoop } from '../../src/train/loop.js';
import { epochOrder } from '../../src/train/order.js';
import { makeRecipe, type Recipe } from '../../src/train/recipe.js';
import { defaultSchedule } from '../../src/train/schedule.js';
import { slotName } from '../../src/train/step.js';
import { Training, type TrainingSetup } from '../../src/train/training.js';
import { buildNetwork } from '../../src/zoo/zoo.js';

const input = [8, 8, 3] as const;
const CLASSES = 4;

/** Every kind of sum whose order could depend on threads. */
const network = (side: number, width: number): Model =>
  Model.from(
    [side, side, 3],
    seq({
      stem: seq(conv2d(width, 3, { bias: false }), batchNorm(), relu()),
      block: residual(seq(conv2d(width, 3, { bias: false }), batchNorm())),
      depthwise: seq(depthwiseConv2d(3, { stride: 2 }), groupNorm(2), silu()),
      pool: maxPool(3, { stride: 2, padding: 1 }),
      mean: globalAvgPool(),
      dropout: dropout(0.3),
      fc: linear(CLASSES),
    }),
  );
const model = network(8, 8);

const plain = Model.from(
  input,
  seq({
    conv1: conv2d(6, 3),
    norm: groupNorm(2),
    tanh: tanh(),
    conv2: conv2d(8, 3, { stride: 2 }),
    mean: globalAvgPool(),
    fc: linear(CLASSES),
  }),
);

const numbers = (length: number, key: string): Float32Array => {
  const random = generator(11, key);
  return Float32Array.from({ length }, () => 2 * random() - 1);
};

const labels = (n: number): Int32Array => Int32Array.from({ length: n }, (_, i) => (i * 7) % CLASSES);

const arrays = (n: number): ArraySource => new ArraySource(numbers(n * 192, 'x'), input, labels(n));

/** Pictures of noise, augmented. */
function pictures(n: number, augmentation: string, side = 8): ImageSource {
  const size = side * side * 3;
  const bytes = Uint8Array.from(numbers(n * size, 'pictures'), v => 127 + 120 * v);
  const split: Split = {
    length: n,
    labels: labels(n),
    image: { height: side, width: side, channels: 3 },
    read: (samples, into) => {
      for (let i = 0; i < samples.length; i++) {
        into.set(bytes.subarray(samples[i]! * size, (samples[i]! + 1) * size), i * size);
      }
    },
    sampleName: String,
    statistics: async () => ({ mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] }),
    fingerprint: () => 'sha256:',
  };
  return new ImageSource(split, { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] }, parseAugmentation(augmentation));
}

function training(given: Partial<Recipe>, setup: Partial<TrainingSetup> = {}): { training: Training; store: Store } {
  const store = new Store();
  const recipe = { ...makeRecipe({ epochs: 4, batchSize: 8, lr: 0.05, seed: 5 }), ...given };
  return { store, training: new Training({ model, store, recipe, train: arrays(27), ...setup }) };
}

async function steps(one: Training, count: number): Promise<number[]> {
  const losses: number[] = [];
  for (let i = 0; i < count; i++) {
    losses.push((await one.step()).loss);
    if (one.epochDone) one.endEpoch();
  }
  return losses;
}

/** Digests of every tensor that a checkpoint holds. */
const content = ({ training, store }: { training: Training; store: Store }): Record<string, string> =>
  Object.fromEntries(
    training.state.map(({ name }) => {
      const data = store.read(name);
      return [name, createHash('sha256').update(data).digest('hex')];
    }),
  );

describe('identity', () => {
  const recipe = {
    optimizer: 'adamw',
    lr: 1e-2,
    ema: 0.99,
    clip: 1,
    epochs: 7,
    batchSize: 20,
    labelSmoothing: 0.1,
  } as const;
  // Tensors of 82,000 elements and more: several blocks of work for most ops.
  const wide = network(16, 16);

  test.each(native().info().isas)(
    '20 steps on %s are the same bytes with 1, 2, 3 and 4 threads, and again',
    async isa => {
      const results = [];
      for (const threads of [1, 2, 3, 4, 2]) {
        const train = pictures(50, 'crop=2,flip,cutout=0.3,jitter=0.2,lighting,mixup,cutmix', 16);
        const one = training({ ...recipe, threads }, { model: wide, isa, train });
        results.push({ losses: await steps(one.training, 20), content: content(one) });
      }
      expect(new Set(results[0]!.losses).size).toBe(20);
      for (const other of results.slice(1)) expect(other).toEqual(results[0]);
    },
  );

  /** Norms before convolutions, groups of every kind, and channels that are put side by side and read again. */
  const grouped = async (): Promise<Model> => {
    const unit = (width: number, groups: number) => seq(batchNorm(), relu(), conv2d(width, 3, { groups, bias: false }));
    const grown = (groups: number) => seq(unit(48, groups), unit(24, 1));
    return Model.from([16, 16, 3], input => {
      let x = conv2d(24, 3)(input);
      for (const groups of [2, 4, 6, 8]) x = concat(x, grown(groups)(x));
      return seq(batchNorm(), relu(), globalAvgPool(), linear(CLASSES))(x);
    });
  };
  const zoo = (name: string) => () => buildNetwork(name, [16, 16, 3], CLASSES, { form: 'cifar' });

  // Between them they come by every algorithm of convolutions, and by what is fused with them.
  test.each([
    ['resnet20', zoo('resnet20')],
    ['mobilenet_v2_x0_25', zoo('mobilenet_v2_x0_25')],
    ['shufflenet_v2_x0_5', zoo('shufflenet_v2_x0_5')],
    ['groups and concatenations', grouped],
  ])('of %s, too', async (_, build) => {
    const real = await build();
    const results = [];
    for (const threads of [1, 2, 3]) {
      const one = training(
        { ...recipe, batchSize: 12, threads },
        { model: real, train: pictures(30, 'crop=2,flip', 16) },
      );
      results.push({ losses: await steps(one.training, 3), content: content(one) });
    }
    expect(new Set(results[0]!.losses).size).toBe(3);
    for (const other of results.slice(1)) expect(other).toEqual(results[0]);
  });

  test('another seed is another training', async () => {
    const [one, other] = [training({ seed: 1 }), training({ seed: 2 })];
    expect(await steps(one.training, 2)).not.toEqual(await steps(other.training, 2));
  });
});

describe('random numbers', () => {
  test('pictures are drawn by seed, epoch and sample, wherever the sample stands', async () => {
    const source = pictures(27, 'crop,flip,cutout,mixup');
    const drawn = async (samples: number[], seed: number, epoch: number): Promise<Float32Array[]> => {
      const { boxes, erase, blend } = await source.feeds(Int32Array.from(samples), { seed, epoch });
      const at = samples.indexOf(7);
      return [
        boxes!.slice(4 * at, 4 * at + 4),
        erase!.slice(4 * at, 4 * at + 4),
        blend!.slice(at, at + 1),
      ] as Float32Array[];
    };
    const once = await drawn([7], 1, 2);
    expect(await drawn([3, 9, 7], 1, 2)).toEqual(once);
    expect(await drawn([7], 2, 2)).not.toEqual(once);
    expect(await drawn([7], 1, 3)).not.toEqual(once);
  });

  /** Losses of a network that only drops, on rows that are all the same: masks alone make them differ. */
  async function dropped(seed: number, accumulate: number): Promise<number[]> {
    const only = Model.from([64], seq({ dropout: dropout(0.5), fc: linear(CLASSES) }));
    const train = new ArraySource(new Float32Array(16 * 64).fill(1), [64], new Int32Array(16));
    const one = training({ seed, accumulate, batchSize: 16, lr: 0, epochs: 3 }, { model: only, train });
    one.store.write('fc.weight', numbers(64 * CLASSES, 'weights'));
    one.store.write('fc.bias', new Float32Array(CLASSES));
    return steps(one.training, 3);
  }

  test('masks change with the step and the seed, not with how a step is cut', async () => {
    const losses = await dropped(1, 1);
    expect(new Set([...losses, ...(await dropped(2, 1)), ...(await dropped(1 + 2 ** 32, 1))]).size).toBe(9);
    for (const [i, loss] of (await dropped(1, 4)).entries()) expect(loss).toBeCloseTo(losses[i]!, 5);
  });

  test('a linear schedule drops nothing at first, and nearly its rate at last', async () => {
    // Rows of 1, kept with probability 1 − r and divided by it, have a mean square of 1/(1 − r); r = 0, 1/4, 2/4, 3/4.
    const count = 4096;
    const only = Model.from(
      [1],
      seq({ drop: stochasticDepth(1, { schedule: 'linear' }), fc: linear(1, { bias: false }) }),
    );
    const train = new ArraySource(new Float32Array(count).fill(1), [1], new Float32Array(count));
    const one = training({ batchSize: count, lr: 0, epochs: 4, loss: 'mse', accumulate: 2 }, { model: only, train });
    one.store.write('fc.weight', Float32Array.of(1));
    const [first, ...losses] = await steps(one.training, 4);
    expect(first).toBe(1);
    losses.forEach((loss, i) => {
      expect(Math.abs(loss * (1 - (i + 1) / 4) - 1)).toBeLessThan(0.1);
    });
  });
});

describe('accumulation', () => {
  /** Samples in the order of their positions in the first epoch, from `first` on: what a micro-batch sees. */
  function inOrder(count: number, first = 0): Source {
    const x = numbers(64 * 192, 'rows');
    const places = new Map([...epochOrder(count, 5, 0)].map((sample, at) => [sample, first + at]));
    const own = new ArraySource(x, input, labels(64));
    return {
      length: count,
      labels: own.labels!.subarray(first, first + count),
      input: graph => own.input(graph),
      feeds: (samples: Int32Array): Promise<Feeds> => own.feeds(samples.map(s => places.get(s)!)),
    };
  }

  async function gradients(train: Source, accumulate: number): Promise<Map<string, Float32Array>> {
    // Without decay, SGD's momentum after one step is the gradient.
    const one = training(
      { batchSize: train.length, accumulate, lr: 0, weightDecay: 0, epochs: 1, nesterov: false },
      { model: plain, train },
    );
    await one.training.step();
    const learned = plain.state.filter(isLearned).map(s => s.name);
    return new Map(learned.map(name => [name, one.store.read(slotName('momentum', name)) as Float32Array]));
  }

  test('four micro-batches are the tree of their gradients, byte for byte', async () => {
    const parts = [];
    for (let i = 0; i < 4; i++) parts.push(await gradients(inOrder(8, 8 * i), 1));
    const f = Math.fround;
    for (const [name, whole] of await gradients(inOrder(32), 4)) {
      const [a, b, c, d] = parts.map(part => part.get(name)!);
      const expected = whole.map((_, i) => f(f(a![i]! + b![i]!) + f(c![i]! + d![i]!)) / 4);
      expect([name, whole]).toEqual([name, expected]);
    }
  });

  test.each([2, 3, 4, 5, 8])('%d micro-batches are one large one within rounding', async micros => {
    const size = 8 * micros - (micros % 2); // an odd number leaves the last micro-batch one short
    const large = await gradients(inOrder(size), 1);
    for (const [name, small] of await gradients(inOrder(size), micros)) {
      const scale = Math.max(...large.get(name)!.map(Math.abs));
      small.forEach((v, i) => {
        if (!(Math.abs(v - large.get(name)![i]!) <= 4e-6 * scale))
          throw new Error(`${name}[${i}]: ${v} ${large.get(name)![i]}`);
      });
    }
  });

  test('every micro-batch moves the running statistics, as a step of its own would, byte for byte', async () => {
    const model = Model.from(
      input,
      seq({ conv: conv2d(6, 3), norm: batchNorm(), mean: globalAvgPool(), fc: linear(CLASSES) }),
    );
    const run = async (batchSize: number, accumulate: number, count: number) => {
      const one = training({ batchSize, accumulate, epochs: 2, lr: 0, weightDecay: 0 }, { model, train: arrays(27) });
      await steps(one.training, count);
      const running = model.state.filter(s => s.role === 'statistic');
      expect(running.length).toBeGreaterThan(0);
      return new Map(running.map(s => [s.name, one.store.read(s.name)]));
    };
    // 27 samples are steps of 12, 12 and 3, or of six times 4 and 3.
    expect(await run(12, 3, 3)).toEqual(await run(4, 1, 7));
    expect(await run(12, 3, 3)).not.toEqual(await run(12, 1, 3));
  });

  test('trains like one large batch, the smaller last step of an epoch included', async () => {
    const run = async (accumulate: number) => {
      const one = training({ batchSize: 12, accumulate, epochs: 3 }, { model: plain, train: arrays(27) });
      return { losses: await steps(one.training, 9), one };
    };
    const [large, small] = [await run(1), await run(4)];
    small.losses.forEach((loss, i) => {
      expect(loss).toBeCloseTo(large.losses[i]!, 5);
    });
  });
});

describe('divergence', () => {
  async function diverges(one: ReturnType<typeof training>, where: string): Promise<void> {
    const before = content(one);
    const { position } = one.training;
    await expect(one.training.step()).rejects.toMatchObject({ code: 'E_DIVERGED', class: 'diverged', where });
    expect(content(one)).toEqual(before);
    expect(one.training.position).toEqual(position);
  }

  test('NaN in the data is found in the input', async () => {
    const train = arrays(27);
    train.x[epochOrder(27, 5, 0)[10]! * 192 + 3] = Number.NaN;
    const one = training({}, { train });
    await steps(one.training, 1);
    await diverges(one, 'input x');
  });

  test('NaN in one micro-batch is found there, and none is committed', async () => {
    const train = arrays(27);
    train.x[epochOrder(27, 5, 0)[2]! * 192] = Number.POSITIVE_INFINITY;
    await diverges(training({ accumulate: 4 }, { train }), 'input x');
  });

  test('an overflow is found in the layer that makes it', async () => {
    const one = training({}, { model: plain });
    one.store.write('conv2.weight', new Float32Array(3 * 3 * 6 * 8).fill(3e38));
    await diverges(one, 'layer conv2');
    const last = training({}, { model: plain });
    last.store.write('fc.weight', new Float32Array(8 * CLASSES).fill(3e38));
    last.store.write('fc.bias', new Float32Array(CLASSES).fill(3e38));
    await diverges(last, 'layer fc');
  });

  test('a learning rate beyond reason ends in the layer where numbers end', async () => {
    const one = training(
      { lr: 1e30, schedule: { ...defaultSchedule, name: 'constant' }, weightDecay: 0 },
      { model: plain },
    );
    await steps(one.training, 1);
    // tanh keeps what conv2 reads within 1, so that its results are about 1e30; fc multiplies them by as much.
    await diverges(one, 'layer fc');
  });

  test('a loss that is not finite is found where no layer is to blame', async () => {
    const y = new Float32Array(27 * CLASSES).fill(1e30);
    const one = training(
      { loss: 'mse' },
      { model: plain, train: new ArraySource(numbers(27 * 192, 'x'), input, y, CLASSES) },
    );
    await diverges(one, 'mse_loss');
  });
});

describe('nothing to train', () => {
  test('is said', () => {
    const code = expect.objectContaining({ code: 'E_NOTHING_TO_TRAIN' });
    expect(() =>
      training({}, { model: Model.from([4], tanh()), train: new ArraySource(new Float32Array(8), [4], labels(2)) }),
    ).toThrow(code);
    expect(() => training({}, { trainable: () => false })).toThrow(code);
    expect(() => training({}, { train: new ArraySource(new Float32Array(0), input, labels(0)) })).toThrow(
      expect.objectContaining({ code: 'E_NO_SAMPLES' }),
    );
  });

  test('what is not trained keeps its values, statistics included', async () => {
    const one = training({}, { trainable: name => name.startsWith('fc.') });
    const before = content(one);
    await steps(one.training, 3);
    const after = content(one);
    for (const { name } of model.state) {
      const moves = name.startsWith('fc.');
      expect([name, after[name] !== before[name]]).toEqual([name, moves]);
    }
  });
});

describe('resume', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'dlcourse-resume-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  const given = {
    optimizer: 'rmsprop',
    lr: 1e-3,
    momentum: 0.9,
    epochs: 3,
    ema: 0.9,
    lookahead: 0.7,
    patience: 0,
  } as const;
  const fresh = (other: Partial<Recipe> = {}, setup: Partial<TrainingSetup> = {}, side = 8) =>
    training(
      { ...given, ...other },
      {
        train: pictures(27, 'crop,flip,mixup', side),
        test: pictures(13, 'none', side),
        classes: ['a', 'b', 'c', 'd'],
        ...setup,
      },
    );
  const options = (history: EpochRecord[]) => ({ history, patience: 0, evaluate: true });

  /** Stops `fresh()` at a step, saves it, and goes on with `other()`: it ends as one that did not stop. */
  async function goesOn(stop: number, fresh: () => ReturnType<typeof training>, other = fresh): Promise<void> {
    const whole = fresh();
    const expected: EpochRecord[] = [];
    for await (const _ of trainLoop(whole.training, options(expected)));

    const first = fresh();
    const history: EpochRecord[] = [];
    const generations = new Generations(mkdtempSync(path.join(folder, 'run-')));
    for await (const event of trainLoop(first.training, options(history))) {
      if (event.kind !== 'step' || first.training.position.step !== stop) continue;
      const record: TrainingRecord = {
        recipe: makeRecipe(given),
        position: first.training.position,
        history,
        data: { source: '', name: '', fingerprint: '', trainImages: 27, testImages: 13 },
        isa: '',
      };
      const card = { format: FORMAT, model: model.config, classes: ['a', 'b', 'c', 'd'] };
      const { path: file } = await saveCheckpoint(generations, first.training, first.store, card, record);
      const second = other();
      const read = await readCheckpoint(file);
      await restoreCheckpoint(file, second.training, second.store, read.record.position);
      expect(content(second)).toEqual(content(first));
      const continued = [...read.record.history];
      for await (const _ of trainLoop(second.training, options(continued)));
      expect(continued).toEqual(expected);
      expect(content(second)).toEqual(content(whole));
      expect(second.training.position).toEqual(whole.training.position);
      return;
    }
    throw new Error('never stopped');
  }

  // 27 samples in batches of 8: four steps an epoch, twelve in all.
  test.each([1, 3, 4, 5, 8, 11])('after step %d goes on as if nothing had happened', stop =>
    goesOn(stop, () => fresh()),
  );

  const fast: Partial<Recipe> = {
    ...{
      optimizer: 'sgd' as const,
      nesterov: true,
      lr: 0.02,
      schedule: { ...defaultSchedule, name: 'triangular' as const },
      labelSmoothing: 0.2,
    },
    ...{ biasLr: 64, lookahead: 0.9, testCrops: 2 },
  };
  test.each<[string, string, Partial<Recipe>, Partial<Recipe>]>([
    ['Winograd convolutions, as the fast recipe trains', 'resnet20', fast, {}],
    ['depthwise convolutions', 'mobilenet_v2_x0_25', {}, {}],
    ['other threads', 'resnet20', { threads: 2 }, { threads: 1 }],
    ['activations recomputed from there on', 'resnet20', {}, { checkpointActivations: true }],
    [
      'activations recomputed until then',
      'resnet20',
      { checkpointActivations: true },
      { checkpointActivations: false },
    ],
  ])('with %s', async (_, name, recipe, changed) => {
    const real = await buildNetwork(name, [16, 16, 3], CLASSES, { form: 'cifar' });
    const train = () => pictures(27, 'crop=2,reflect,alternate', 16);
    await goesOn(
      5,
      () => fresh(recipe, { model: real, train: train() }, 16),
      () => fresh({ ...recipe, ...changed }, { model: real, train: train() }, 16),
    );
  });
});

describe('sequences', () => {
  test('a 1-D network tells sines, squares and sawtooths of any phase and pitch apart in the noise', async () => {
    const { sequenceNetwork, waveforms } = await import('./waveforms.js');
    const learner = compile(sequenceNetwork(), {
      epochs: 6,
      batchSize: 32,
      lr: 0.05,
      seed: 3,
      classes: ['sine', 'square', 'sawtooth'],
    });
    const test = waveforms(300, 'test');
    const history = await learner.fit(waveforms(600, 'train'), { test });
    const { top1, confusion } = await learner.evaluate(test);
    expect(confusion.flat().reduce((a, b) => a + b)).toBe(300);
    expect(history.at(-1)!.test!.top1).toBe(top1);
    expect(top1).toBeGreaterThan(0.97); // 1 on AVX2 and AVX-512
  });
});
