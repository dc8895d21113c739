// CIFAR binaries: planes become pixels, labels and sizes are checked to the byte.

import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { cifar10Batch } from '../../src/data/cifar.js';
import type { PackedSplit } from '../../src/data/dataset.js';
import { downloadedFolder } from '../../src/data/locations.js';
import { openDataset } from '../../src/data/open.js';
import { failure, makeScratch, put } from './scratch.js';

const realCifar = path.join(downloadedFolder('cifar10'));
const scratch = makeScratch();
let made = 0;

/** A record: label bytes, then planes where red is `seed + p`, green `2 × seed + p`, blue `3 × seed + p` (mod 256). */
function record(labels: number[], seed: number): number[] {
  const planes = [1, 2, 3].flatMap(c => Array.from({ length: 1024 }, (_, p) => (c * seed + p) & 255));
  return [...labels, ...planes];
}

function cifar10(change: (files: Record<string, number[]>) => void = () => {}): string {
  const files: Record<string, number[]> = { 'test_batch.bin': record([9], 7) };
  for (let i = 1; i <= 5; i++) files[`data_batch_${i}.bin`] = [...record([i], i), ...record([i + 1], 10 * i)];
  change(files);
  const folder = path.join(scratch, `cifar${made++}`);
  for (const [name, bytes] of Object.entries(files)) put(path.join(folder, name), Uint8Array.from(bytes));
  return folder;
}

