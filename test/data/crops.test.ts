// What Pillow and torchvision make of the same pictures (test/data/fixtures/make.py), to the byte.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { CroppedSplit, stacked } from '../../src/data/cropped.js';
import { checkCrops, cropsOf, fitPicture } from '../../src/data/crops.js';
import { makeDataset, PackedSplit } from '../../src/data/dataset.js';
import { loadPicture } from '../../src/data/image.js';
import { openImageFolder } from '../../src/data/image-folder.js';
import type { Geometry, Interpolation } from '../../src/data/preprocessing.js';
import { resampleDataset } from '../../src/data/resampled.js';
import { crop, mirror, type Picture, resize } from '../../src/data/resize.js';
import { DlcourseError } from '../../src/errors.js';
import { packageRoot } from '../../src/package.js';
import { makeScratch, put } from './scratch.js';

interface Fixtures {
  resized: { kernel: Interpolation; from: [number, number]; to: [number, number]; channels: number; pixels: string }[];
  cut: { from: [number, number]; resize: number; crop: number; ten: string }[];
  cut144: { from: [number, number]; crop: number; sha256: string }[];
}

const fixtures: Fixtures = JSON.parse(readFileSync(path.join(packageRoot, 'test/data/fixtures/pictures.json'), 'utf8'));

/** The same picture as in make.py. */
function draw(height: number, width: number, channels: number): Picture {
  let state = 12345;
  const data = Uint8Array.from({ length: height * width * channels }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const noise = state >>> 24;
    return [0, 255, noise, (3 * i + (noise >> 4)) % 256][Math.floor(i / (5 * channels)) % 4];
  });
  return { height, width, channels, data };
}

const square = (side: number, resized: number): Geometry => ({
  ...{ height: side, width: side, channels: 3, fit: 'crop', cropFraction: side / resized, interpolation: 'linear' },
});

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('resize', () => {
  test.each(fixtures.resized)(
    '$kernel from $from to $to, $channels channels',
    ({ kernel, from, to, channels, pixels }) => {
      const got = resize(draw(...from, channels), { height: to[0], width: to[1] }, kernel);
      expect(got).toMatchObject({ height: to[0], width: to[1], channels });
      expect([...got.data]).toEqual([...Buffer.from(pixels, 'base64')]);
    },
  );

  test('a window is that part of the whole', () => {
    for (const kernel of ['nearest', 'linear', 'cubic', 'lanczos3'] as const) {
      for (const [height, width] of [
        [19, 13],
        [60, 70],
        [23, 40],
        [40, 17],
        [23, 17],
      ]) {
        for (const channels of [1, 3]) {
          const picture = draw(23, 17, channels);
          const whole = resize(picture, { height, width }, kernel);
          for (const window of [
            { left: 0, top: 0, height: 5, width: 4 },
            { left: 3, top: 7, height: 1, width: 9 },
            { left: width - 6, top: height - 8, height: 8, width: 6 },
          ]) {
            expect(resize(picture, { height, width }, kernel, window)).toEqual(crop(whole, window));
          }
        }
      }
    }
  });

  test('mirror exchanges left and right', () => {
    const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    expect([...mirror({ height: 2, width: 2, channels: 3, data }).data]).toEqual([
      4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9,
    ]);
    expect([...mirror({ height: 2, width: 3, channels: 1, data: data.slice(0, 6) }).data]).toEqual([3, 2, 1, 6, 5, 4]);
  });
});

