// Remembers what the files of a folder hold (digest and header), so that opening it again only asks for their sizes
// and times. Lies in the cache folder, never beside the data.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { systemCode } from '../io/filesystem.js';
import { BadImage } from './bad-files.js';
import { forEachConcurrently } from './concurrency.js';
import {
  baseFormats,
  decoderVersion,
  type ImageFormat,
  type ImageHeader,
  imageLimits,
  readHeader,
  tooLarge,
} from './image.js';
import { cacheFolder } from './locations.js';
import { readSealed, writeSealed } from './sealed.js';

/** A file as it was found; `problem` says why it can't be used. */
export interface IndexedFile {
  /** SHA-256 of the content, hexadecimal; empty when the file couldn't be read. */
  digest: string;
  header?: ImageHeader;
  problem?: string;
}

export interface SurveyOptions {
  /** Formats beside JPEG, PNG and WebP. */
  formats?: readonly ImageFormat[];
  signal?: AbortSignal;
  /** Files seen so far, of all. */
  onProgress?: (done: number, total: number) => void;
}

type Entry = [size: number, mtime: number, file: IndexedFile];
interface IndexHeader {
  decoder: string;
  formats: string;
  files: Record<string, Entry>;
}

/**
 * Reads, digests and checks the header of every file, or recalls it where size and time of change are those of last
 * time. A file that changed in the last two seconds is read again next time: its time may not tell a later change.
 *
 * @param files paths from `root`.
 * @returns one entry a file, in order; a bad file is an entry with its problem, not an error.
 */
export async function surveyFiles(
  root: string,
  files: readonly string[],
  options: SurveyOptions = {},
): Promise<IndexedFile[]> {
  const { formats = [], signal, onProgress } = options;
  const enabled = [...new Set([...baseFormats, ...formats])];
  const decoder = decoderVersion();
  const place = await indexFile(root);
  const known = await readSealed<IndexHeader>(place, () => []);
  const usable = typeof known === 'object' && known.header.decoder === decoder && known.header.formats === `${enabled}`;
  // No prototype: a file may be called __proto__.
  const remembered: Record<string, Entry> = Object.assign(Object.create(null), usable ? known.header.files : {});
  const surveyed = new Array<IndexedFile>(files.length);
  const next: Record<string, Entry> = Object.create(null);
  let changed = Object.keys(remembered).length !== files.length;
  let done = 0;
  const survey = async (i: number) => {
    const file = files[i];
    const full = path.join(root, file);
    const now = Date.now();
    const info = await stat(full).catch(error => systemCode(error) ?? 'unknown error');
    if (typeof info === 'string') {
      surveyed[i] = { digest: '', problem: `can't be read (${info})` };
    } else {
      const entry = remembered[file];
      const same = entry?.[0] === info.size && entry[1] === info.mtimeMs;
      if (!same) changed = true;
      surveyed[i] = same ? entry[2] : await examine(full, info.size, enabled);
      if (info.mtimeMs < now - 2000) next[file] = [info.size, info.mtimeMs, surveyed[i]];
    }
    onProgress?.(++done, files.length);
  };
  await forEachConcurrently(files.length, survey, { width: 16, signal });
  // A cache that can't be written costs time at the next start, nothing else.
  const header: IndexHeader = { decoder, formats: `${enabled}`, files: next };
  if (changed) await writeSealed(place, header).catch(() => {});
  return surveyed;
}

async function examine(full: string, size: number, enabled: readonly ImageFormat[]): Promise<IndexedFile> {
  let digest = '';
  try {
    if (size > imageLimits.fileBytes) throw tooLarge(size);
    const bytes = await readSmall(full, size);
    digest = createHash('sha256').update(bytes).digest('hex');
    return { digest, header: await readHeader(bytes, full, enabled) };
  } catch (error) {
    if (error instanceof BadImage) return { digest, problem: error.message };
    const code = systemCode(error);
    if (!code) throw error;
    return { digest, problem: `can't be read (${code})` };
  }
}

/** Reads a whole file; small ones at once, which is eight times faster than through the thread pool. */
export async function readSmall(file: string, size: number): Promise<Buffer> {
  return size <= 2 ** 17 ? readFileSync(file) : readFile(file);
}

async function indexFile(root: string): Promise<string> {
  const real = await realpath(root);
  const key = createHash('sha256').update(real).digest('hex').slice(0, 16);
  return path.join(cacheFolder(), 'index', `${path.basename(real).slice(0, 40)}-${key}.index`);
}
