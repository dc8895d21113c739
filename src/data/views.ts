// Views of each picture as samples of a split, one after the other: itself, its mirror image, both moved by a pixel.

import { type ViewCount, viewsOf } from './crops.js';
import { checkSample, type ImageShape, imageBytes, type Split } from './dataset.js';

import type { ChannelStatistics } from './statistics.js';

/** Sample `i` is view `i % crops` of picture `⌊i / crops⌋`, as `viewsOf` makes them. */
export class ViewsSplit implements Split {
  readonly length: number;
  readonly labels: Int32Array;
  readonly image: ImageShape;

  constructor(
    private readonly pictures: Split,
    readonly crops: ViewCount,
  ) {
    this.length = crops * pictures.length;
    this.labels = Int32Array.from({ length: this.length }, (_, i) => pictures.labels[Math.floor(i / crops)]);
    this.image = pictures.image;
  }

  async read(samples: ArrayLike<number>, into: Uint8Array, offset = 0, signal?: AbortSignal): Promise<void> {
    const all = Array.from(samples, sample => this.pictureOf(sample));
    const wanted = [...new Set(all)];
    const size = imageBytes(this.image);
    const pixels = new Uint8Array(wanted.length * size);
    await this.pictures.read(wanted, pixels, 0, signal);
    const channels = this.image.channels as 1 | 3;
    const views = wanted.map((_, i) =>
      viewsOf({ ...this.image, channels, data: pixels.subarray(i * size, (i + 1) * size) }, this.crops),
    );
    const at = new Map(wanted.map((picture, i) => [picture, views[i]!]));
    all.forEach((picture, i) => {
      into.set(at.get(picture)![samples[i] % this.crops]!.data, offset + i * size);
    });
  }

  prefetch(samples: ArrayLike<number>): void {
    this.pictures.prefetch?.([...new Set(Array.from(samples, sample => this.pictureOf(sample)))]);
  }

  sampleName(sample: number): string {
    return this.pictures.sampleName(this.pictureOf(sample));
  }

  statistics(): Promise<ChannelStatistics> {
    return this.pictures.statistics();
  }

  fingerprint(): string {
    return this.pictures.fingerprint();
  }

  private pictureOf(sample: number): number {
    checkSample(sample, this.length);
    return Math.floor(sample / this.crops);
  }
}
