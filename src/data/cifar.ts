// CIFAR-10 and CIFAR-100 in their binary version: records of one or two label bytes and three planes of 32 × 32.
// Format: https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version". A. Krizhevsky, 2009.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { readError } from '../io/filesystem.js';
import { type Dataset, makeDataset, PackedSplit } from './dataset.js';
import { checkLabels, fileSize, formatError, readWhole } from './records.js';

const side = 32;
const plane = side * side;
const image = { height: side, width: side, channels: 3 };

interface CifarLayout {
  train: string[];
  test: string[];
  /** Label bytes before the pixels, by name, with the file that lists the class names. */
  labels: { name: 'fine' | 'coarse'; byte: number; names: string; count: number }[];
  labelBytes: number;
}

const layouts: Record<'cifar10' | 'cifar100', CifarLayout> = {
  cifar10: {
    train: [1, 2, 3, 4, 5].map(i => `data_batch_${i}.bin`),
    test: ['test_batch.bin'],
    labels: [{ name: 'fine', byte: 0, names: 'batches.meta.txt', count: 10 }],
    labelBytes: 1,
  },
  cifar100: {
    train: ['train.bin'],
    test: ['test.bin'],
    labels: [
      { name: 'fine', byte: 1, names: 'fine_label_names.txt', count: 100 },
      { name: 'coarse', byte: 0, names: 'coarse_label_names.txt', count: 20 },
    ],
    labelBytes: 2,
  },
};

export interface CifarOptions {
  /** Which of CIFAR-100's two labels: the 100 classes or the 20 superclasses. Default `'fine'`. */
  labels?: 'fine' | 'coarse';
  /** Class names to use where the folder has no list of them. */
  names?: readonly string[];
}

/** Which CIFAR a folder holds, by its file names; looks one level down as well. */
export function recogniseCifar(folder: string): { kind: 'cifar10' | 'cifar100'; folder: string } | undefined {
  for (const [inner, kind] of [
    ['', 'cifar10'],
    ['', 'cifar100'],
    ['cifar-10-batches-bin', 'cifar10'],
    ['cifar-100-binary', 'cifar100'],
  ] as const) {
    const place = path.join(folder, inner);
    const { train, test } = layouts[kind];
    if ([...train.slice(0, 1), ...test].some(file => existsSync(path.join(place, file))))
      return { kind, folder: place };
  }
  return undefined;
}

/**
 * Opens a folder of CIFAR binary batches. Pixels come out as HWC; order is that of the files, which is the official
 * one. Batches may be shorter than the official 10,000 records.
 *
 * @throws DlcourseError `E_DATA_FORMAT` for a file that isn't a whole number of records, or a label out of range;
 *   `E_NOT_FOUND` for a missing batch.
 */
export async function openCifar(
  name: string,
  folder: string,
  kind: 'cifar10' | 'cifar100',
  options: CifarOptions = {},
): Promise<Dataset> {
  const layout = layouts[kind];
  const label = layout.labels.find(l => l.name === (options.labels ?? 'fine')) ?? layout.labels[0];
  const classes = (await listedNames(path.join(folder, label.names))) ?? options.names;
  if (!classes)
    throw formatError(path.join(folder, label.names), undefined, 'expected a list of class names, found none');
  if (classes.length > 256)
    throw formatError(path.join(folder, label.names), undefined, 'expected at most 256 classes');
  const read = (files: string[]) => readBatches(folder, files, layout.labelBytes, label.byte, classes.length);
  const [train, test] = [await read(layout.train), await read(layout.test)];
  const geometry = {
    ...{ height: side, width: side, channels: 3 as const },
    ...{ fit: 'crop' as const, cropFraction: 1, interpolation: 'linear' as const },
  };
  return makeDataset({ name, classes, splits: { train, test }, geometry });
}

async function listedNames(file: string): Promise<string[] | undefined> {
  if (!existsSync(file)) return undefined;
  const text = await readFile(file, 'utf8').catch(cause => {
    throw readError(file, cause);
  });
  const names = text.split(/\r?\n/).map(line => line.trim());
  return names.filter(line => line !== '');
}

async function readBatches(
  folder: string,
  files: string[],
  labelBytes: number,
  labelByte: number,
  classes: number,
): Promise<PackedSplit> {
  const record = labelBytes + 3 * plane;
  const batches: { file: string; first: number }[] = [];
  let count = 0;
  for (const name of files) {
    const file = path.join(folder, name);
    const bytes = await fileSize(file);
    if (bytes === 0 || bytes % record !== 0) {
      throw formatError(file, undefined, `expected a multiple of ${record} bytes, got ${bytes}`);
    }
    batches.push({ file, first: count });
    count += bytes / record;
  }
  const pixels = new Uint8Array(count * 3 * plane);
  const labels = new Int32Array(count);
  for (const [b, { file, first }] of batches.entries()) {
    const bytes = await readWhole(file);
    const n = (batches[b + 1]?.first ?? count) - first;
    if (bytes.length !== n * record) {
      throw formatError(file, undefined, `expected ${n * record} bytes, got ${bytes.length}`);
    }
    for (let i = 0; i < n; i++) labels[first + i] = bytes[i * record + labelByte];
    checkLabels(file, labels.subarray(first, first + n), classes, i => i * record + labelByte);
    for (let i = 0; i < n; i++) {
      interleave(bytes, i * record + labelBytes, pixels, (first + i) * 3 * plane);
    }
  }
  return new PackedSplit(image, labels, pixels, sample => {
    const batch = batches.findLast(b => b.first <= sample)!;
    return `${batch.file}#${sample - batch.first}`;
  });
}

/** Three planes of 1024 to 1024 pixels of three. */
function interleave(planar: Uint8Array, from: number, pixels: Uint8Array, to: number): void {
  for (let p = 0; p < plane; p++) {
    pixels[to + 3 * p] = planar[from + p];
    pixels[to + 3 * p + 1] = planar[from + plane + p];
    pixels[to + 3 * p + 2] = planar[from + 2 * plane + p];
  }
}

/**
 * The inverse: a CIFAR-10 batch file from `count` interleaved images and their labels. Sources that carry CIFAR-10 in
 * another form become the official bytes this way.
 */
export function cifar10Batch(labels: ArrayLike<number>, pixels: Uint8Array): Uint8Array {
  const batch = new Uint8Array(labels.length * (1 + 3 * plane));
  for (let i = 0; i < labels.length; i++) {
    const from = i * 3 * plane;
    const to = i * (1 + 3 * plane);
    batch[to] = labels[i];
    for (let p = 0; p < plane; p++) {
      for (let c = 0; c < 3; c++) batch[to + 1 + c * plane + p] = pixels[from + 3 * p + c];
    }
  }
  return batch;
}
