// The drawn data set: the committed files are what the code draws, everywhere, and making another one is safe.

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { box, Canvas, disc, ellipse, placed, polygon, type Shape, turn } from '../../src/data/draw/canvas.js';
import * as exact from '../../src/data/draw/exact.js';
import { Random } from '../../src/data/draw/random.js';
import { classes, drawPicture, type Split } from '../../src/data/draw/scene.js';
import { things } from '../../src/data/draw/things.js';
import { shippedFolder } from '../../src/data/locations.js';
import { makeStickers, pictureFile, stickersDefaults } from '../../src/data/make.js';
import { findManifest } from '../../src/data/manifest.js';
import { failure, makeScratch, put } from './scratch.js';

const scratch = makeScratch();
const shipped = path.join(shippedFolder, 'stickers');
const { seed, size } = stickersDefaults;

/** Pixels as sharp decodes them; files may differ by the version of the encoder. */
async function decode(file: string): Promise<Uint8Array> {
  const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
  expect(info).toMatchObject({ format: 'raw', channels: 3 });
  return new Uint8Array(data);
}

function pictures(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.webp'))
    .sort();
}

describe('the committed data set', () => {
  const keys: [Split, number][] = [
    ...[0, 1, 2, 77, 503, 1006, 1234, 1999, 2718, 3141, 3998, 3999].map((i): [Split, number] => ['train', i]),
    ...[0, 9, 123, 314, 505, 666, 998, 999].map((i): [Split, number] => ['test', i]),
  ];
  test.each(keys)('%s picture %i is drawn again to the byte', async (split, index) => {
    const { label, pixels } = drawPicture({ seed, split, index, size });
    const file = pictureFile(split, index);
    expect(file.split(path.sep)[1]).toBe(classes[label]);
    expect(Buffer.compare(await decode(path.join(shipped, file)), pixels)).toBe(0);
  });

  test('is complete, balanced, small and without duplicates', async () => {
    const manifest = await findManifest('stickers');
    const image = { height: 32, width: 32, channels: 3 };
    expect(manifest).toMatchObject({ classes, train: 4000, test: 1000, image, drawn: { seed } });
    const files = pictures(shipped);
    const digests = new Set<string>();
    let bytes = 0;
    const counts: Record<string, number> = {};
    for (const file of files) {
      const content = readFileSync(path.join(shipped, file));
      digests.add(createHash('sha256').update(content).digest('hex'));
      bytes += content.length;
      const folder = path.dirname(file);
      counts[folder] = (counts[folder] ?? 0) + 1;
    }
    expect(files).toHaveLength(5000);
    expect(digests.size).toBe(5000);
    expect(bytes).toBeLessThan(5e6);
    const expected = classes.flatMap(name => [
      [path.join('train', name), 400],
      [path.join('test', name), 100],
    ]);
    expect(counts).toEqual(Object.fromEntries(expected));
  });

  test('has the pixels whose digest the manifest states', async () => {
    const { drawn, train, test } = await findManifest('stickers');
    const digest = createHash('sha256');
    for (const [split, count] of [
      ['train', train],
      ['test', test],
    ] as const) {
      for (let start = 0; start < count; start += 100) {
        const block = Array.from({ length: 100 }, (_, i) => decode(path.join(shipped, pictureFile(split, start + i))));
        for (const pixels of await Promise.all(block)) digest.update(pixels);
      }
    }
    expect(digest.digest('hex')).toBe(drawn?.sha256);
  });
});

