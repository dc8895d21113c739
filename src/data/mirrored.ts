// Each picture and its mirror image as samples of a split, one after the other.

import { checkSample, type ImageShape, imageBytes, type Split } from './dataset.js';
import { mirror, type Picture } from './resize.js';
import type { ChannelStatistics } from './statistics.js';

/** Sample 2i is picture i, sample 2i + 1 its mirror image: two crops, as `cropsOf` makes them. */
export class MirroredSplit implements Split {
  readonly crops = 2;
  readonly length: number;
  readonly labels: Int32Array;
  readonly image: ImageShape;

  constructor(private readonly pictures: Split) {
    this.length = 2 * pictures.length;
    this.labels = Int32Array.from({ length: this.length }, (_, i) => pictures.labels[i >> 1]);
    this.image = pictures.image;
  }

  async read(samples: ArrayLike<number>, into: Uint8Array, offset = 0, signal?: AbortSignal): Promise<void> {
    const all = Array.from(samples, sample => this.pictureOf(sample));
    const wanted = [...new Set(all)];
    const size = imageBytes(this.image);
    const pixels = new Uint8Array(wanted.length * size);
    await this.pictures.read(wanted, pixels, 0, signal);
    const at = new Map(wanted.map((picture, i) => [picture, i * size]));
    all.forEach((picture, i) => {
      const data = pixels.subarray(at.get(picture)!, at.get(picture)! + size);
      into.set(samples[i] % 2 === 0 ? data : mirror({ ...this.image, data } as Picture).data, offset + i * size);
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
    return sample >> 1;
  }
}
