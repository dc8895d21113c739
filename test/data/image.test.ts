// One picture: every kind of pixel has a defined result, and what isn't a usable picture is refused with the reason.

import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { BadImage } from '../../src/data/bad-files.js';
import { fitPicture } from '../../src/data/crops.js';
import { decodePixels, type ImageFormat, loadPicture, readHeader, sniffFormat } from '../../src/data/image.js';
import type { Geometry } from '../../src/data/preprocessing.js';
import { crc32 } from './crc32.js';
import { failure, makeScratch, put } from './scratch.js';

const scratch = makeScratch();
const formats: ImageFormat[] = ['jpeg', 'png', 'webp'];

function geometry(height: number, width: number, channels: 1 | 3 = 3): Geometry {
  return { height, width, channels, fit: 'crop', cropFraction: 1, interpolation: 'linear' };
}

async function decode(bytes: Buffer, to: Geometry): Promise<number[]> {
  return [...fitPicture(await decodePixels(bytes, await readHeader(bytes, 'x', formats), to.channels), to)];
}

async function refusal(bytes: Uint8Array, name = 'x', enabled = formats): Promise<string> {
  const error = await readHeader(bytes, name, enabled).catch(e => e);
  if (error instanceof BadImage) return error.message;
  throw new Error(`expected a BadImage, got ${JSON.stringify(error)}`);
}

/** Two pixels beside each other, of `channels` bytes each. */
function raw(pixels: number[], channels: 1 | 2 | 3 | 4, width = 2) {
  return sharp(Buffer.from(pixels), { raw: { width, height: pixels.length / channels / width, channels } });
}

/** A PNG written by hand: only what sharp can't be asked to write. */
function png(width: number, height: number, depth: number, colour: number, rows: Buffer, extra: Buffer[] = []): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colour, 0, 0, 0], 8);
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  return Buffer.concat([signature, chunk('IHDR', header), ...extra, chunk('IDAT', deflateSync(rows)), chunk('IEND')]);
}

function chunk(type: string, data = Buffer.alloc(0)): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

