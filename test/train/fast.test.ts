// What trains quickly: a whitened first layer, biases with a rate of their own, slow weights, tests with mirror images.

import { describe, expect, test } from '@jest/globals';
import { withViews } from '../../src/data/cropped.js';
import { cropsOf } from '../../src/data/crops.js';
import type { Split } from '../../src/data/dataset.js';
import { batchNorm, conv2d, flatten, globalAvgPool, linear, Model, relu, seq } from '../../src/layers/index.js';
import { generator } from '../../src/layers/initializers.js';
import { Store } from '../../src/runtime/program.js';
import { noAugmentation } from '../../src/train/augmentation.js';
import { ImageSource } from '../../src/train/inputs.js';
import { compile } from '../../src/train/learner.js';
import { trainLoop } from '../../src/train/loop.js';
import { makeRecipe, type Recipe } from '../../src/train/recipe.js';
import { defaultSchedule } from '../../src/train/schedule.js';
import { Training } from '../../src/train/training.js';
import { whiten } from '../../src/train/whiten.js';

const CLASSES = 3;
const preprocessing = { mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] };

/** Pictures in which neighbours are alike, and channels too. */
function pictures(n: number, side = 6): Split {
  const random = generator(3, 'pictures');
  const bytes = new Uint8Array(n * side * side * 3);
  for (let i = 0; i < bytes.length; i++) {
    const near = i >= 3 && i % (side * 3) >= 3 ? bytes[i - 3]! : 128;
    bytes[i] = Math.min(255, Math.max(0, 0.8 * near + 0.2 * 128 + 60 * (random() - 0.5)));
  }
  const size = side * side * 3;
  return {
    length: n,
    labels: Int32Array.from({ length: n }, (_, i) => (i * 5) % CLASSES),
    image: { height: side, width: side, channels: 3 },
    read: (samples, into, offset = 0) => {
      for (let i = 0; i < samples.length; i++) {
        into.set(bytes.subarray(samples[i]! * size, (samples[i]! + 1) * size), offset + i * size);
      }
    },
    sampleName: String,
    statistics: async () => preprocessing,
    fingerprint: () => 'sha256:',
  };
}

const source = (n = 12): ImageSource => new ImageSource(pictures(n), preprocessing, noAugmentation);

const network = (filters = 24): Model =>
  Model.from(
    [6, 6, 3],
    seq({
      first: conv2d(filters, 2, { padding: 'valid' }),
      norm: batchNorm(),
      relu: relu(),
      pool: globalAvgPool(),
      fc: linear(CLASSES),
    }),
  );

/** All tensors of the model after so many steps. */
async function trainedFor(steps: number, given: Partial<Recipe>): Promise<Map<string, Float32Array>> {
  const model = network();
  const store = new Store();
  const recipe = makeRecipe({
    ...{ epochs: 5, batchSize: 12, lr: 0.05, momentum: 0, weightDecay: 0.01, nesterov: false, seed: 5 },
    ...{ schedule: { ...defaultSchedule, name: 'constant' as const } },
    ...given,
  });
  if (recipe.whiten) await whiten(model, store, source(), recipe.seed);
  const training = new Training({ model, store, recipe, train: source() });
  for (let i = 0; i < steps; i++) {
    await training.step();
    training.endEpoch();
  }
  return new Map(model.state.map(({ name }) => [name, store.read(name) as Float32Array]));
}

const closest = (a: Float32Array, b: Float32Array): number => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

describe('the rate of biases', () => {
  test('moves biases of norms further, by the same decay, and nothing else', async () => {
    const [start, plain, far] = await Promise.all([
      trainedFor(0, {}),
      trainedFor(1, {}),
      trainedFor(1, { biasLr: 64 }),
    ]);
    for (const [name, value] of plain) {
      if (name !== 'norm.bias') expect([name, far.get(name)]).toEqual([name, value]);
    }
    const before = start.get('norm.bias')!;
    const [near, quick] = [plain.get('norm.bias')!, far.get('norm.bias')!];
    expect(Math.max(...near.map(Math.abs))).toBeGreaterThan(1e-4);
    // It begins at 0, where nothing decays.
    expect(
      closest(
        quick.map((x, i) => (x - before[i]!) / 64),
        near,
      ),
    ).toBeLessThan(1e-7);

    // From the second step on: b ← b − 64 · lr · (g + decay/64 · b), of which the decay is lr · decay · b.
    const [two, none] = await Promise.all([
      trainedFor(2, { biasLr: 64 }),
      trainedFor(2, { biasLr: 64, weightDecay: 0 }),
    ]);
    const decayed = none.get('norm.bias')!.map((x, i) => x - 0.05 * 0.01 * quick[i]!);
    const moved = Math.max(...quick.map(Math.abs));
    // Gradients of the two differ only by what the first step's decay did to the weights.
    expect(closest(two.get('norm.bias')!, decayed)).toBeLessThan(0.02 * moved);
    expect(moved * 0.05 * 0.01).toBeGreaterThan(1e-5);
  });
});

