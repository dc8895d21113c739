// IDX files, the format of MNIST and its relatives: a magic number, sizes in big-endian, then bytes. Gzip too.
// Format: Y. LeCun, http://yann.lecun.com/exdb/mnist/, "the IDX file format".

import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { type Dataset, makeDataset, PackedSplit } from './dataset.js';
import type { Manifest } from './manifest.js';
import { checkLabels, formatError, readWhole } from './records.js';

const filePattern = /^(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?$/;
/** Type 8 is unsigned byte; the last byte is the number of dimensions. */
const magics = { images: 0x0803, labels: 0x0801 } as const;
const maxUnpacked = 2 ** 30;

interface IdxFiles {
  train: { images: string; labels: string };
  test: { images: string; labels: string };
}

/** Whether a folder holds IDX files, by their names. */
export async function recogniseIdx(folder: string): Promise<boolean> {
  return (await readdir(folder)).some(name => filePattern.test(name));
}

/**
 * Opens `{train,t10k|test}-{images-idx3,labels-idx1}-ubyte` (or `.idx3-ubyte`), each plain or `.gz`. Images come out
 * as one grey channel.
 *
 * @param known manifests; where one lists the training labels' SHA-256, its name and class names are taken. Otherwise
 *   classes are called by their numbers, `0` to the highest label.
 * @throws DlcourseError `E_DATA_FORMAT` with file and byte.
 */
export async function openIdx(name: string, folder: string, known: readonly Manifest[] = []): Promise<Dataset> {
  const files = await findFiles(folder);
  const train = await readPair(files.train);
  const test = await readPair(files.test);
  if (train.height !== test.height || train.width !== test.width) {
    const problem = `expected images of ${train.height} × ${train.width} like the training images`;
    throw formatError(files.test.images, 8, `${problem}, got ${test.height} × ${test.width}`);
  }
  const manifest = known.find(m => m.files.some(f => f.sha256 === train.labelDigest));
  const highest = Math.max(...[train, test].map(part => part.labels.reduce((a, b) => Math.max(a, b), 0)));
  const classes = manifest?.classes ?? Array.from({ length: highest + 1 }, (_, i) => String(i));
  for (const [part, { labels }] of [
    [train, files.train],
    [test, files.test],
  ] as const) {
    checkLabels(labels, part.labels, classes.length, i => 8 + i);
  }
  const { height, width } = train;
  const image = { height, width, channels: 1 };
  const split = (part: IdxPair, file: string) =>
    new PackedSplit(image, part.labels, part.pixels, sample => `${file}#${sample}`);
  return makeDataset({
    name: manifest?.name ?? name,
    classes,
    splits: { train: split(train, files.train.images), test: split(test, files.test.images) },
    geometry: { height, width, channels: 1, fit: 'crop', cropFraction: 1, interpolation: 'linear' },
  });
}

async function findFiles(folder: string): Promise<IdxFiles> {
  const found = new Map<string, string>();
  // Sorted, so that a plain file is found after its .gz and wins.
  for (const name of (await readdir(folder)).sort().reverse()) {
    const match = filePattern.exec(name);
    if (match) found.set(`${match[1] === 'train' ? 'train' : 'test'}-${match[2]}`, path.join(folder, name));
  }
  const need = (key: string) => {
    const file = found.get(key);
    if (file) return file;
    throw formatError(folder, undefined, `expected four IDX files, got none for ${key}`);
  };
  return {
    train: { images: need('train-images'), labels: need('train-labels') },
    test: { images: need('test-images'), labels: need('test-labels') },
  };
}

interface IdxPair {
  height: number;
  width: number;
  pixels: Uint8Array;
  labels: Int32Array;
  labelDigest: string;
}

async function readPair(files: { images: string; labels: string }): Promise<IdxPair> {
  const images = await readIdx(files.images, 'images');
  const labels = await readIdx(files.labels, 'labels');
  const [count, height, width] = images.sizes;
  if (labels.sizes[0] !== count) {
    throw formatError(files.labels, 4, `expected ${count} labels, one an image, got ${labels.sizes[0]}`);
  }
  const labelDigest = createHash('sha256').update(labels.file).digest('hex');
  return { height, width, pixels: images.content, labels: Int32Array.from(labels.content), labelDigest };
}

async function readIdx(file: string, kind: 'images' | 'labels') {
  let bytes = await readWhole(file);
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    bytes = await promisify(gunzip)(bytes, { maxOutputLength: maxUnpacked }).catch(error => {
      throw formatError(file, undefined, `expected gzip data of at most 1 GiB, got ${error.code ?? error.message}`);
    });
  }
  const rank = magics[kind] & 255;
  const headerBytes = 4 + 4 * rank;
  if (bytes.length < headerBytes) {
    throw formatError(file, bytes.length, `expected a header of ${headerBytes} bytes, got the end of the file`);
  }
  const magic = bytes.readUInt32BE(0);
  if (magic !== magics[kind]) {
    throw formatError(file, 0, `expected magic number ${hex(magics[kind])} (${kind}), got ${hex(magic)}`);
  }
  const sizes = Array.from({ length: rank }, (_, i) => bytes.readUInt32BE(4 + 4 * i));
  const limits = [2 ** 28, 4096, 4096];
  sizes.forEach((size, i) => {
    if (size >= 1 && size <= limits[i]) return;
    throw formatError(file, 4 + 4 * i, `expected a size of 1–${limits[i]}, got ${size}`);
  });
  // The product stays below 2^52: exact.
  const expected = headerBytes + sizes.reduce((a, b) => a * b, 1);
  if (bytes.length !== expected) {
    throw formatError(file, Math.min(bytes.length, expected), `expected ${expected} bytes in all, got ${bytes.length}`);
  }
  return { sizes, content: bytes.subarray(headerBytes), file: bytes };
}

function hex(n: number): string {
  return `0x${n.toString(16).padStart(8, '0')}`;
}
