// A packed data set at another size or with other channels: CIFAR at 64 × 64, MNIST with three channels.

import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { CroppedSplit, stacked } from './cropped.js';
import { type CropCount, checkCrops, cropsOf, fitPicture } from './crops.js';
import { type Dataset, makeDataset, PackedSplit, splitFingerprint } from './dataset.js';
import { type PackOptions, packImages } from './packed.js';
import { chooseGeometry, type Geometry, type GeometryChoice, type Preprocessing } from './preprocessing.js';
import { StreamedSplit } from './streamed.js';

/** Crops are made when they are asked for, from the pixels in memory. */
function croppedSplit(split: PackedSplit, geometry: Geometry, crops: CropCount): CroppedSplit {
  const { height, width, channels } = geometry;
  const streamed = new StreamedSplit(
    stacked({ height, width, channels }, crops),
    split.labels,
    async sample => cropsOf({ ...split.image, data: split.pixels(sample) }, geometry, crops),
    [split.fingerprint()],
    sample => split.sampleName(sample),
  );
  return new CroppedSplit(streamed, crops);
}

/**
 * The data set in the geometry that is asked for; itself when that is its own. Resized images go to the packed cache
 * like decoded files, keyed by the fingerprint of what they were made of.
 *
 * @param choice options of geometry, or a checkpoint's preprocessing.
 * @param options.crops crops of each picture, for evaluation; default 1.
 */
export async function resampleDataset(
  dataset: Dataset,
  choice: GeometryChoice | Preprocessing,
  options: PackOptions & { crops?: CropCount } = {},
): Promise<Dataset> {
  const { height, width, channels } = dataset.image;
  const given = 'mean' in choice ? choice : undefined;
  const sizes = new Map([['', { height, width, count: dataset.splits.train.length }]]);
  const geometry: Geometry =
    given ?? chooseGeometry(dataset.name, { sizes, allGrey: channels === 1 }, choice as GeometryChoice);
  const whole = geometry.fit === 'stretch' || geometry.cropFraction === 1;
  const same = whole && geometry.height === height && geometry.width === width && geometry.channels === channels;
  const splits = [dataset.splits.train, dataset.splits.test].filter(split => split instanceof PackedSplit);
  if (splits.length < 2) throw new TypeError('resampleDataset takes packed splits');
  const { name, classes } = dataset;
  const { crops = 1 } = options;
  if (crops !== 1) {
    checkCrops(geometry, crops);
    const [train, test] = splits.map(split => croppedSplit(split, geometry, crops));
    return makeDataset({ name, classes, splits: { train, test }, geometry, statistics: given });
  }
  if (same)
    return makeDataset({ name, classes, splits: dataset.splits, geometry: { ...dataset.geometry }, statistics: given });
  const sources = splits.map(split => ({
    digests: Array.from({ length: split.length }, (_, sample) => {
      return createHash('sha256').update(`${height} ${width} ${channels} `).update(split.pixels(sample)).digest('hex');
    }),
    decode: async (sample: number) => {
      await setImmediate(); // between two pictures, signals and progress have their turn
      return fitPicture({ ...dataset.image, data: split.pixels(sample) }, geometry);
    },
  }));
  const packed = await packImages(name, sources, geometry, options);
  const shape = { height: geometry.height, width: geometry.width, channels: geometry.channels };
  const [train, test] = packed.map(({ pixels, statistics }, i) => {
    const { labels } = splits[i];
    const fingerprint = splitFingerprint(shape, labels, hash => hash.update(splits[i].fingerprint()));
    return new PackedSplit(shape, labels, pixels, s => splits[i].sampleName(s), { fingerprint, statistics });
  });
  return makeDataset({ name, classes, splits: { train, test }, geometry, statistics: given });
}
