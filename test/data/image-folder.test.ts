// A folder of pictures as a data set: bad files, the packed cache, streaming; and the user's files stay as they are.

import { createHash } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { BadFilesError } from '../../src/data/bad-files.js';
import type { PackedSplit } from '../../src/data/dataset.js';
import { cacheFolder } from '../../src/data/locations.js';
import { inspectDataset, listDatasets, openDataset } from '../../src/data/open.js';
import { StreamedSplit } from '../../src/data/streamed.js';
import { failure, makeScratch, put } from './scratch.js';

const scratch = makeScratch();
let made = 0;
let notices: string[] = [];
const onNotice = (line: string) => void notices.push(line);

beforeEach(() => {
  notices = [];
});

/** A picture of one colour: `value`, then 10 and 20 more. */
function picture(value: number, height = 4, width = 4) {
  const pixels = Buffer.alloc(height * width * 3, Buffer.of(value, value + 10, value + 20));
  return sharp(pixels, { raw: { height, width, channels: 3 } });
}

/** train/{a,b}/{0…5}.png of 10, 20, … and test/{a,b}/0.png; files two hours old. */
async function folder(change: Record<string, Uint8Array | string> = {}): Promise<string> {
  const root = path.join(scratch, `folder${made++}`);
  for (const [c, name] of ['a', 'b'].entries()) {
    for (let i = 0; i < 6; i++) {
      put(
        path.join(root, 'train', name, `${i}.png`),
        await picture(60 * c + 10 * i)
          .png()
          .toBuffer(),
      );
    }
    put(
      path.join(root, 'test', name, '0.png'),
      await picture(200 + c)
        .png()
        .toBuffer(),
    );
  }
  for (const [file, content] of Object.entries(change)) put(path.join(root, file), content);
  age(root);
  return root;
}

function age(root: string) {
  const old = Date.now() / 1000 - 7200;
  for (const file of readdirSync(root, { recursive: true })) utimesSync(path.join(root, String(file)), old, old);
}

async function bad(root: string, options = {}): Promise<BadFilesError> {
  const error = await failure(openDataset(root, { onNotice, ...options }));
  if (error instanceof BadFilesError) return error;
  throw error;
}

function cached(kind: string): string[] {
  const place = path.join(cacheFolder(), kind);
  return readdirSync(place).map(name => path.join(place, name));
}

function treeHash(root: string): string {
  const hash = createHash('sha256');
  for (const file of readdirSync(root, { recursive: true }).map(String).sort()) {
    const place = path.join(root, file);
    const { size, mtimeMs } = statSync(place);
    hash.update(`${file} ${size} ${mtimeMs} `);
    if (statSync(place).isFile()) hash.update(readFileSync(place));
  }
  return hash.digest('hex');
}

