// Makes the data set that dlcourse ships, and others like it: drawn pictures of ten things, as class-per-folder files.

import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DlcourseError } from '../errors.js';
import { systemCode, writeError } from '../io/filesystem.js';
import { decodeWidth, forEachConcurrently } from './concurrency.js';
import { classes, drawPicture, type Split, splits } from './draw/scene.js';
import { loadSharp } from './sharp.js';

/** What the committed `datasets/stickers` was made with. */
export const stickersDefaults = { seed: 1, train: 4000, test: 1000, size: 32 } as const;

export interface StickersOptions {
  /** The folder to make; it must not exist yet, or be empty. */
  out: string;
  /** An integer from 0 to 2³² − 1; other seeds give other pictures of the same distribution. Default 1. */
  seed?: number;
  /** Training pictures, 1 … 9,999,999. Default 4,000. Fewer are the first of more. */
  train?: number;
  /** Test pictures, 0 … 9,999,999. Default 1,000. */
  test?: number;
  /** Width and height in pixels, 8 … 1024: the same scenes, but for their grain. Default 32. */
  size?: number;
  signal?: AbortSignal;
  /** Called after each file. */
  onProgress?: (progress: { done: number; total: number }) => void;
}

export interface StickersResult {
  /** Absolute. */
  folder: string;
  classes: readonly string[];
  train: number;
  test: number;
  size: number;
  seed: number;
  /** Of all files together. */
  bytes: number;
  /** SHA-256 of all pixels (RGB, train before test, by index): the same whatever version of the encoder wrote the files. */
  sha256: string;
}

/**
 * Draws a data set into `out`: `train/<class>/0001.webp …` and `test/<class>/0001.webp …`, lossless WebP.
 *
 * Classes take turns, so that they differ in number by one at most. The pixels depend on seed, split, index and size
 * alone, see `drawPicture`. The folder appears when all files are written; a failure or an abort leaves nothing.
 *
 * @throws DlcourseError `E_OPTION` (a number out of its range), `E_EXISTS` (`out` holds something), `E_WRITE`;
 * the signal's reason when aborted.
 */
export async function makeStickers(options: StickersOptions): Promise<StickersResult> {
  const seed = checked('seed', options.seed, 0, 2 ** 32 - 1);
  const counts = {
    train: checked('train', options.train, 1, 9_999_999),
    test: checked('test', options.test, 0, 9_999_999),
  };
  const size = checked('size', options.size, 8, 1024);
  const { signal, onProgress } = options;
  const folder = path.resolve(options.out);
  await refuseFilled(folder);
  const total = counts.train + counts.test;
  const digest = createHash('sha256');
  let bytes = 0;
  let done = 0;
  const staging = await makeStaging(folder);
  const files = path.join(staging, 'files');
  try {
    const sharp = loadSharp();
    await makeFolders(files, counts);
    for (const split of splits) {
      const write = async (index: number) => {
        // Up to the first `await`, calls run in the order of their indices: so the digest sees the pictures in order.
        const { pixels } = drawPicture({ seed, split, index, size });
        digest.update(pixels);
        const file = path.join(files, pictureFile(split, index));
        const image = sharp(pixels, { raw: { width: size, height: size, channels: 3 } });
        const encoded = await image.webp({ lossless: true, effort: 6 }).toBuffer();
        await writeFile(file, encoded).catch(error => {
          throw writeError(file, 'write a picture', error);
        });
        bytes += encoded.length;
        onProgress?.({ done: ++done, total });
        // Drawing is the main thread's: let it serve timers and signals between pictures.
        await new Promise(setImmediate);
      };
      await forEachConcurrently(counts[split], write, { width: decodeWidth, ...(signal && { signal }) });
    }
    signal?.throwIfAborted();
    await putInPlace(files, folder);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return { folder, classes, ...counts, size, seed, bytes, sha256: digest.digest('hex') };
}

/** Where a picture lies in its data set: `<split>/<class>/<number>.webp`, numbers from 0001 in each class. */
export function pictureFile(split: Split, index: number): string {
  const number = String(Math.floor(index / classes.length) + 1).padStart(4, '0');
  return path.join(split, classes[index % classes.length], `${number}.webp`);
}

function checked(name: keyof typeof stickersDefaults, given: number | undefined, least: number, most: number): number {
  const value = given ?? stickersDefaults[name];
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new DlcourseError({
    code: 'E_OPTION',
    class: 'usage',
    where: name,
    problem: `expected an integer from ${least} to ${most}, got ${value}`,
  });
}

async function refuseFilled(folder: string): Promise<void> {
  const names = await readdir(folder).catch(error => {
    if (systemCode(error) === 'ENOENT') return [];
    throw writeError(folder, 'list the folder', error);
  });
  if (names.length === 0) return;
  throw new DlcourseError({
    code: 'E_EXISTS',
    class: 'usage',
    where: folder,
    problem: `expected a new or empty folder, got one that holds ${names[0]}`,
    hint: 'give another folder or remove it first',
  });
}

/** A temporary folder beside `folder`, so that a rename is enough to put its content in place. */
async function makeStaging(folder: string): Promise<string> {
  const parent = path.dirname(folder);
  try {
    await mkdir(parent, { recursive: true });
    return await mkdtemp(path.join(parent, `.${path.basename(folder)}-`));
  } catch (error) {
    throw writeError(parent, 'create a folder', error);
  }
}

/** An empty folder for each class that gets pictures. */
async function makeFolders(root: string, counts: Record<Split, number>): Promise<void> {
  try {
    for (const split of splits) {
      for (const name of classes.slice(0, counts[split]))
        await mkdir(path.join(root, split, name), { recursive: true });
    }
  } catch (error) {
    throw writeError(root, 'create the folders of the classes', error);
  }
}

async function putInPlace(files: string, folder: string): Promise<void> {
  try {
    await rmdir(folder).catch(error => {
      if (systemCode(error) !== 'ENOENT') throw error;
    });
    await rename(files, folder);
  } catch (error) {
    throw writeError(folder, 'put the data set in place', error);
  }
}
