// What a training is made of, one by one: schedules, metrics, order, augmentation, recipes.

import { describe, expect, test } from '@jest/globals';
import {
  type Augmentation,
  drawAugmentation,
  noAugmentation,
  parseAugmentation,
  showAugmentation,
} from '../../src/train/augmentation.js';
import { averageScores, Counts, probabilities, topPredictions } from '../../src/train/metrics.js';
import { epochOrder } from '../../src/train/order.js';
import { makeRecipe, type Recipe } from '../../src/train/recipe.js';
import { defaultSchedule, type ScheduleOptions, scheduleFactor, scheduleNames } from '../../src/train/schedule.js';

describe('schedules', () => {
  const factors = (options: Partial<ScheduleOptions>, total: number, perEpoch = 1): number[] =>
    Array.from({ length: total }, (_, step) =>
      scheduleFactor({ ...defaultSchedule, ...options }, step, total, perEpoch),
    );

  // Rates of torch 2.14's schedulers with a base rate of 1:
  test.each<[string, number[], number[]]>([
    [
      'OneCycleLR(total_steps=20, pct_start=0.3, div_factor=25, final_div_factor=1e4)',
      factors({ name: 'one_cycle' }, 20),
      [
        0.04, 0.1316718427, 0.3716718427, 0.6683281573, 0.9083281573, 1, 0.9874640062350873, 0.9504846320134737,
        0.89091617757105, 0.8117456539497631, 0.7169430017913008, 0.6112620219362893, 0.500002, 0.38874197806371075,
        0.28306099820869923, 0.18825834605023697, 0.10908782242895004, 0.049519367986526286, 0.012539993764912554, 4e-6,
      ],
    ],
    [
      'OneCycleLR(total_steps=7, pct_start=0.5, …), whose peak lies between two steps',
      factors({ name: 'one_cycle', rise: 0.5 }, 7),
      [0.04, 0.3716718427000253, 0.9083281572999747, 0.9504846320134737, 0.6112620219362893, 0.18825834605023697, 4e-6],
    ],
    [
      'CosineAnnealingLR(T_max=8)',
      factors({ name: 'cosine' }, 8),
      [
        1, 0.9619397662556434, 0.8535533905932737, 0.6913417161825449, 0.5, 0.30865828381745514, 0.14644660940672627,
        0.03806023374435664,
      ],
    ],
    ['MultiStepLR([4, 6])', factors({ name: 'multi_step', milestones: [4, 6] }, 8), [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]],
    [
      'PolynomialLR(total_iters=8, power=0.5)',
      factors({ name: 'polynomial', power: 0.5 }, 8),
      [
        1, 0.9354143466934853, 0.8660254037844387, 0.7905694150420949, 0.7071067811865475, 0.6123724356957946, 0.5,
        0.35355339059327373,
      ],
    ],
    [
      'numpy.interp(arange(8), [0, 2, 8], [0.2, 1, 0.07])',
      factors({ name: 'triangular', rise: 0.25, first: 0.2, last: 0.07 }, 8),
      [0.2, 0.6, 1, 0.845, 0.69, 0.535, 0.38, 0.225],
    ],
    [
      'LinearLR(start_factor=1, end_factor=0, total_iters=8)',
      factors({ name: 'linear' }, 8),
      [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125],
    ],
    [
      'ExponentialLR(gamma=0.1 ** (1 / 8))',
      factors({ name: 'exponential', gamma: 0.1 }, 8),
      [
        1, 0.7498942093324559, 0.5623413251903492, 0.4216965034285823, 0.316227766016838, 0.2371373705661655,
        0.1778279410038923, 0.1333521432163324,
      ],
    ],
    [
      'StepLR(3, gamma=0.5)',
      factors({ name: 'step', stepEpochs: 3, gamma: 0.5 }, 8),
      [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25],
    ],
  ])('%s', (_, ours, theirs) => {
    ours.forEach((factor, i) => {
      expect(factor).toBeCloseTo(theirs[i]!, 9);
    });
    expect(ours.length).toBe(theirs.length);
  });

  test('milestones and steps count epochs', () => {
    expect(factors({ name: 'multi_step', milestones: [1, 2] }, 6, 2)).toEqual([1, 1, 0.1, 0.1, 0.1 ** 2, 0.1 ** 2]);
    expect(factors({ name: 'step', stepEpochs: 2 }, 6, 2)).toEqual([1, 1, 1, 1, 0.1, 0.1]);
  });

  test('a warm-up rises in equal steps to what follows', () => {
    const warm = factors({ name: 'cosine', warmup: 2 }, 12, 2);
    expect(warm.slice(0, 5)).toEqual([1 / 5, 2 / 5, 3 / 5, 4 / 5, 1]);
    expect(warm[8]).toBeCloseTo(0.5, 12);
    expect(factors({ name: 'constant', warmup: 1 }, 4, 1)).toEqual([0.5, 1, 1, 1]);
  });

  test.each([1, 2, 3])('all are finite and positive for %d steps', total => {
    for (const name of scheduleNames) {
      for (const factor of factors({ name }, total)) expect(factor > 0 && factor <= 1).toBe(true);
    }
  });
});