describe('CIFAR-10', () => {
  test('batches follow each other, pixels are interleaved', async () => {
    const data = await openDataset(cifar10());
    const { train, test: held } = data.splits;
    expect([...train.labels]).toEqual([1, 2, 2, 3, 3, 4, 4, 5, 5, 6]);
    expect([...held.labels]).toEqual([9]);
    expect(data.classes.slice(0, 2)).toEqual(['airplane', 'automobile']);
    expect(data.image).toEqual({ height: 32, width: 32, channels: 3 });
    // Sample 3 is the second of data_batch_2: seed 20. Pixel 0, and pixel 300 (row 9, column 12).
    const pixels = (train as PackedSplit).pixels(3);
    expect([...pixels.slice(0, 3)]).toEqual([20, 40, 60]);
    expect([...pixels.slice(900, 903)]).toEqual([(20 + 300) & 255, (40 + 300) & 255, (60 + 300) & 255]);
    expect(train.sampleName(3)).toMatch(/data_batch_2\.bin#1$/);
  });

  test('read puts samples one after the other, from the offset on', async () => {
    const { train } = (await openDataset(cifar10())).splits;
    const into = new Uint8Array(2 * 3072 + 5).fill(255);
    await train.read([9, 0], into, 5);
    expect([...into.slice(0, 8)]).toEqual([255, 255, 255, 255, 255, 50, 100, 150]);
    expect([...into.slice(5 + 3072, 8 + 3072)]).toEqual([1, 2, 3]);
    expect(() => train.read([10], into)).toThrow('expected a sample index below 10, got 10');
  });

  test('the fingerprint tells pixels, labels and order apart', async () => {
    const same = [await openDataset(cifar10()), await openDataset(cifar10())].map(d => d.fingerprint());
    expect(same[0]).toBe(same[1]);
    const others = [
      cifar10(f => f['data_batch_1.bin'][100]++),
      cifar10(f => f['data_batch_1.bin'][0]++),
      cifar10(f => {
        [f['data_batch_1.bin'], f['data_batch_2.bin']] = [f['data_batch_2.bin'], f['data_batch_1.bin']];
      }),
    ];
    const digests = await Promise.all(others.map(async folder => (await openDataset(folder)).fingerprint()));
    expect(new Set([same[0], ...digests]).size).toBe(4);
  });

  test('class names come from batches.meta.txt where there is one', async () => {
    const folder = cifar10();
    put(path.join(folder, 'batches.meta.txt'), 'a\r\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n');
    expect((await openDataset(folder)).classes).toEqual([...'abcdefghij']);
  });

  test.each<[string, (f: Record<string, number[]>) => void, string]>([
    ['cut short', f => f['data_batch_3.bin'].pop(), 'data_batch_3.bin: expected a multiple of 3073 bytes, got 6145'],
    ['empty', f => f['test_batch.bin'].splice(0), 'test_batch.bin: expected a multiple of 3073 bytes, got 0'],
    [
      'label',
      f => f['data_batch_4.bin'].splice(3073, 1, 10),
      'data_batch_4.bin: byte 3073: expected a label below 10 for image 1, got 10',
    ],
    ['missing', f => delete f['data_batch_5.bin'], 'data_batch_5.bin: expected a file, got none of that name'],
  ])('%s is an error with file and byte', async (_, change, message) => {
    expect((await failure(openDataset(cifar10(change)))).message).toContain(message);
  });

  test('the Python version is refused with the reason', async () => {
    const folder = path.join(scratch, 'py');
    put(path.join(folder, 'data_batch_1'), 'x');
    expect((await failure(openDataset(folder))).message).toContain("expected CIFAR's binary version");
  });

  test('a batch written from pixels reads back', () => {
    const planar = record([4], 3);
    const pixels = new Uint8Array(3072);
    for (let p = 0; p < 1024; p++) for (let c = 0; c < 3; c++) pixels[3 * p + c] = planar[1 + 1024 * c + p];
    expect([...cifar10Batch([4], pixels)]).toEqual(planar);
  });
});

test('CIFAR-100 has a fine and a coarse label', async () => {
  const folder = path.join(scratch, 'hundred', 'cifar-100-binary');
  put(path.join(folder, 'train.bin'), Uint8Array.from([...record([19, 99], 1), ...record([0, 3], 2)]));
  put(path.join(folder, 'test.bin'), Uint8Array.from(record([11, 19], 5)));
  const fine = await openDataset(path.dirname(folder));
  expect([...fine.splits.train.labels]).toEqual([99, 3]);
  expect(fine.classes[99]).toBe('worm');
  expect([...(fine.splits.train as PackedSplit).pixels(0).slice(0, 3)]).toEqual([1, 2, 3]);
  const coarse = await openDataset(path.dirname(folder), { labels: 'coarse' });
  expect([...coarse.splits.test.labels]).toEqual([11]);
  expect(coarse.classes[19]).toBe('vehicles_2');
});

test('other classes than the model knows are a mismatch', async () => {
  const error = await failure(openDataset(cifar10(), { classes: ['cat', 'dog'] }));
  expect(error.class).toBe('mismatch');
});

test('its own preprocessing leaves a data set as it is', async () => {
  const data = await openDataset(cifar10());
  const preprocessing = { ...(await data.preprocessing()), mean: [0.5, 0.5, 0.5] };
  const again = await openDataset(path.dirname(data.splits.train.sampleName(0).split('#')[0]), { preprocessing });
  expect(again.fingerprint()).toBe(data.fingerprint());
  expect(await again.preprocessing()).toEqual(preprocessing);
});

test('another size and one channel are resampled, and kept', async () => {
  const folder = cifar10();
  const grey = await openDataset(folder, { input: [16, 16], channels: 1 });
  expect(grey.image).toEqual({ height: 16, width: 16, channels: 1 });
  expect([...grey.splits.train.labels]).toEqual([1, 2, 2, 3, 3, 4, 4, 5, 5, 6]);
  const again = await openDataset(folder, { preprocessing: await grey.preprocessing() });
  expect(again.fingerprint()).toBe(grey.fingerprint());
  expect((again.splits.train as PackedSplit).data).toEqual((grey.splits.train as PackedSplit).data);
});

const present = existsSync(realCifar) ? test : test.skip;
present('the downloaded CIFAR-10 has its published statistics', async () => {
  const data = await openDataset(realCifar);
  expect(data.splits.train.length).toBe(50_000);
  expect([...data.splits.train.labels.slice(0, 5)]).toEqual([6, 9, 9, 4, 1]);
  expect([...data.splits.test.labels.slice(0, 4)]).toEqual([3, 8, 8, 0]);
  const { mean, std } = await data.preprocessing();
  for (const [c, m] of [0.4914, 0.4822, 0.4465].entries()) expect(mean[c]).toBeCloseTo(m, 4);
  for (const [c, s] of [0.247, 0.2435, 0.2616].entries()) expect(std[c]).toBeCloseTo(s, 4);
});