describe('makeStickers', () => {
  test('writes class folders of lossless files, and their digest', async () => {
    const out = path.join(scratch, 'new', 'set');
    const seen: number[] = [];
    const result = await makeStickers({ out, train: 23, test: 11, onProgress: p => seen.push(p.done / p.total) });
    expect(result).toMatchObject({ folder: out, train: 23, test: 11, size: 32, seed: 1, classes });
    const files = pictures(out);
    expect(files).toHaveLength(34);
    expect(readdirSync(path.join(out, 'train', 'boat'))).toEqual(['0001.webp', '0002.webp', '0003.webp']);
    expect(readdirSync(path.join(out, 'train', 'umbrella'))).toEqual(['0001.webp', '0002.webp']);
    expect(readdirSync(path.join(out, 'test', 'boat'))).toEqual(['0001.webp', '0002.webp']);
    expect(readdirSync(path.dirname(out))).toEqual(['set']);
    expect(seen).toHaveLength(34);
    expect(seen.at(-1)).toBe(1);

    // The first pictures of the committed set, and the digest of what was decoded.
    const digest = createHash('sha256');
    let bytes = 0;
    for (const [split, count] of [
      ['train', 23],
      ['test', 11],
    ] as const) {
      for (let index = 0; index < count; index++) {
        const file = pictureFile(split, index);
        const pixels = await decode(path.join(out, file));
        expect(Buffer.compare(pixels, await decode(path.join(shipped, file)))).toBe(0);
        digest.update(pixels);
        bytes += statSync(path.join(out, file)).size;
      }
    }
    expect(result.sha256).toBe(digest.digest('hex'));
    expect(result.bytes).toBe(bytes);
  });

  test('takes an empty folder, another seed and size', async () => {
    const out = path.join(scratch, 'empty');
    mkdirSync(out);
    await makeStickers({ out, train: 1, test: 0, seed: 2, size: 48 });
    expect(pictures(out)).toEqual([path.join('train', 'boat', '0001.webp')]);
    const pixels = await decode(path.join(out, 'train', 'boat', '0001.webp'));
    expect(pixels).toHaveLength(48 * 48 * 3);
    expect(Buffer.compare(pixels, drawPicture({ seed: 1, split: 'train', index: 0, size: 48 }).pixels)).not.toBe(0);
  });

  test('leaves alone what is there', async () => {
    const out = path.join(scratch, 'filled');
    put(path.join(out, 'mine.txt'), 'mine');
    const error = await failure(makeStickers({ out, train: 1, test: 0 }));
    expect(error).toMatchObject({ code: 'E_EXISTS', class: 'usage' });
    expect(readdirSync(out)).toEqual(['mine.txt']);
    expect(await failure(makeStickers({ out: path.join(out, 'mine.txt'), train: 1 }))).toMatchObject({
      code: 'E_WRITE',
    });
  });

  test('leaves nothing when aborted', async () => {
    const out = path.join(scratch, 'aborted', 'set');
    const controller = new AbortController();
    const making = makeStickers({
      out,
      signal: controller.signal,
      onProgress: ({ done }) => done === 5 && controller.abort(new Error('stop')),
    });
    await expect(making).rejects.toThrow('stop');
    expect(readdirSync(path.dirname(out))).toEqual([]);
  });

  test.each([
    { train: 0 },
    { train: 1.5 },
    { test: -1 },
    { size: 7 },
    { size: 4096 },
    { seed: 2 ** 32 },
    { seed: Number.NaN },
  ])('refuses %j', async options => {
    const error = await failure(makeStickers({ out: path.join(scratch, 'never'), ...options }));
    expect(error).toMatchObject({ code: 'E_OPTION', class: 'usage', where: Object.keys(options)[0] });
  });
});