describe('crops', () => {
  test.each(fixtures.cut)('five and ten of $from scaled to $resize, $crop pixels', ({ from, resize, crop, ten }) => {
    const wanted = Buffer.from(ten, 'base64');
    const picture = draw(...from, 3);
    const geometry = square(crop, resize);
    expect([...cropsOf(picture, geometry, 10)]).toEqual([...wanted]);
    expect([...cropsOf(picture, geometry, 5)]).toEqual([...wanted.subarray(0, wanted.length / 2)]);
    const centre = wanted.subarray((4 * wanted.length) / 10, (5 * wanted.length) / 10);
    expect([...cropsOf(picture, geometry, 1)]).toEqual([...centre]);
  });

  test.each(fixtures.cut144)('144 of $from, $crop pixels', ({ from, crop, sha256 }) => {
    const pixels = cropsOf(draw(...from, 3), square(crop, crop), 144);
    expect(pixels.length).toBe(144 * crop * crop * 3);
    expect(digest(pixels)).toBe(sha256);
  });

  test('a line of pixels costs no more than its crops', () => {
    // Scaled as a whole it would have 224 × 13,440,000 pixels: no machine has room for them.
    const line = draw(60_000, 1, 1);
    for (const count of [1, 5, 10] as const) {
      expect(cropsOf(line, square(224, 224), count).length).toBe(count * 224 * 224 * 3);
    }
  });

  test('grey pictures and colours become what the network takes', () => {
    const grey = draw(8, 8, 1);
    const three = fitPicture(grey, square(8, 8));
    expect([...three.subarray(0, 9)]).toEqual([...grey.data.subarray(0, 3)].flatMap(v => [v, v, v]));
    const one = fitPicture({ ...grey, channels: 3, data: three }, { ...square(8, 8), channels: 1 });
    expect([...one]).toEqual([...grey.data]);
  });

  test('what makes no sense is refused', () => {
    const codeOf = (work: () => void) => {
      try {
        work();
      } catch (error) {
        return error instanceof DlcourseError ? error.code : error;
      }
    };
    expect(codeOf(() => checkCrops({ ...square(8, 8), fit: 'stretch' }, 10))).toBe('E_CROPS');
    expect(codeOf(() => checkCrops({ ...square(8, 8), width: 9 }, 144))).toBe('E_CROPS');
    expect(codeOf(() => checkCrops({ ...square(8, 8), width: 9 }, 10))).toBeUndefined();
  });

  test('a split of crops reads any of them, in any order', async () => {
    const shape = { height: 2, width: 2, channels: 1 };
    const pixels = Uint8Array.from({ length: 3 * 5 * 4 }, (_, i) => i);
    const names = ['a', 'b', 'c'];
    const packed = new PackedSplit(stacked(shape, 5), Int32Array.of(7, 8, 9), pixels, i => names[i]);
    const split = new CroppedSplit(packed, 5);
    expect(split).toMatchObject({ length: 15, image: shape, crops: 5 });
    expect([...split.labels]).toEqual([7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 9, 9, 9, 9, 9]);
    expect(split.sampleName(9)).toBe('b');
    for (const samples of [[0, 1, 2], [3, 4, 5, 6], [6, 7], [14, 0, 9], [9], []]) {
      const into = new Uint8Array(1 + samples.length * 4);
      await split.read(samples, into, 1);
      expect([...into]).toEqual([0, ...samples.flatMap(s => [4 * s, 4 * s + 1, 4 * s + 2, 4 * s + 3])]);
    }
  });
});

describe('data sets', () => {
  const scratch = makeScratch();

  test('folders and packed sets give the crops of each picture, one after the other', async () => {
    const preprocessing = { ...square(8, 10), mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
    const sizes: [number, number][] = [
      [11, 14],
      [20, 9],
      [8, 8],
    ];
    for (const [i, [height, width]] of sizes.entries()) {
      const { data } = draw(height, width, 3);
      const png = await sharp(data, { raw: { height, width, channels: 3 } })
        .png()
        .toBuffer();
      for (const part of ['train', 'test']) put(path.join(scratch, 'set', part, 'ab'[i % 2], `${i}.png`), png);
    }
    const folder = await openImageFolder('set', path.join(scratch, 'set'), { preprocessing, crops: 10 });
    const { test: split } = folder.splits;
    expect([split.length, split.crops, [...split.labels.subarray(15, 25)]]).toEqual([
      30,
      10,
      [0, 0, 0, 0, 0, 1, 1, 1, 1, 1],
    ]);
    const all = new Uint8Array(30 * 8 * 8 * 3);
    await split.read([...split.labels.keys()], all);
    // Class a holds pictures 0 and 2, class b picture 1.
    const wanted = [0, 2, 1].map(i => cropsOf(draw(...sizes[i], 3), preprocessing, 10));
    expect(Buffer.from(all).equals(Buffer.concat(wanted))).toBe(true);

    const picture = draw(9, 12, 3);
    const packed = new PackedSplit(picture, Int32Array.of(0), picture.data, () => 'one');
    const parts = { name: 'packed', classes: ['a'], splits: { train: packed, test: packed } };
    const dataset = makeDataset({ ...parts, geometry: { ...square(9, 9), width: 12 } });
    const { splits } = await resampleDataset(dataset, preprocessing, { crops: 5 });
    const five = new Uint8Array(5 * 8 * 8 * 3);
    await splits.test.read([0, 1, 2, 3, 4], five);
    expect([...five]).toEqual([...cropsOf(picture, preprocessing, 5)]);
  });
});

// A real photograph: its JPEG as sharp decodes it, and what Pillow 13 makes of it.
const dog = path.join(packageRoot, '..', 'shared', 'data', 'images', 'dog.jpg');
(existsSync(dog) ? test : test.skip)(
  'a photograph is decoded and scaled as by Pillow (needs ../shared/data)',
  async () => {
    const picture = await loadPicture(dog, 3);
    expect([picture.width, picture.height, digest(picture.data)]).toEqual([
      1546,
      1213,
      'd173b5360b093037caffea5dfe49531fc165f9925e5757c45b30d883fc0a7252',
    ]);
    expect(digest(fitPicture(picture, square(224, 256)))).toBe(
      'c9b68ebb45a6d0cda70e0834ae433222fe6021085d138738c07b74b665623e85',
    );
    expect(digest(fitPicture(picture, { ...square(224, 256), interpolation: 'cubic' }))).toBe(
      'f60ffdaf01a30066de87e90e650f2f98e2f0014c71a9a907c07be6c8131dbc4b',
    );
  },
);