describe('metrics', () => {
  test('by hand: three classes, four images', () => {
    const counts = new Counts(['a', 'b', 'c']);
    // predicted 0 0 1 2, right 0 1 1 2 → one b taken for a
    counts.add(Float32Array.of(2, 0, 0, 1, 0, 0), [0, 1]);
    counts.add(Float32Array.of(0, 3, 0, 0, 0, 1), [1, 2]);
    const result = counts.result();
    expect(result.confusion).toEqual([
      [1, 0, 0],
      [1, 1, 0],
      [0, 0, 1],
    ]);
    const loss = (own: number, ...others: number[]): number =>
      -Math.log(Math.exp(own) / [own, ...others].reduce((sum, v) => sum + Math.exp(v), 0));
    expect(result.loss).toBeCloseTo((loss(2, 0, 0) + loss(0, 1, 0) + loss(3, 0, 0) + loss(1, 0, 0)) / 4, 6);
    expect([result.images, result.top1, result.top5]).toEqual([4, 0.75, 1]);
    expect(result.classes).toEqual([
      { name: 'a', images: 1, precision: 0.5, recall: 1, f1: 2 / 3 },
      { name: 'b', images: 2, precision: 1, recall: 0.5, f1: 2 / 3 },
      { name: 'c', images: 1, precision: 1, recall: 1, f1: 1 },
    ]);
  });

  test('of equal scores the lower index is first, in top 1 and in top 5', () => {
    const names = ['0', '1', '2', '3', '4', '5', '6'];
    const counts = new Counts(names);
    counts.add(new Float32Array(7 * 7).fill(0.5), [0, 1, 2, 3, 4, 5, 6]);
    const result = counts.result();
    expect([result.top1, result.top5]).toEqual([1 / 7, 5 / 7]);
    expect(topPredictions(new Float32Array(7), names, 3).map(p => p.index)).toEqual([0, 1, 2]);
  });

  test('a class that is never named, never there, or a NaN, spoils nothing else', () => {
    const counts = new Counts(['a', 'b', 'c']);
    counts.add(Float32Array.of(Number.NaN, Number.NaN, Number.NaN, 0, 5, 0), [0, 1]);
    const { top1, classes, loss } = counts.result();
    expect(top1).toBe(0.5);
    expect(loss).toBeNaN();
    expect(classes.map(c => [c.precision, c.recall, c.f1])).toEqual([
      [0, 0, 0],
      [1, 1, 1],
      [0, 0, 0],
    ]);
    expect(new Counts(['a']).result()).toMatchObject({ images: 0, loss: 0, top1: 0 });
  });

  test('large logits overflow nowhere', () => {
    expect([...probabilities(Float32Array.of(1e4, 1e4, -1e4))]).toEqual([0.5, 0.5, 0]);
    const counts = new Counts(['a', 'b']);
    counts.add(Float32Array.of(1e4, -1e4), [1]);
    expect(counts.result().loss).toBe(2e4);
  });
});

