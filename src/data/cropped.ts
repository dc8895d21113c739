// Several crops of each picture as samples of a split, one after the other.

import { type ViewCount, viewsOf } from './crops.js';
import { checkSample, type ImageShape, imageBytes, type Split } from './dataset.js';
import type { ChannelStatistics } from './statistics.js';

/** The shape of `crops` images, one below the other: how a split holds all crops of a picture as one sample. */
export function stacked({ height, width, channels }: ImageShape, crops: number): ImageShape {
  return { height: height * crops, width, channels };
}

/** Takes the stacked crops of a split apart: sample `i` is crop `i % crops` of picture `⌊i / crops⌋`. */
export class CroppedSplit implements Split {
  readonly length: number;
  readonly labels: Int32Array;
  readonly image: ImageShape;
  private readonly bytes: number;
  /** The picture that the last read ended in: often the next one begins there. */
  private last: { picture: number; pixels: Uint8Array } | undefined;

  /** @param pictures a split of `stacked` crops. */
  constructor(
    private readonly pictures: Split,
    readonly crops: number,
  ) {
    const { height, width, channels } = pictures.image;
    this.length = pictures.length * crops;
    this.labels = Int32Array.from({ length: this.length }, (_, i) => pictures.labels[Math.floor(i / crops)]);
    this.image = { height: height / crops, width, channels };
    this.bytes = imageBytes(this.image);
  }

  async read(samples: ArrayLike<number>, into: Uint8Array, offset = 0, signal?: AbortSignal): Promise<void> {
    const all = Array.from(samples, sample => this.pictureOf(sample));
    const known = this.last;
    const wanted = [...new Set(all)].filter(picture => picture !== known?.picture);
    const size = this.bytes * this.crops;
    const pixels = new Uint8Array(wanted.length * size);
    await this.pictures.read(wanted, pixels, 0, signal);
    const found = new Map<number, Uint8Array>(known ? [[known.picture, known.pixels]] : []);
    wanted.forEach((picture, i) => {
      found.set(picture, pixels.subarray(i * size, (i + 1) * size));
    });
    all.forEach((picture, i) => {
      const start = (samples[i] % this.crops) * this.bytes;
      into.set(found.get(picture)!.subarray(start, start + this.bytes), offset + i * this.bytes);
    });
    const picture = all.at(-1);
    if (picture !== undefined) this.last = { picture, pixels: found.get(picture)!.slice() };
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

/** The views of each picture of a split, as `viewsOf` makes them; of one view, the split itself. */
export function withViews(split: Split, count: ViewCount): Split {
  if (count === 1) return split;
  const { length, labels, image } = split;
  const channels = image.channels as 1 | 3;
  const bytes = imageBytes(image);
  const views: Split = {
    ...{ length, labels, image: stacked(image, count) },
    read: async (samples, into, offset = 0, signal) => {
      const pixels = new Uint8Array(samples.length * bytes);
      await split.read(samples, pixels, 0, signal);
      for (let i = 0; i < samples.length; i++) {
        const data = pixels.subarray(i * bytes, (i + 1) * bytes);
        viewsOf({ ...image, channels, data }, count).forEach((view, k) => {
          into.set(view.data, offset + (i * count + k) * bytes);
        });
      }
    },
    prefetch: samples => split.prefetch?.(samples),
    sampleName: sample => split.sampleName(sample),
    statistics: () => split.statistics(),
    fingerprint: () => split.fingerprint(),
  };
  return new CroppedSplit(views, count);
}
