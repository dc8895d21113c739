// Small images are decoded once into one file of the cache, keyed by their content and by what decoded them.

import { createHash } from 'node:crypto';
import path from 'node:path';
import { BadImage } from './bad-files.js';
import { forEachConcurrently } from './concurrency.js';
import { imageBytes } from './dataset.js';
import { decoderVersion } from './image.js';
import { cacheFolder } from './locations.js';
import type { Geometry } from './preprocessing.js';
import { readSealed, writeSealed } from './sealed.js';
import { type ChannelStatistics, packedStatistics } from './statistics.js';

/** Splits of up to 1 GiB of pixels together are packed and held in memory; larger ones are streamed. */
export const packLimit = 2 ** 30;

/** Changes when the meaning of a packed file does: 2 since pictures are resampled as in Pillow. */
const formatVersion = 2;

/** What is to be packed: for each sample a digest of its content and a way to its pixels. */
export interface PackSource {
  digests: readonly string[];
  /** Height × width × channels bytes; rejects with `BadImage` for damaged pixels. */
  decode: (sample: number) => Promise<Uint8Array>;
}

export interface PackedPixels {
  pixels: Uint8Array;
  /** Samples of the source that are in `pixels`, in order: all but the bad ones. */
  kept: number[];
  bad: { sample: number; reason: string }[];
  statistics: ChannelStatistics;
}

export interface PackOptions {
  signal?: AbortSignal;
  /** Images decoded so far, of all. */
  onProgress?: (done: number, total: number) => void;
  onNotice?: (line: string) => void;
}

interface PackHeader {
  geometry: Geometry;
  decoder: string;
  splits: { kept: number[] | 'all'; count: number; bad: PackedPixels['bad']; statistics: ChannelStatistics }[];
}

/**
 * Loads the packed file of these sources, or decodes them and writes it. A damaged file is made anew with a notice; a
 * cache that can't be written costs a notice as well.
 *
 * @param name goes into the file's name, for the reader of the cache folder.
 */
export async function packImages(
  name: string,
  sources: readonly PackSource[],
  geometry: Geometry,
  options: PackOptions = {},
): Promise<PackedPixels[]> {
  const file = await packedFile(name, sources, geometry);
  const bytes = imageBytes(geometry);
  const packed = await readSealed<PackHeader>(file, header => header.splits?.map(s => s.count * bytes));
  if (typeof packed === 'object') {
    return packed.header.splits.map(({ kept, count, bad, statistics }, i) => {
      const all = kept === 'all' ? Array.from({ length: count }, (_, s) => s) : kept;
      return { pixels: packed.sections[i], kept: all, bad, statistics };
    });
  }
  if (packed === 'damaged') options.onNotice?.(`the cached copy ${file} is damaged: decoding the images again`);
  const splits = await decodeAll(sources, geometry, options);
  const header: PackHeader = {
    geometry,
    decoder: decoderVersion(),
    splits: splits.map(({ kept, bad, statistics }) => {
      return { kept: bad.length ? kept : 'all', count: kept.length, bad, statistics };
    }),
  };
  const pixels = splits.map(s => s.pixels);
  await writeSealed(file, header, pixels).catch(error => {
    options.onNotice?.(`decoded images couldn't be cached: ${(error as Error).message}`);
  });
  return splits;
}

async function packedFile(name: string, sources: readonly PackSource[], geometry: Geometry): Promise<string> {
  const hash = createHash('sha256');
  const { height, width, channels, fit, cropFraction, interpolation } = geometry;
  hash.update(JSON.stringify([formatVersion, decoderVersion()]));
  hash.update(JSON.stringify([height, width, channels, fit, cropFraction, interpolation]));
  for (const { digests } of sources) {
    hash.update(`\0${digests.length}\0`);
    for (const digest of digests) hash.update(digest);
  }
  const safe = name.replace(/[^\w.-]/g, '_').slice(0, 40);
  return path.join(
    cacheFolder(),
    'packed',
    `${safe}-${height}x${width}x${channels}-${hash.digest('hex').slice(0, 24)}.pack`,
  );
}

async function decodeAll(sources: readonly PackSource[], geometry: Geometry, options: PackOptions) {
  const bytes = imageBytes(geometry);
  const total = sources.reduce((sum, s) => sum + s.digests.length, 0);
  let done = 0;
  const splits: PackedPixels[] = [];
  for (const { digests, decode } of sources) {
    const pixels = new Uint8Array(digests.length * bytes);
    const reasons = new Map<number, string>();
    const decodeInto = async (sample: number) => {
      try {
        pixels.set(await decode(sample), sample * bytes);
      } catch (error) {
        if (!(error instanceof BadImage)) throw error;
        reasons.set(sample, error.message);
      }
      options.onProgress?.(++done, total);
    };
    await forEachConcurrently(digests.length, decodeInto, { signal: options.signal });
    splits.push(withoutBad(pixels, bytes, digests.length, reasons, geometry.channels));
  }
  return splits;
}

/** Closes the gaps that bad samples left. */
function withoutBad(
  pixels: Uint8Array,
  bytes: number,
  count: number,
  reasons: Map<number, string>,
  channels: number,
): PackedPixels {
  const kept: number[] = [];
  for (let sample = 0; sample < count; sample++) {
    if (reasons.has(sample)) continue;
    if (kept.length < sample) pixels.copyWithin(kept.length * bytes, sample * bytes, (sample + 1) * bytes);
    kept.push(sample);
  }
  const whole = pixels.subarray(0, kept.length * bytes);
  const bad = [...reasons].sort(([a], [b]) => a - b).map(([sample, reason]) => ({ sample, reason }));
  return { pixels: whole, kept, bad, statistics: packedStatistics(whole, channels) };
}