describe('answers to several crops', () => {
  const share = (scores: Float32Array, c: number) =>
    Math.exp(scores[c]!) / scores.reduce((sum, s) => sum + Math.exp(s), 0);

  test('by hand: the mean of the probabilities', () => {
    // Softmax of log p is p: rows of 0.7, 0.2, 0.1 and 0.1, 0.6, 0.3.
    const log = (p: number[]) => p.map(v => Math.log(v) + 5);
    const mean = averageScores(Float32Array.from([...log([0.7, 0.2, 0.1]), ...log([0.1, 0.6, 0.3])]), 2);
    [0.4, 0.4, 0.2].forEach((p, c) => {
      expect(mean[c]).toBeCloseTo(Math.log(p), 6);
    });
    expect(share(averageScores(Float32Array.of(3, 1, 2), 1), 0)).toBeCloseTo(
      Math.exp(3) / (Math.exp(3) + Math.exp(1) + Math.exp(2)),
      6,
    );
  });

  test('no probability becomes 0, no logit overflows; NaN stays', () => {
    const mean = averageScores(Float32Array.of(1e4, -1e4, -1e4, 1e4, -1e4, -1e4), 2);
    expect([...mean]).toEqual([0, -2e4, -2e4]);
    expect(averageScores(Float32Array.of(Number.NaN, 0, 0, 1), 2)[0]).toBeNaN();
  });
});

describe('order', () => {
  test('each epoch is a permutation of its own, the same for the same seed', () => {
    const orders = [
      epochOrder(100, 1, 0),
      epochOrder(100, 1, 1),
      epochOrder(100, 2, 0),
      epochOrder(100, 1 + 2 ** 32, 0),
    ];
    for (const order of orders)
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(new Set(orders.map(String)).size).toBe(4);
    expect(epochOrder(100, 1, 1)).toEqual(orders[1]);
    expect([...epochOrder(1, 9, 9)]).toEqual([0]);
  });

  test('every place is as likely', () => {
    const counts = new Float64Array(5 * 5);
    for (let epoch = 0; epoch < 5000; epoch++) {
      for (const [i, v] of epochOrder(5, 3, epoch).entries()) counts[i * 5 + v]!++;
    }
    // 1000 each; six standard deviations are 170
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(170);
  });
});

describe('augmentation', () => {
  const shape = [32, 24, 3] as const;
  const all: Augmentation = parseAugmentation('crop,flip,resized=0.3,cutout,erasing,jitter,lighting,cutmix,mixup');
  const draws = (a: Augmentation, count = 4000) =>
    Array.from({ length: count }, (_, i) => drawAugmentation(a, 1, 0, i, shape));

  test('depends on seed, epoch and sample alone', () => {
    const draw = (seed: number, epoch: number, sample: number) => drawAugmentation(all, seed, epoch, sample, shape);
    const forwards = [0, 1, 2].map(i => draw(1, 2, i));
    const backwards = [2, 1, 0].map(i => draw(1, 2, i)).reverse();
    expect(backwards).toEqual(forwards);
    for (const other of [draw(2, 2, 0), draw(1, 3, 0), draw(1, 2, 1)]) expect(other).not.toEqual(forwards[0]);
  });

  test('none leaves the picture as it is', () => {
    expect(drawAugmentation(noAugmentation, 1, 5, 9, shape)).toEqual({
      box: [0, 0, 24, 32],
      flip: false,
      erase: [0, 0, 0, 0],
      color: [1, 1, 1, 0],
      lighting: [0, 0, 0],
      blend: 1,
      mix: 1,
      cut: [0, 0, 0, 0],
    });
  });

  test('crops shift by every whole number of pixels, each as often', () => {
    const counts = new Map<number, number>();
    for (const { box } of draws(parseAugmentation('crop=2'))) {
      expect([box[2] - box[0], box[3] - box[1]]).toEqual([24, 32]);
      for (const shift of [box[0], box[1]]) counts.set(shift, (counts.get(shift) ?? 0) + 1);
    }
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2]);
    for (const count of counts.values()) expect(Math.abs(count - 1600)).toBeLessThan(220);
  });

  test('half of the pictures are mirrored', () => {
    const flipped = draws(parseAugmentation('flip')).filter(d => d.flip).length;
    expect(Math.abs(flipped - 2000)).toBeLessThan(200);
  });

  test('those that alternate are mirrored in every second epoch, half of them in the first', () => {
    const flips = [0, 1, 2].map(epoch =>
      Array.from(
        { length: 400 },
        (_, i) => drawAugmentation(parseAugmentation('alternate'), 1, epoch, i, [32, 24, 3]).flip,
      ),
    );
    expect(Math.abs(flips[0]!.filter(Boolean).length - 200)).toBeLessThan(50);
    expect(flips[1]).toEqual(flips[0]!.map(f => !f));
    expect(flips[2]).toEqual(flips[0]);
  });

  test('windows stay within the picture, and their areas within their bounds', () => {
    const area = ([x0, y0, x1, y1]: readonly number[]): number => (x1! - x0!) * (y1! - y0!);
    for (const { box, erase, cut, mix } of draws({ ...all, crop: 0, mixup: 0 })) {
      for (const [x0, y0, x1, y1] of [box, erase, cut]) {
        expect(x0 >= 0 && y0 >= 0 && x1 <= 24 && y1 <= 32 && x0 <= x1 && y0 <= y1).toBe(true);
        expect([x0, y0, x1, y1].every(Number.isInteger)).toBe(true);
      }
      expect(area(box)).toBeGreaterThan(0.25 * 24 * 32);
      expect(mix).toBeCloseTo(1 - area(cut) / (24 * 32), 12);
    }
  });

  test.each([0.2, 1, 3])('mixup with α = %d: symmetric around a half, as wide as Beta(α, α)', alpha => {
    const blends = draws({ ...noAugmentation, mixup: alpha }).map(d => d.blend);
    const mean = blends.reduce((a, b) => a + b) / blends.length;
    const variance = blends.reduce((a, b) => a + (b - mean) ** 2, 0) / blends.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.04);
    expect(Math.abs(variance * 4 * (2 * alpha + 1) - 1)).toBeLessThan(0.1);
    expect(blends.every(b => b >= 0 && b <= 1)).toBe(true);
  });

  test('is written as it is read', () => {
    for (const text of ['none', 'crop=4,flip', 'crop=2,reflect,alternate', 'crop=2,flip,cutout=0.25,mixup=0.2']) {
      expect(showAugmentation(parseAugmentation(text))).toBe(text);
    }
    expect(parseAugmentation('')).toEqual(noAugmentation);
    expect(() => parseAugmentation('crop,flop')).toThrow(
      expect.objectContaining({ code: 'E_AUGMENT', hint: "did you mean 'flip'?" }),
    );
    for (const text of ['crop=-1', 'crop=1.5', 'crop=x', 'flip=1', 'resized=2', 'mixup=NaN', 'cutout=Infinity']) {
      expect(() => parseAugmentation(text)).toThrow(expect.objectContaining({ code: 'E_AUGMENT' }));
    }
  });
});