describe('lookahead', () => {
  test('between meetings weights are as without it; then they are the mean, also the statistics', async () => {
    const [start, four, fourPlain] = await Promise.all([
      trainedFor(0, {}),
      trainedFor(4, { lookahead: 0.75 }),
      trainedFor(4, {}),
    ]);
    expect(four).toEqual(fourPlain);
    // The fifth step of ten.
    const [five, plain] = await Promise.all([
      trainedFor(5, { lookahead: 0.75, epochs: 10 }),
      trainedFor(5, { epochs: 10 }),
    ]);
    const stays = 0.75 * 0.5 ** 3;
    for (const [name, value] of five) {
      const mean = start.get(name)!.map((slow, i) => stays * slow + (1 - stays) * plain.get(name)![i]!);
      expect(closest(value, mean)).toBeLessThan(2e-7);
      expect([name, value]).not.toEqual([name, plain.get(name)]);
    }
  });

  test('the last step is a meeting', async () => {
    const [start, three, plain] = await Promise.all([
      trainedFor(0, {}),
      trainedFor(3, { lookahead: 0.75, epochs: 3 }),
      trainedFor(3, { epochs: 3 }),
    ]);
    const mean = start.get('fc.weight')!.map((slow, i) => 0.75 * slow + 0.25 * plain.get('fc.weight')![i]!);
    expect(closest(three.get('fc.weight')!, mean)).toBeLessThan(2e-7);
  });
});

describe('whitening', () => {
  test('gives the patches unit variance in independent directions, and is kept', async () => {
    const [start, trained] = await Promise.all([trainedFor(0, { whiten: true }), trainedFor(3, { whiten: true })]);
    const weights = start.get('first.weight')!;
    expect(trained.get('first.weight')).toEqual(weights);
    expect(trained.get('first.bias')).not.toEqual(start.get('first.bias'));
    // Second moments of the filters' answers to all patches of all pictures, computed here.
    const split = pictures(12);
    const pixels = new Uint8Array(12 * 108);
    split.read([...Array(12).keys()], pixels);
    const moments = new Float64Array(24 * 24);
    for (let i = 0; i < 12; i++) {
      for (let y = 0; y < 5; y++) {
        for (let x = 0; x < 5; x++) {
          const answers = Array.from({ length: 24 }, (_, f) => {
            let sum = 0;
            for (let k = 0; k < 12; k++) {
              const [c, dx, dy] = [k % 3, Math.floor(k / 3) % 2, Math.floor(k / 6)];
              const pixel = pixels[i * 108 + ((y + dy) * 6 + x + dx) * 3 + c]! / 255;
              sum += ((pixel - preprocessing.mean[c]!) / preprocessing.std[c]!) * weights[k * 24 + f]!;
            }
            return sum;
          });
          for (let a = 0; a < 24; a++)
            for (let b = 0; b < 24; b++) moments[a * 24 + b]! += (answers[a]! * answers[b]!) / 300;
        }
      }
    }
    let least = 1;
    for (let a = 0; a < 24; a++) {
      for (let b = 0; b < 24; b++) {
        const moment = moments[a * 24 + b]!;
        if (a === b) {
          // λ/(λ + 0.0005)
          expect(moment).toBeLessThan(1.0001);
          least = Math.min(least, moment);
        } else if (a % 12 === b % 12) expect(moment).toBeCloseTo(-moments[a * 25]!, 5);
        else expect(Math.abs(moment)).toBeLessThan(1e-4);
      }
    }
    expect(least).toBeGreaterThan(0.9);
    // Largest eigenvalues first: they need the smallest weights.
    const norms = Array.from({ length: 12 }, (_, f) =>
      Math.hypot(...Array.from({ length: 12 }, (_, k) => weights[k * 24 + f]!)),
    );
    expect(norms).toEqual([...norms].sort((a, b) => a - b));
  });

  test('fewer filters take the largest components', async () => {
    const [few, all] = await Promise.all(
      [8, 24].map(async filters => {
        const store = new Store();
        await whiten(network(filters), store, source(), 1);
        return store.read('first.weight') as Float32Array;
      }),
    );
    for (let f = 0; f < 4; f++) {
      for (let k = 0; k < 12; k++) {
        expect(few![k * 8 + f]).toBe(all![k * 24 + f]);
        expect(few![k * 8 + 4 + f]).toBe(-all![k * 24 + f]!);
      }
    }
  });

  test('of what it cannot is refused', async () => {
    const code = expect.objectContaining({ code: 'E_WHITEN' });
    const other = Model.from([6, 6, 3], seq(flatten(), linear(CLASSES)));
    for (const model of [network(25), network(26), other]) {
      await expect(whiten(model, new Store(), source(), 1)).rejects.toEqual(code);
    }
    const rows = { x: new Float32Array(2 * 108), y: Int32Array.of(0, 1) };
    await expect(compile(network(), { whiten: true, epochs: 1 }).fit(rows)).rejects.toEqual(code);
  });
});