describe('pixels', () => {
  test('RGB is exact, and becomes ITU-R 601 luma in one channel', async () => {
    const bytes = await raw([0, 255, 0, 201, 10, 93], 3).png().toBuffer();
    expect(await decode(bytes, geometry(1, 2))).toEqual([0, 255, 0, 201, 10, 93]);
    // Pillow's convert('L').
    expect(await decode(bytes, geometry(1, 2, 1))).toEqual([150, 77]);
  });

  test('grey becomes three equal channels, or stays as it is', async () => {
    const bytes = await raw([7, 200], 1).toColourspace('b-w').png().toBuffer();
    expect((await readHeader(bytes, 'x.png', formats)).grey).toBe(true);
    expect(await decode(bytes, geometry(1, 2))).toEqual([7, 7, 7, 200, 200, 200]);
    expect(await decode(bytes, geometry(1, 2, 1))).toEqual([7, 200]);
  });

  test('alpha is composited on white', async () => {
    const bytes = await raw([100, 0, 50, 0, 200, 100, 0, 128], 4).png().toBuffer();
    const half = (v: number) => Math.round((v * 128 + 255 * 127) / 255);
    const [r, g, b, ...second] = await decode(bytes, geometry(1, 2));
    expect([r, g, b]).toEqual([255, 255, 255]);
    for (const [c, v] of [200, 100, 0].entries()) expect(Math.abs(second[c] - half(v))).toBeLessThanOrEqual(1);
    const grey = await raw([100, 0, 40, 255], 2).toColourspace('b-w').png().toBuffer();
    expect(await decode(grey, geometry(1, 2, 1))).toEqual([255, 40]);
  });

  test('16 bits become their upper 8', async () => {
    const rgb = png(2, 1, 16, 2, Buffer.from([0, 0x12, 0xfe, 0xff, 0, 0, 0xff, 0x80, 0, 0x7f, 0xff, 1, 2]));
    expect(await decode(rgb, geometry(1, 2))).toEqual([0x12, 0xff, 0, 0x80, 0x7f, 1]);
    const grey = png(2, 1, 16, 0, Buffer.from([0, 0x12, 0xfe, 0xc8, 0x01]));
    expect((await readHeader(grey, 'x.png', formats)).grey).toBe(true);
    expect(await decode(grey, geometry(1, 2, 1))).toEqual([0x12, 0xc8]);
  });

  test('a palette gives its colours, with transparency; one bit gives black and white', async () => {
    const palette = [chunk('PLTE', Buffer.from([9, 8, 7, 60, 50, 40])), chunk('tRNS', Buffer.from([255, 0]))];
    const indexed = png(2, 1, 8, 3, Buffer.from([0, 0, 1]), palette);
    expect(await decode(indexed, geometry(1, 2))).toEqual([9, 8, 7, 255, 255, 255]);
    const bits = png(2, 1, 1, 0, Buffer.from([0, 0b01000000]));
    expect(await decode(bits, geometry(1, 2, 1))).toEqual([0, 255]);
  });

  test('CMYK is converted to colours', async () => {
    const red = Array.from({ length: 64 }, () => [220, 20, 30]).flat();
    const bytes = await raw(red, 3, 8).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer();
    expect((await sharp(bytes).metadata()).channels).toBe(4);
    const [r, g, b] = await decode(bytes, geometry(8, 8));
    expect(r).toBeGreaterThan(180);
    expect(Math.max(g, b)).toBeLessThan(90);
  });

  test.each<[number, number[], number, number]>([
    [1, [10, 20, 30, 40, 50, 60], 2, 3],
    [2, [30, 20, 10, 60, 50, 40], 2, 3],
    [3, [60, 50, 40, 30, 20, 10], 2, 3],
    [4, [40, 50, 60, 10, 20, 30], 2, 3],
    [5, [10, 40, 20, 50, 30, 60], 3, 2],
    [6, [40, 10, 50, 20, 60, 30], 3, 2],
    [7, [60, 30, 50, 20, 40, 10], 3, 2],
    [8, [30, 60, 20, 50, 10, 40], 3, 2],
  ])('EXIF orientation %i', async (orientation, expected, height, width) => {
    const bytes = await raw([10, 20, 30, 40, 50, 60], 1, 3).withMetadata({ orientation }).png().toBuffer();
    const header = await readHeader(bytes, 'x.png', formats);
    expect([header.height, header.width]).toEqual([height, width]);
    expect(await decode(bytes, geometry(height, width, 1))).toEqual(expected);
  });

  test('shrinking is Pillow’s bilinear resize', async () => {
    const pixels = Uint8Array.from({ length: 96 }, (_, i) => (Math.floor(i / 12) * 37 + (i % 12) * 11) % 256);
    const bytes = await raw([...pixels], 1, 12)
      .png()
      .toBuffer();
    const pillow = [
      [34, 54, 76, 98, 120, 139],
      [101, 121, 143, 165, 183, 178],
      [175, 191, 189, 159, 121, 69],
      [131, 137, 77, 67, 71, 90],
    ];
    expect(await decode(bytes, geometry(4, 6, 1))).toEqual(pillow.flat());
  });

  test('the crop is the centre', async () => {
    const bytes = await raw([1, 2, 3, 4, 5, 6, 7, 8], 1, 4).png().toBuffer();
    expect(await decode(bytes, geometry(2, 2, 1))).toEqual([2, 3, 6, 7]);
  });
});

