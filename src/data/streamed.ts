// A split too large to keep decoded: pictures are read and decoded when asked for, some of them beforehand.

import type { BadFile } from './bad-files.js';
import { BadImage, badFilesError } from './bad-files.js';
import { decodeWidth } from './concurrency.js';
import { checkSample, type ImageShape, imageBytes, type Split, splitFingerprint } from './dataset.js';
import { type ChannelStatistics, countPixels, emptyHistogram, histogramStatistics } from './statistics.js';

/** Memory for pixels that were decoded ahead and not asked for yet: 256 MiB. */
const prefetchBytes = 2 ** 28;
/** Images that a streamed split's mean and deviation are taken from, evenly spread. */
const statisticsSamples = 1024;

export class StreamedSplit implements Split {
  readonly length: number;
  private readonly bytes: number;
  private readonly ahead = new Map<number, Promise<Uint8Array>>();
  /** Decodes that wait for their turn: those of a `read` stand before those of a `prefetch`. */
  private readonly waiting: (() => void)[] = [];
  private running = 0;
  private knownStatistics: Promise<ChannelStatistics> | undefined;
  private digest: string | undefined;

  /**
   * @param decode H × W × C bytes of a sample; rejects with `BadImage` for damaged pixels.
   * @param contentDigests one a sample, for the fingerprint.
   */
  constructor(
    readonly image: ImageShape,
    readonly labels: Int32Array,
    private readonly decode: (sample: number) => Promise<Uint8Array>,
    private readonly contentDigests: readonly string[],
    private readonly nameOf: (sample: number) => string,
  ) {
    this.length = labels.length;
    this.bytes = imageBytes(image);
  }

  async read(samples: ArrayLike<number>, into: Uint8Array, offset = 0, signal?: AbortSignal): Promise<void> {
    const bad: BadFile[] = [];
    const copy = async (sample: number, index: number) => {
      try {
        into.set(await this.take(sample, signal), offset + index * this.bytes);
      } catch (error) {
        if (!(error instanceof BadImage)) throw error;
        bad.push({ file: this.nameOf(sample), reason: error.message });
      }
    };
    const results = await Promise.allSettled(Array.from(samples, copy));
    const failure = results.find(r => r.status === 'rejected');
    if (failure) throw failure.reason;
    if (bad.length > 0) throw badFilesError('batch', bad, samples.length);
  }

  prefetch(samples: ArrayLike<number>): void {
    const room = Math.floor(prefetchBytes / this.bytes);
    for (let i = 0; i < samples.length && this.ahead.size < room; i++) {
      const sample = samples[i];
      checkSample(sample, this.length);
      if (this.ahead.has(sample)) continue;
      const pixels = this.decodeInTurn(sample, 'later');
      // Whoever reads the sample meets the error; until then it must not count as unhandled.
      pixels.catch(() => {});
      this.ahead.set(sample, pixels);
    }
  }

  sampleName(sample: number): string {
    checkSample(sample, this.length);
    return this.nameOf(sample);
  }

  /** From at most 1024 evenly spread samples: the whole split would cost an epoch of decoding. */
  statistics(): Promise<ChannelStatistics> {
    this.knownStatistics ??= this.measure();
    return this.knownStatistics;
  }

  fingerprint(): string {
    this.digest ??= splitFingerprint(this.image, this.labels, hash => {
      for (const digest of this.contentDigests) hash.update(digest);
    });
    return this.digest;
  }

  private async measure(): Promise<ChannelStatistics> {
    const histogram = emptyHistogram(this.image.channels);
    const count = Math.min(this.length, statisticsSamples);
    const add = async (i: number) => {
      const sample = Math.floor((i * this.length) / count);
      const pixels = new Uint8Array(this.bytes);
      await this.read([sample], pixels);
      countPixels(histogram, pixels, this.image.channels);
    };
    await Promise.all(Array.from({ length: count }, (_, i) => add(i)));
    return histogramStatistics(histogram);
  }

  private take(sample: number, signal?: AbortSignal): Promise<Uint8Array> {
    checkSample(sample, this.length);
    const known = this.ahead.get(sample);
    if (!known) return this.decodeInTurn(sample, 'now', signal);
    this.ahead.delete(sample);
    return known;
  }

  private async decodeInTurn(sample: number, when: 'now' | 'later', signal?: AbortSignal): Promise<Uint8Array> {
    if (this.running < decodeWidth) this.running++;
    else await new Promise<void>(turn => (when === 'now' ? this.waiting.unshift(turn) : this.waiting.push(turn)));
    try {
      signal?.throwIfAborted();
      return await this.decode(sample);
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.running--;
    }
  }
}