describe('recipes', () => {
  test('an optimizer brings its own rate and decay, unless they are given', () => {
    expect(makeRecipe()).toMatchObject({ optimizer: 'sgd', lr: 0.1, weightDecay: 5e-4, momentum: 0.9, nesterov: true });
    expect(makeRecipe({ optimizer: 'adamw' })).toMatchObject({ lr: 1e-3, weightDecay: 1e-2 });
    expect(makeRecipe({ optimizer: 'adamw', lr: 0.5, weightDecay: undefined })).toMatchObject({
      lr: 0.5,
      weightDecay: 1e-2,
    });
  });

  test.each<Partial<Recipe>>([
    { epochs: 0 },
    { batchSize: 1.5 },
    { accumulate: 0 },
    { batchSize: 10, accumulate: 4 },
    { seed: -1 },
    { lr: Number.NaN },
    { lr: 1e30 },
    { lr: -1 },
    { momentum: 1 },
    { weightDecay: -1 },
    { labelSmoothing: 1 },
    { ema: 1 },
    { clip: -1 },
    { patience: -1 },
    { beta1: 1 },
    { beta2: Number.NaN },
    { alpha: 1.5 },
    { epsilon: -1 },
    { threads: 0 },
    { backboneLr: -1 },
    { unfreezeAfter: 1.5 },
    { schedule: { ...defaultSchedule, power: -1 } },
    { schedule: { ...defaultSchedule, warmup: -1 } },
    { schedule: { ...defaultSchedule, rise: 2 } },
    { schedule: { ...defaultSchedule, first: -1 } },
    { schedule: { ...defaultSchedule, last: 2 } },
    { schedule: { ...defaultSchedule, stepEpochs: 0 } },
    { schedule: { ...defaultSchedule, gamma: Number.NaN } },
    { schedule: { ...defaultSchedule, milestones: [Number.NaN] } },
  ])('%j is refused', given => {
    expect(() => makeRecipe(given)).toThrow(expect.objectContaining({ code: 'E_RECIPE', class: 'usage' }));
  });
});