describe('what is refused', () => {
  test('empty, cut short, or no picture at all', async () => {
    expect(await refusal(Buffer.alloc(0))).toBe('is empty');
    expect(await refusal(Buffer.from('<!DOCTYPE html>'))).toBe('expected a picture, got HTML');
    expect(await refusal(Buffer.from('%PDF-1.7'))).toContain('got PDF');
    expect(await refusal(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'))).toContain('got XML or SVG');
    expect(await refusal(Buffer.from('\xff\xd8\xff\xe0', 'latin1'))).toMatch(/^can't be decoded \(/);
  });

  test('another format than the name says, and formats that are not enabled', async () => {
    const gif = await raw([1, 2, 3, 4, 5, 6], 3).gif().toBuffer();
    const jpeg = await raw([1, 2, 3, 4, 5, 6], 3).jpeg().toBuffer();
    expect(await refusal(jpeg, 'cat.png')).toBe('is named .png but holds JPEG');
    expect(await refusal(gif, 'cat.gif')).toBe("is GIF, which isn't enabled (--formats gif)");
    expect((await readHeader(gif, 'cat.gif', [...formats, 'gif'])).format).toBe('gif');
    expect((await readHeader(jpeg, 'cat.JPE', formats)).format).toBe('jpeg');
    for (const format of ['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'] as const) {
      expect(sniffFormat(await raw([1, 2, 3, 4, 5, 6], 3).toFormat(format).toBuffer())).toBe(format);
    }
  });

  test('too many pixels, from the header alone', async () => {
    const bomb = png(60_000, 60_000, 8, 2, Buffer.alloc(0));
    const before = process.memoryUsage().rss;
    expect(await refusal(bomb)).toMatch(/pixel/);
    expect(process.memoryUsage().rss - before).toBeLessThan(32 * 2 ** 20);
    expect(await refusal(png(8193, 8192, 8, 0, Buffer.alloc(0)))).toMatch(/pixel/);
  });

  test('several pages', async () => {
    const frames = await sharp(Buffer.alloc(24, Buffer.of(...Array(12).fill(0), ...Array(12).fill(255))), {
      raw: { width: 2, height: 4, channels: 3, pageHeight: 2 },
    })
      .webp({ loop: 0, delay: [10, 10] })
      .toBuffer();
    expect(await refusal(frames)).toBe('expected 1 page, got 2');
  });

  test('pixels that end early, in each format', async () => {
    const noise = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * i * 31) >> 3);
    for (const format of formats) {
      const whole = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
        .toFormat(format)
        .toBuffer();
      const header = await readHeader(whole, 'x', formats);
      const damaged = whole.subarray(0, whole.length / 2);
      await expect(decodePixels(damaged, header, 3)).rejects.toThrow(BadImage);
    }
  });

  test('loadPicture names the file', async () => {
    const file = put(path.join(scratch, 'broken.jpg'), 'no picture');
    const error = await failure(loadPicture(file, 3));
    expect([error.code, error.where]).toEqual(['E_IMAGE', file]);
    expect((await failure(loadPicture(path.join(scratch, 'none.jpg'), 3))).code).toBe('E_NOT_FOUND');
    const good = put(path.join(scratch, 'good.png'), await raw([1, 2, 3, 4, 5, 6], 3).png().toBuffer());
    expect(await loadPicture(good, 3)).toEqual({ height: 1, width: 2, channels: 3, data: Buffer.of(1, 2, 3, 4, 5, 6) });
  });
});

test('restrictSharp leaves JPEG, PNG and WebP from memory, in a process of its own', async () => {
  const file = put(path.join(scratch, 'picture.png'), await raw([1, 2, 3, 4, 5, 6], 3).png().toBuffer());
  const script = `
    import sharp from 'sharp';
    import { restrictSharp } from ${JSON.stringify(new URL('../../src/data/image.js', import.meta.url).href)};
    const picture = sharp({ create: { width: 2, height: 2, channels: 3, background: 'red' } });
    const encoded = {};
    for (const format of ['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif']) encoded[format] = await picture.clone()[format]().toBuffer();
    encoded.svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="2" height="2"/>');
    encoded.file = ${JSON.stringify(file)};
    const reads = async () => {
      const able = [];
      for (const [name, input] of Object.entries(encoded)) await sharp(input).raw().toBuffer().then(() => able.push(name), () => {});
      return able;
    };
    restrictSharp();
    const base = await reads();
    restrictSharp(['gif', 'tiff', 'avif']);
    console.log(JSON.stringify([base, await reads()]));`;
  const cwd = path.dirname(fileURLToPath(new URL('../../../package.json', import.meta.url)));
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd, encoding: 'utf8' });
  expect(JSON.parse(output)).toEqual([
    ['jpeg', 'png', 'webp'],
    ['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'],
  ]);
});