describe('tests with several views', () => {
  test('each picture is followed by its mirror image, and by both, moved over a reflected border', async () => {
    const plain = pictures(4);
    const views = withViews(plain, 6);
    expect([views.length, views.crops, [...views.labels.subarray(0, 7)]]).toEqual([24, 6, [0, 0, 0, 0, 0, 0, 2]]);
    const own = new Uint8Array(108);
    plain.read([2], own);
    const seen = (by: number, mirrored: boolean): Uint8Array =>
      Uint8Array.from(own, (_, i) => {
        const [c, x, y] = [i % 3, Math.floor(i / 3) % 6, Math.floor(i / 18)];
        // Back from beyond the edge: −1 shows what 1 shows, 6 what 4 shows.
        const at = (k: number): number => 5 - Math.abs(5 - Math.abs(k + by));
        return own[(at(y) * 6 + at(mirrored ? 5 - x : x)) * 3 + c]!;
      });
    const all = new Uint8Array(7 * 108 + 1);
    await views.read([17, 16, 15, 14, 13, 12, 17], all, 1);
    const wanted = [seen(-1, true), seen(-1, false), seen(1, true), seen(1, false), seen(0, true), own, seen(-1, true)];
    expect(all.subarray(1)).toEqual(Uint8Array.from(Buffer.concat(wanted)));
    expect(() => views.sampleName(24)).toThrow();
    expect(views.sampleName(17)).toBe('2');

    const two = withViews(plain, 2);
    const both = new Uint8Array(2 * 108);
    await two.read([4, 5], both);
    expect(both).toEqual(Uint8Array.from(Buffer.concat([own, seen(0, true)])));
    // As one picture has them that is read from a file.
    const geometry = {
      height: 6,
      width: 6,
      channels: 3,
      fit: 'crop',
      cropFraction: 1,
      interpolation: 'linear',
    } as const;
    const picture = { height: 6, width: 6, channels: 3, data: own } as const;
    expect(Uint8Array.from(cropsOf(picture, geometry, 6))).toEqual(
      Uint8Array.from(Buffer.concat([0, 1, -1].flatMap(by => [seen(by, false), seen(by, true)]))),
    );
    expect(Uint8Array.from(cropsOf(picture, geometry, 2))).toEqual(both);
  });

  test('answers are averaged, and come when they are asked for', async () => {
    const model = network();
    const store = new Store();
    const test = new ImageSource(withViews(pictures(9), 6), preprocessing);
    const recipe = makeRecipe({ epochs: 5, batchSize: 12, seed: 5, testEvery: 2 });
    const training = new Training({ model, store, recipe, train: source(), test, classes: ['a', 'b', 'c'] });
    const tested: boolean[] = [];
    const loop = trainLoop(training, { history: [], patience: 0, testEvery: recipe.testEvery, evaluate: true });
    for await (const event of loop) if (event.kind === 'epoch') tested.push(event.record.test !== undefined);
    expect(tested).toEqual([false, true, false, true, true]);
    expect((await training.evaluate()).images).toBe(9);
  });
});