describe('pixels and labels', () => {
  test('are those of the files, in order', async () => {
    const { splits, image, classes } = await openDataset(await folder());
    expect(image).toEqual({ height: 4, width: 4, channels: 3 });
    expect(classes).toEqual(['a', 'b']);
    expect([...splits.train.labels]).toEqual([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    const pixels = new Uint8Array(2 * 48);
    await splits.train.read([7, 2], pixels);
    expect([...pixels.slice(0, 3), ...pixels.slice(48, 51)]).toEqual([70, 80, 90, 20, 30, 40]);
    expect(splits.train.sampleName(7)).toMatch(/train[/\\]b[/\\]1\.png$/);
  });

  test('streamed splits deliver the same as packed ones, prefetched or not', async () => {
    const root = await folder();
    const packed = await openDataset(root, { input: [3, 5] });
    const streamed = await openDataset(root, { input: [3, 5], store: 'streamed' });
    expect(streamed.splits.train).toBeInstanceOf(StreamedSplit);
    expect(streamed.fingerprint()).toBe(packed.fingerprint());
    expect(await streamed.preprocessing()).toEqual(await packed.preprocessing());
    const order = [11, 0, 5, 5, 3];
    const [a, b] = [new Uint8Array(5 * 45 + 2), new Uint8Array(5 * 45 + 2)];
    await packed.splits.train.read(order, a, 2);
    streamed.splits.train.prefetch?.([5, 0, 1]);
    await streamed.splits.train.read(order, b, 2);
    expect(b).toEqual(a);
  });

  test('an aborted read rejects with the reason', async () => {
    const { splits } = await openDataset(await folder(), { store: 'streamed' });
    const signal = AbortSignal.abort(new Error('Ctrl-C'));
    await expect(splits.train.read([0, 1], new Uint8Array(96), 0, signal)).rejects.toThrow('Ctrl-C');
  });

  test('grey files give one channel', async () => {
    const root = path.join(scratch, `grey${made++}`);
    for (const name of ['a', 'b']) {
      for (const i of [0, 1, 2]) {
        put(path.join(root, name, `${i}.png`), await picture(9).toColourspace('b-w').png().toBuffer());
      }
    }
    expect((await openDataset(root, { split: 0.34 })).image.channels).toBe(1);
    expect((await openDataset(root, { channels: 3 })).image.channels).toBe(3);
  });
});

describe('bad files', () => {
  async function spoiled(): Promise<string> {
    const noise = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * i * 31) >> 3);
    const whole = await sharp(noise, { raw: { height: 64, width: 64, channels: 3 } })
      .resize(4, 4)
      .png()
      .toBuffer();
    return folder({
      'train/a/empty.png': '',
      'train/a/text.jpg': 'not a picture',
      'train/b/really.png': await picture(1).jpeg().toBuffer(),
      'train/b/some.bmp': 'BM',
      'test/a/cut.png': whole.subarray(0, 30),
    });
  }

  test('all headers are listed in one pass, with file and reason', async () => {
    const error = await bad(await spoiled());
    expect(error.class).toBe('data');
    const reasons = Object.fromEntries(error.files.map(b => [path.basename(b.file), b.reason]));
    expect(reasons).toEqual({
      'empty.png': 'is empty',
      'text.jpg': 'expected a picture, got unknown data',
      'really.png': 'is named .png but holds JPEG',
      'some.bmp': 'expected a picture, got BMP',
      'cut.png': expect.stringMatching(/^can't be decoded/),
    });
    expect(error.message).toContain('got 5 bad: ');
  });

  test('skipBad goes on without them, labels in step, and says what is left', async () => {
    const { splits } = await openDataset(await spoiled(), { skipBad: true, onNotice });
    const clean = await openDataset(await folder());
    expect([...splits.train.labels]).toEqual([...clean.splits.train.labels]);
    expect((splits.train as PackedSplit).data).toEqual((clean.splits.train as PackedSplit).data);
    expect(splits.train.fingerprint()).toBe(clean.splits.train.fingerprint());
    expect(notices).toEqual(['skipped 5 of 19 images; left for training: a 6, b 6; for testing: a 1, b 1']);
  });

  async function damagedPixels(): Promise<string> {
    const noise = Uint8Array.from({ length: 4 * 4 * 3 }, (_, i) => (i * i * 31) >> 3);
    const jpeg = await sharp(noise, { raw: { height: 4, width: 4, channels: 3 } })
      .jpeg({ quality: 100 })
      .toBuffer();
    const cut = jpeg.subarray(0, jpeg.length - 40);
    return folder({ 'train/a/1b.jpg': cut, 'train/b/9.jpg': cut });
  }

  test('damaged pixels are found while packing, all of them, and again from the cache', async () => {
    const root = await damagedPixels();
    for (const _ of ['decoded', 'cached']) {
      const error = await bad(root);
      expect(error.files.map(b => path.basename(b.file))).toEqual(['1b.jpg', '9.jpg']);
    }
    const { splits } = await openDataset(root, { skipBad: true, onNotice });
    const clean = await openDataset(await folder());
    expect((splits.train as PackedSplit).data).toEqual((clean.splits.train as PackedSplit).data);
    expect([...splits.train.labels]).toEqual([...clean.splits.train.labels]);
    expect(splits.train.sampleName(2)).toMatch(/2\.png$/);
  });

  test('streaming names them in the batch, verify before it, skipBad leaves them out', async () => {
    const root = await damagedPixels();
    const streamed = await openDataset(root, { store: 'streamed' });
    const into = new Uint8Array(14 * 48);
    const all = Array.from({ length: 14 }, (_, i) => i);
    const error = await failure(streamed.splits.train.read(all, into) as Promise<void>);
    expect((error as BadFilesError).files.length).toBe(2);
    expect((await bad(root, { store: 'streamed', verify: true })).files.length).toBe(2);
    const skipped = await openDataset(root, { store: 'streamed', skipBad: true, onNotice });
    expect(skipped.fingerprint()).toBe((await openDataset(root, { skipBad: true, onNotice })).fingerprint());
  });

  test('more than ten are counted', async () => {
    const many = Object.fromEntries(Array.from({ length: 25 }, (_, i) => [`train/a/x${i}.png`, '']));
    const error = await bad(await folder(many));
    expect(error.message).toContain('… and 15 more');
    expect(error.files.length).toBe(25);
  });

  test('a class that loses its last image, or a folder all its images, is an error even then', async () => {
    const root = path.join(scratch, `lost${made++}`);
    for (const i of [0, 1]) put(path.join(root, 'train/a', `${i}.png`), await picture(i).png().toBuffer());
    put(path.join(root, 'train/b/0.png'), '');
    put(path.join(root, 'test/a/0.png'), await picture(1).png().toBuffer());
    expect((await failure(openDataset(root, { skipBad: true }))).code).toBe('E_DATA_CLASS');
    const none = path.join(scratch, `none${made++}`);
    put(path.join(none, 'a/0.png'), '');
    expect((await bad(none, { skipBad: true })).files.length).toBe(1);
  });

  test('inspectDataset reports instead of failing', async () => {
    const report = await inspectDataset(await damagedPixels(), { verify: true });
    expect(report.bad.length).toBe(2);
    expect(report.train.perClass).toEqual([7, 7]);
    expect(report.sizes).toEqual([{ height: 4, width: 4, count: 16 }]);
    const clean = await inspectDataset(await folder());
    expect(clean.bad).toEqual([]);
    expect(clean.fingerprint).toMatch(/^sha256:/);
    expect(clean.statistics?.mean.length).toBe(3);
  });
});

describe('the cache', () => {
  test('serves a second opening, even when a file’s bytes can no longer be read as a picture', async () => {
    const root = await folder();
    const first = await openDataset(root);
    const file = path.join(root, 'train', 'a', '0.png');
    const { size, atime, mtime } = statSync(file);
    // Same size, same time: taken for unchanged, as documented; so this proves that nothing was decoded.
    writeFileSync(file, Buffer.alloc(size));
    utimesSync(file, atime, mtime);
    expect((await openDataset(root)).fingerprint()).toBe(first.fingerprint());
  });

  test('keeps each geometry apart', async () => {
    const root = path.join(scratch, `wide${made++}`);
    const wide = await sharp(Buffer.from([0, 100, 200, 250]), { raw: { height: 1, width: 4, channels: 1 } })
      .toColourspace('b-w')
      .png()
      .toBuffer();
    for (const i of [0, 1]) put(path.join(root, 'a', `${i}.png`), wide);
    const pixels = async (fit: 'crop' | 'stretch') => {
      const { splits } = await openDataset(root, { input: [1, 2], fit, interpolation: 'nearest' });
      return [...(splits.train as PackedSplit).pixels(0)];
    };
    expect(await pixels('crop')).toEqual([100, 200]);
    expect(await pixels('stretch')).not.toEqual([100, 200]);
    expect(await pixels('crop')).toEqual([100, 200]);
  });

  test('a changed file is noticed', async () => {
    const root = await folder();
    const first = await openDataset(root);
    put(path.join(root, 'train', 'a', '0.png'), await picture(111).png().toBuffer());
    const second = await openDataset(root);
    expect(second.fingerprint()).not.toBe(first.fingerprint());
    expect((second.splits.train as PackedSplit).pixels(0)[0]).toBe(111);
  });

  test.each<[string, (file: string, bytes: Buffer) => void]>([
    ['a flipped pixel', (file, bytes) => writeFileSync(file, bytes.fill(bytes.at(-1)! ^ 1, bytes.length - 1))],
    ['a flipped header byte', (file, bytes) => writeFileSync(file, bytes.fill(bytes[60] ^ 1, 60, 61))],
    ['a missing end', (file, bytes) => writeFileSync(file, bytes.subarray(0, -5))],
    ['nothing left', file => writeFileSync(file, '')],
  ])('%s is noticed and made good', async (_, damage) => {
    rmSync(path.join(cacheFolder(), 'packed'), { recursive: true, force: true });
    const root = await folder();
    const first = await openDataset(root, { onNotice });
    const [file] = cached('packed');
    damage(file, readFileSync(file));
    const again = await openDataset(root, { onNotice });
    expect((again.splits.train as PackedSplit).data).toEqual((first.splits.train as PackedSplit).data);
    expect(notices).toEqual([expect.stringContaining('is damaged: decoding the images again')]);
    await openDataset(root, { onNotice });
    expect(notices.length).toBe(1);
  });

  test('one that can’t be written costs a notice', async () => {
    const root = await folder();
    const before = process.env['DLCOURSE_CACHE'];
    process.env['DLCOURSE_CACHE'] = path.join(put(path.join(scratch, 'a-file'), ''), 'cache');
    try {
      expect((await openDataset(root, { onNotice })).splits.train.length).toBe(12);
      expect(notices).toEqual([expect.stringContaining("decoded images couldn't be cached")]);
    } finally {
      process.env['DLCOURSE_CACHE'] = before;
    }
  });
});

test('the user’s files are never touched', async () => {
  const root = await folder({ 'train/a/bad.png': 'x' });
  const before = treeHash(root);
  await failure(openDataset(root));
  await openDataset(root, { skipBad: true, onNotice });
  await openDataset(root, { skipBad: true, store: 'streamed', onNotice });
  await inspectDataset(root, { verify: true });
  expect(treeHash(root)).toBe(before);
});

test('a file without permission is a bad file', async () => {
  if (process.getuid?.() === 0) return;
  const root = await folder();
  chmodSync(path.join(root, 'train', 'a', '0.png'), 0);
  expect((await bad(root)).files[0].reason).toContain('EACCES');
});

test('names and places', async () => {
  expect((await listDatasets()).find(d => d.manifest.name === 'cifar10')?.present).toBe(false);
  expect((await failure(openDataset('cifar-10'))).hint).toBe("did you mean 'cifar10'?");
  const missing = await failure(openDataset('./no-such-folder'));
  expect(missing.code).toBe('E_NOT_FOUND');
  const error = await failure(openDataset('cifar100'));
  expect([error.code, error.hint]).toEqual(['E_NOT_DOWNLOADED', "type 'dlcourse data get cifar100'"]);
  const file = put(path.join(scratch, 'file.png'), '');
  expect((await failure(openDataset(file))).message).toContain('expected a folder, got a file');
  const other = put(path.join(scratch, 'other', 'x.csv'), '');
  expect((await failure(openDataset(path.dirname(other)))).code).toBe('E_DATA_LAYOUT');
});
