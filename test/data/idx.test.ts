// IDX files: read strictly, plain or gzip, with messages that name the byte.

import { existsSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import type { PackedSplit } from '../../src/data/dataset.js';
import { openDataset } from '../../src/data/open.js';
import { failure, makeScratch, put } from './scratch.js';

const scratch = makeScratch();
let made = 0;

type Files = Record<string, number[] | Uint8Array>;

/** Two training images of 2 × 3 and one test image, by hand. */
function idx(change: (files: Files) => void = () => {}): string {
  const files: Files = {
    'train-images-idx3-ubyte': [
      0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16,
    ],
    'train-labels-idx1-ubyte': [0, 0, 8, 1, 0, 0, 0, 2, 2, 0],
    't10k-images-idx3-ubyte': [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 21, 22, 23, 24, 25, 26],
    't10k-labels-idx1-ubyte': [0, 0, 8, 1, 0, 0, 0, 1, 1],
  };
  change(files);
  const folder = path.join(scratch, `idx${made++}`);
  for (const [name, bytes] of Object.entries(files)) put(path.join(folder, name), Uint8Array.from(bytes));
  return folder;
}

test('images, labels and classes', async () => {
  const data = await openDataset(idx());
  expect(data.image).toEqual({ height: 2, width: 3, channels: 1 });
  expect(data.classes).toEqual(['0', '1', '2']);
  expect([...data.splits.train.labels]).toEqual([2, 0]);
  expect([...(data.splits.train as PackedSplit).pixels(1)]).toEqual([11, 12, 13, 14, 15, 16]);
  expect([...(data.splits.test as PackedSplit).pixels(0)]).toEqual([21, 22, 23, 24, 25, 26]);
});

test('gzip gives the same', async () => {
  const packed = idx(files => {
    for (const name of Object.keys(files)) {
      files[`${name}.gz`] = gzipSync(Uint8Array.from(files[name]));
      delete files[name];
    }
  });
  expect((await openDataset(packed)).fingerprint()).toBe((await openDataset(idx())).fingerprint());
});

test.each<[string, (f: Files) => void, RegExp]>([
  [
    'magic',
    f => ((f['train-images-idx3-ubyte'] as number[])[3] = 1),
    /train-images\S+: byte 0: expected magic number 0x00000803 \(images\), got 0x00000801/,
  ],
  ['type', f => ((f['t10k-labels-idx1-ubyte'] as number[])[2] = 13), /t10k-labels\S+: byte 0: .*got 0x00000d01/],
  [
    'header',
    f => (f['t10k-images-idx3-ubyte'] = [0, 0, 8, 3, 0]),
    /t10k-images\S+: byte 5: expected a header of 16 bytes/,
  ],
  ['short', f => (f['train-images-idx3-ubyte'] as number[]).pop(), /byte 27: expected 28 bytes in all, got 27/],
  ['long', f => (f['train-images-idx3-ubyte'] as number[]).push(0), /byte 28: expected 28 bytes in all, got 29/],
  [
    'huge',
    f => ((f['train-images-idx3-ubyte'] as number[])[8] = 255),
    /byte 8: expected a size of 1–4096, got 4278190082/,
  ],
  ['none', f => ((f['train-images-idx3-ubyte'] as number[])[7] = 0), /byte 4: expected a size of 1–268435456, got 0/],
  [
    'count',
    f => (f['train-labels-idx1-ubyte'] = [0, 0, 8, 1, 0, 0, 0, 1, 2]),
    /train-labels\S+: byte 4: expected 2 labels, one an image, got 1/,
  ],
  [
    'size',
    f => (f['t10k-images-idx3-ubyte'] = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 7]),
    /t10k-images\S+: byte 8: expected images of 2 × 3/,
  ],
  ['gzip', f => (f['t10k-labels-idx1-ubyte'] = [0x1f, 0x8b, 8, 0, 1, 2, 3]), /t10k-labels\S+: expected gzip data/],
  ['missing', f => delete f['t10k-labels-idx1-ubyte'], /expected four IDX files, got none for test-labels/],
])('a wrong %s is refused', async (_, change, message) => {
  const error = await failure(openDataset(idx(change)));
  expect(error.message).toMatch(message);
  expect(error.class).toBe('refusedFile');
});

const debian = '/usr/share/datasets/fashion-mnist';
const present = existsSync(debian) ? test : test.skip;
present('the real Fashion-MNIST is known by its labels', async () => {
  const data = await openDataset(debian);
  expect(data.name).toBe('fashion-mnist');
  expect([data.splits.train.length, data.splits.test.length]).toEqual([60_000, 10_000]);
  expect(data.classes[data.splits.train.labels[0]]).toBe('Ankle boot');
  const { mean, std } = await data.preprocessing();
  expect(mean[0]).toBeCloseTo(0.286, 4);
  expect(std[0]).toBeCloseTo(0.353, 4);
});
