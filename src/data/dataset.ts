// What every reader hands to the trainer: a data set of two splits, each with labels and uint8 HWC pixels.

import { createHash } from 'node:crypto';
import { DlcourseError } from '../errors.js';
import type { Geometry, Preprocessing } from './preprocessing.js';
import { type ChannelStatistics, packedStatistics } from './statistics.js';

/** Size of the pixels of one sample, stored height × width × channels. */
export interface ImageShape {
  height: number;
  width: number;
  channels: number;
}

/**
 * Samples in a fixed order. A sample's id is its index here: shuffling and augmentation are keyed by it, so the order
 * is part of the fingerprint.
 */
export interface Split {
  readonly length: number;
  /** Class index of each sample, in `[0, classes.length)`. */
  readonly labels: Int32Array;
  /** What `read` delivers for each sample. */
  readonly image: ImageShape;
  /** Consecutive samples that are crops of one picture; 1 when absent. */
  readonly crops?: number;
  /**
   * Copies the pixels of `samples`, one after the other, to `into` from `offset` on (`samples.length` × H × W × C
   * bytes, RGB or grey, 0–255). Packed splits copy at once and return nothing; streamed splits decode and return a
   * promise, during which `into` must not be touched.
   *
   * @throws DlcourseError `E_DATA_BAD_FILES` when a streamed image can't be decoded, naming the file.
   */
  read(samples: ArrayLike<number>, into: Uint8Array, offset?: number, signal?: AbortSignal): void | Promise<void>;
  /** Announces the samples of a later `read`; streamed splits start to decode them, within a bound on memory. */
  prefetch?(samples: ArrayLike<number>): void;
  /** A sample's file, or file and record: for messages and reports. */
  sampleName(sample: number): string;
  /** Mean and standard deviation of each channel over the split, in units of 0–1. Computed once. */
  statistics(): Promise<ChannelStatistics>;
  /** `sha256:` over image shape, labels, order and content: the same for the same data on any machine. */
  fingerprint(): string;
}

export interface Dataset {
  /** Short name for run folders and reports: the manifest's name, or the folder's. */
  readonly name: string;
  readonly classes: readonly string[];
  readonly image: ImageShape;
  readonly splits: { readonly train: Split; readonly test: Split };
  /** How images of any size become `image`. */
  readonly geometry: Geometry;
  /** Everything `predict` needs to treat a new image as training did; travels in the checkpoint. */
  preprocessing(): Promise<Preprocessing>;
  /** `sha256:` over class names and both splits. */
  fingerprint(): string;
}

/** Number of samples of each class. */
export function classCounts(split: Split, classes: number): Int32Array {
  const counts = new Int32Array(classes);
  for (const label of split.labels) counts[label]++;
  return counts;
}

export function imageBytes({ height, width, channels }: ImageShape): number {
  return height * width * channels;
}

/** All samples in one buffer, sample after sample: reading is a copy of bytes. */
export class PackedSplit implements Split {
  readonly length: number;
  private readonly bytes: number;
  private digest: string | undefined;
  private channelStatistics: ChannelStatistics | undefined;

  /**
   * @param data `labels.length` × H × W × C bytes; not copied.
   * @param nameOf a sample's file or record.
   */
  constructor(
    readonly image: ImageShape,
    readonly labels: Int32Array,
    readonly data: Uint8Array,
    private readonly nameOf: (sample: number) => string,
    known: { fingerprint?: string; statistics?: ChannelStatistics } = {},
  ) {
    this.length = labels.length;
    this.bytes = imageBytes(image);
    this.digest = known.fingerprint;
    this.channelStatistics = known.statistics;
    if (data.length !== this.length * this.bytes) {
      throw new DlcourseError({
        code: 'E_DATA_SIZE',
        class: 'internal',
        where: 'packed split',
        problem: `expected ${this.length} × ${this.bytes} bytes of pixels, got ${data.length}`,
      });
    }
  }

  /** The pixels of one sample: a view, not a copy. */
  pixels(sample: number): Uint8Array {
    return this.data.subarray(sample * this.bytes, (sample + 1) * this.bytes);
  }

  read(samples: ArrayLike<number>, into: Uint8Array, offset = 0): void {
    for (let i = 0; i < samples.length; i++) {
      checkSample(samples[i], this.length);
      into.set(this.pixels(samples[i]), offset + i * this.bytes);
    }
  }

  sampleName(sample: number): string {
    checkSample(sample, this.length);
    return this.nameOf(sample);
  }

  async statistics(): Promise<ChannelStatistics> {
    this.channelStatistics ??= packedStatistics(this.data, this.image.channels);
    return this.channelStatistics;
  }

  fingerprint(): string {
    this.digest ??= splitFingerprint(this.image, this.labels, hash => hash.update(this.data));
    return this.digest;
  }
}

/** The digest of a split: shape, count and labels (32-bit little-endian), then whatever `content` adds, in order. */
export function splitFingerprint(
  image: ImageShape,
  labels: Int32Array,
  content: (hash: ReturnType<typeof createHash>) => void,
): string {
  const hash = createHash('sha256');
  const numbers = Buffer.alloc(4 * (4 + labels.length));
  [image.height, image.width, image.channels, labels.length].forEach((n, i) => {
    numbers.writeInt32LE(n, 4 * i);
  });
  for (let i = 0; i < labels.length; i++) numbers.writeInt32LE(labels[i], 16 + 4 * i);
  hash.update(numbers);
  content(hash);
  return `sha256:${hash.digest('hex')}`;
}

/** Puts a data set together from its splits. */
export function makeDataset(parts: {
  name: string;
  classes: readonly string[];
  splits: { train: Split; test: Split };
  geometry: Geometry;
  /** Taken from a checkpoint instead of this data's training split. */
  statistics?: ChannelStatistics;
}): Dataset {
  const { name, classes, splits, geometry } = parts;
  const { height, width, channels } = geometry;
  return {
    name,
    classes,
    splits,
    geometry,
    image: { height, width, channels },
    preprocessing: async () => {
      const { mean, std } = parts.statistics ?? (await (splits.train.length ? splits.train : splits.test).statistics());
      return { ...geometry, mean, std };
    },
    fingerprint: () => {
      const hash = createHash('sha256').update(JSON.stringify(classes));
      hash.update(splits.train.fingerprint()).update(splits.test.fingerprint());
      return `sha256:${hash.digest('hex')}`;
    },
  };
}

export function checkSample(sample: number, length: number): void {
  if (Number.isInteger(sample) && sample >= 0 && sample < length) return;
  throw new DlcourseError({
    code: 'E_DATA_SAMPLE',
    class: 'internal',
    where: 'split',
    problem: `expected a sample index below ${length}, got ${sample}`,
  });
}