describe('drawing', () => {
  test('uses no function that engines may round differently', () => {
    expect(Object.keys(exact).sort()).toEqual(['abs', 'floor', 'imul', 'infinity', 'max', 'min', 'sqrt']);
    const folder = fileURLToPath(new URL('../../src/data/draw/', import.meta.url));
    const files = readdirSync(folder).filter(name => name.endsWith('.js') && name !== 'exact.js');
    expect(files).toContain('things.js');
    for (const file of files) {
      const code = readFileSync(path.join(folder, file), 'utf8').replaceAll(/\/\/.*|\/\*[\s\S]*?\*\//g, '');
      expect(code).not.toMatch(/\bMath\b|\*\*/);
    }
  });

  test('is keyed by seed, split and index', () => {
    const base = { seed: 7, split: 'train', index: 12, size: 32 } as const;
    const { pixels } = drawPicture(base);
    expect(drawPicture(base).pixels).toEqual(pixels);
    for (const other of [{ seed: 8 }, { split: 'test' as const }, { index: 22 }]) {
      expect(drawPicture({ ...base, ...other }).pixels).not.toEqual(pixels);
    }
  });

  test('shows the same scene at another size', () => {
    for (let index = 0; index < 10; index++) {
      const small = drawPicture({ seed, split: 'test', index, size }).pixels;
      const large = drawPicture({ seed, split: 'test', index, size: 2 * size }).pixels;
      const row = size * 3;
      let difference = 0;
      for (let y = 0; y < size; y++) {
        for (let at = 0; at < row; at++) {
          const corner = 2 * y * 2 * row + 2 * at - (at % 3);
          const sum = large[corner] + large[corner + 3] + large[corner + 2 * row] + large[corner + 2 * row + 3];
          difference += exact.abs(small[y * row + at] - sum / 4);
        }
      }
      // Two other scenes differ by 60 and more.
      expect(difference / small.length).toBeLessThan(8);
    }
  });

  test.each(Object.entries(things))('%s: every part has an inside, and a distance everywhere', (_, thing) => {
    const steps = Array.from({ length: 41 }, (_, i) => i / 20 - 1);
    for (let key = 0; key < 40; key++) {
      for (const [, shape] of thing(new Random(key))) {
        const distances = steps.flatMap(y => steps.map(x => shape(x, y)));
        expect(distances.filter(Number.isFinite)).toHaveLength(distances.length);
        expect(distances.some(distance => distance < 0)).toBe(true);
      }
    }
  });
});

describe('Random', () => {
  // From a second implementation, in Python's integers.
  test.each([
    [
      [1, 0, 5],
      [702483287, 1507436007, 3210623070, 918529018],
    ],
    [
      [4294967295, 1, 3999],
      [4023066584, 1679687448, 1080408010, 3070636944],
    ],
  ])('key %j', (key, expected) => {
    const random = new Random(...key);
    expect(expected.map(() => random.next())).toEqual(expected);
  });

  test('ranges are filled evenly and kept', () => {
    const random = new Random(3);
    const counts = [0, 0, 0, 0, 0];
    for (let i = 0; i < 50_000; i++) counts[random.integer(-2, 2) + 2]++;
    // Five standard deviations of a binomial count: 5 √(50,000 · 0.2 · 0.8) ≈ 450.
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(450);
    let sum = 0;
    for (let i = 0; i < 50_000; i++) {
      const value = random.between(2, 4);
      if (value < 2 || value >= 4) throw new Error(`${value} is not in [2, 4)`);
      sum += value;
    }
    expect(sum / 50_000).toBeCloseTo(3, 1);
  });
});

describe('Canvas', () => {
  /** The share of a white shape on black. */
  function area(shape: Shape): number {
    const canvas = new Canvas(64);
    canvas.paint(shape, [1, 1, 1]);
    const pixels = canvas.develop(() => 0);
    let light = 0;
    for (let i = 0; i < pixels.length; i += 3) light += (pixels[i] / 255) ** 2;
    return light / (64 * 64);
  }
  const at = { x: 0.4, y: 0.6, scale: 0.2, turn: turn(0.2), stretch: 1 };

  test.each<[string, Shape, number]>([
    ['disc', disc(0.5, 0.5, 0.3), Math.PI * 0.09],
    ['ellipse', ellipse(0.5, 0.5, 0.4, 0.2), Math.PI * 0.08],
    ['box', box(0.5, 0.5, 0.3, 0.1), 0.12],
    ['rounded box', box(0.5, 0.5, 0.3, 0.2, 0.1), 0.24 - (4 - Math.PI) * 0.01],
    [
      'polygon',
      polygon([
        [0.1, 0.1],
        [0.9, 0.1],
        [0.5, 0.7],
      ]),
      0.24,
    ],
    [
      'polygon with a point twice',
      polygon([
        [0.1, 0.1],
        [0.9, 0.1],
        [0.5, 0.7],
        [0.5, 0.7],
      ]),
      0.24,
    ],
    ['placed box', placed(box(0, 0, 1, 0.5), at), 0.08],
    ['placed and stretched box', placed(box(0, 0, 1, 0.5), { ...at, stretch: 1.2 }), 0.08],
  ])('%s has its area', (_, shape, expected) => {
    expect(Math.abs(area(shape) / expected - 1)).toBeLessThan(0.02);
  });

  test('a turn by t = 1 is a quarter, clockwise as y points down', () => {
    expect(turn(1)).toEqual([0, 1]);
    const shape = placed(box(1, 0, 0.2, 0.2), { x: 0.5, y: 0.5, scale: 0.3, turn: turn(1), stretch: 1 });
    expect(shape(0.5, 0.8)).toBeLessThan(0);
    expect(shape(0.8, 0.5)).toBeGreaterThan(0);
  });

  test('paint mixes light by opacity, shade scales it', () => {
    const canvas = new Canvas(8);
    canvas.fill([0, 0, 0]);
    canvas.paint(() => -1, [1, 1, 0], 0.25);
    // A quarter of the light is half the displayed value; 127.5 is shown by level 16 of 31, that is 132, or 15, 123.
    expect([123, 132]).toContain(canvas.develop(() => 0)[0]);
    canvas.shade(() => 4);
    expect([...canvas.develop(() => 0).subarray(0, 3)]).toEqual([255, 255, 0]);
  });
});
