// Opens a class-per-folder tree: files are listed and surveyed, bad ones reported, pixels packed or streamed.

import { createHash } from 'node:crypto';
import path from 'node:path';
import { type BadFile, BadImage, badFilesError } from './bad-files.js';
import { forEachConcurrently } from './concurrency.js';
import { CroppedSplit, stacked } from './cropped.js';
import { type CropCount, checkCrops, cropsOf, fitPicture } from './crops.js';
import {
  classCounts,
  type Dataset,
  imageBytes,
  makeDataset,
  PackedSplit,
  type Split,
  splitFingerprint,
} from './dataset.js';
import { type IndexedFile, readSmall, type SurveyOptions, surveyFiles } from './file-index.js';
import { classError, type FolderListing, type FolderOptions, type ListedFile, listFolder } from './folder.js';
import { decodePixels, decoderVersion, type ImageHeader } from './image.js';
import { cacheFolder } from './locations.js';
import { type PackSource, packImages, packLimit } from './packed.js';
import {
  chooseGeometry,
  type Geometry,
  type GeometryChoice,
  type ImageSurvey,
  type Preprocessing,
} from './preprocessing.js';
import { readSealed, writeSealed } from './sealed.js';
import { StreamedSplit } from './streamed.js';

/** What a long opening is doing: `survey` reads headers, `decode` packs or verifies. */
export interface OpenProgress {
  step: 'survey' | 'decode';
  done: number;
  total: number;
}

export interface ImageFolderOptions extends FolderOptions, GeometryChoice {
  /** A checkpoint's way to treat pictures, instead of the choices of geometry. */
  preprocessing?: Preprocessing;
  /** Formats to enable beside JPEG, PNG and WebP. */
  formats?: SurveyOptions['formats'];
  /** Goes on without bad files, with a notice of what is left, instead of failing. */
  skipBad?: boolean;
  /** Decodes everything before the first epoch; packed splits always do. */
  verify?: boolean;
  /** Whether pixels are held in memory. Default `'auto'`: packed up to 1 GiB. */
  store?: 'auto' | 'packed' | 'streamed';
  /** Crops of each picture, for evaluation: they are streamed. Default 1. */
  crops?: CropCount;
  signal?: AbortSignal;
  onProgress?: (progress: OpenProgress) => void;
  onNotice?: (line: string) => void;
}

/** A picture that passed the survey. */
interface Picture extends ListedFile {
  digest: string;
  header: ImageHeader;
}

/** What the names and headers of a folder say, before any pixel is decoded. */
export interface FolderSurvey extends ImageSurvey {
  listing: FolderListing;
  train: Picture[];
  test: Picture[];
  bad: BadFile[];
}

/** Lists a folder and reads every file's header; bad files are part of the result. */
export async function surveyFolder(folder: string, options: ImageFolderOptions = {}): Promise<FolderSurvey> {
  const { formats, signal, onProgress } = options;
  const listing = await listFolder(folder, options);
  const files = [...listing.train, ...listing.test];
  const surveyed = await surveyFiles(
    listing.root,
    files.map(f => f.path),
    { formats, signal, onProgress: (done, total) => onProgress?.({ step: 'survey', done, total }) },
  );
  const bad: BadFile[] = [];
  const usable = (from: number, listed: ListedFile[]): Picture[] =>
    listed.flatMap((file, i) => {
      const found: IndexedFile = surveyed[from + i];
      if (found.header) return [{ ...file, digest: found.digest, header: found.header }];
      bad.push({ file: path.join(listing.root, file.path), reason: found.problem ?? 'is unusable' });
      return [];
    });
  const train = usable(0, listing.train);
  const test = usable(listing.train.length, listing.test);
  const sizes = new Map<string, { height: number; width: number; count: number }>();
  for (const { header } of [...train, ...test]) {
    const { height, width } = header;
    const key = `${height}x${width}`;
    const size = sizes.get(key);
    if (size) size.count++;
    else sizes.set(key, { height, width, count: 1 });
  }
  return { listing, train, test, bad, sizes, allGrey: [...train, ...test].every(p => p.header.grey) };
}

/**
 * Opens a class-per-folder tree (`listFolder` says which) as a data set.
 *
 * All files with bad headers are reported together; so are all with bad pixels, while packing, while verifying, or in
 * the batch where they occur when streaming. `skipBad` leaves them out: a streamed set is verified first then, so that
 * the number and order of samples is known from the start.
 *
 * @throws DlcourseError `E_DATA_BAD_FILES`, `E_DATA_LAYOUT`, `E_DATA_CLASS`, `E_INPUT_SIZE`.
 */
export async function openImageFolder(
  name: string,
  folder: string,
  options: ImageFolderOptions = {},
): Promise<Dataset> {
  const { preprocessing, skipBad = false, verify = skipBad, store = 'auto', crops = 1, onNotice } = options;
  const survey = await surveyFolder(folder, options);
  const { listing, bad } = survey;
  for (const notice of listing.notices) onNotice?.(notice);
  const total = listing.train.length + listing.test.length;
  if ((bad.length > 0 && !skipBad) || bad.length === total) throw badFilesError(listing.root, bad, total);

  const geometry = preprocessing ?? chooseGeometry(listing.root, survey, options);
  checkCrops(geometry, crops);
  const bytes = (survey.train.length + survey.test.length) * imageBytes(geometry);
  const packed = crops === 1 && (store === 'packed' || (store === 'auto' && bytes <= packLimit));
  const open = packed ? openPacked : openStreamed;
  const { splits, damaged } = await open(name, survey, geometry, { ...options, verify });
  if (damaged.length > 0 && !skipBad) throw badFilesError(listing.root, damaged, total);
  const skipped = bad.length + damaged.length;
  if (skipped === total) throw badFilesError(listing.root, [...bad, ...damaged], total);
  if (skipped > 0 && !options.classes) checkClassesLeft(listing, splits.train);
  if (skipped > 0) onNotice?.(skippedNotice(skipped, total, listing.classes, splits));
  return makeDataset({
    name,
    classes: listing.classes,
    splits,
    geometry: plainGeometry(geometry),
    statistics: preprocessing,
  });
}

/**
 * Decodes every picture at its own size and returns those with damaged pixels. What was found is remembered by content
 * and decoder, so that a second call is quick.
 */
export async function verifyPictures(survey: FolderSurvey, options: ImageFolderOptions = {}): Promise<BadFile[]> {
  const { root } = survey.listing;
  const pictures = [...survey.train, ...survey.test];
  const key = createHash('sha256').update(decoderVersion());
  for (const picture of pictures) key.update(picture.digest);
  const place = path.join(cacheFolder(), 'index', `${key.digest('hex').slice(0, 32)}.verified`);
  const known = await readSealed<{ bad: [number, string][] }>(place, () => []);
  let found = typeof known === 'object' ? known.header.bad : undefined;
  if (!found) {
    found = [];
    let done = 0;
    const check = async (i: number) => {
      try {
        await readPicture(root, pictures[i], 3);
      } catch (error) {
        if (!(error instanceof BadImage)) throw error;
        found!.push([i, error.message]);
      }
      options.onProgress?.({ step: 'decode', done: ++done, total: pictures.length });
    };
    await forEachConcurrently(pictures.length, check, { signal: options.signal });
    found.sort(([a], [b]) => a - b);
    await writeSealed(place, { bad: found }).catch(() => {});
  }
  return found.map(([i, reason]) => ({ file: path.join(root, pictures[i].path), reason }));
}

interface Opened {
  splits: { train: Split; test: Split };
  damaged: BadFile[];
}

async function openPacked(
  name: string,
  survey: FolderSurvey,
  geometry: Geometry,
  options: ImageFolderOptions,
): Promise<Opened> {
  const { root } = survey.listing;
  const parts = [survey.train, survey.test];
  const sources: PackSource[] = parts.map(pictures => ({
    digests: pictures.map(p => p.digest),
    decode: async sample => fitPicture(await readPicture(root, pictures[sample], geometry.channels), geometry),
  }));
  const packed = await packImages(name, sources, geometry, {
    signal: options.signal,
    onNotice: options.onNotice,
    onProgress: (done, total) => options.onProgress?.({ step: 'decode', done, total }),
  });
  const damaged: BadFile[] = [];
  const [train, test] = packed.map(({ pixels, kept, bad, statistics }, i) => {
    for (const { sample, reason } of bad) damaged.push({ file: path.join(root, parts[i][sample].path), reason });
    const pictures = kept.map(sample => parts[i][sample]);
    const labels = Int32Array.from(pictures, p => p.label);
    const fingerprint = splitFingerprint(shapeOf(geometry), labels, hash => {
      for (const { digest } of pictures) hash.update(digest);
    });
    const nameOf = (sample: number) => path.join(root, pictures[sample].path);
    return new PackedSplit(shapeOf(geometry), labels, pixels, nameOf, { fingerprint, statistics });
  });
  return { splits: { train, test }, damaged };
}

async function openStreamed(
  _name: string,
  survey: FolderSurvey,
  geometry: Geometry,
  options: ImageFolderOptions,
): Promise<Opened> {
  const { root } = survey.listing;
  const { crops = 1 } = options;
  const damaged = options.verify ? await verifyPictures(survey, options) : [];
  const left = new Set(damaged.map(b => b.file));
  const split = (all: Picture[]) => {
    const pictures = left.size === 0 ? all : all.filter(p => !left.has(path.join(root, p.path)));
    const streamed = new StreamedSplit(
      stacked(shapeOf(geometry), crops),
      Int32Array.from(pictures, p => p.label),
      async sample => cropsOf(await readPicture(root, pictures[sample], geometry.channels), geometry, crops),
      pictures.map(p => p.digest),
      sample => path.join(root, pictures[sample].path),
    );
    return crops === 1 ? streamed : new CroppedSplit(streamed, crops);
  };
  return { splits: { train: split(survey.train), test: split(survey.test) }, damaged };
}

async function readPicture(root: string, picture: Picture, channels: 1 | 3) {
  const file = path.join(root, picture.path);
  const { height, width } = picture.header;
  // Compressed pictures take less than a byte a pixel, as a rule: enough to tell small files.
  const bytes = await readSmall(file, height * width).catch(error => {
    throw new BadImage(`can't be read (${error.code ?? error.message})`);
  });
  return decodePixels(bytes, picture.header, channels);
}

function shapeOf({ height, width, channels }: Geometry) {
  return { height, width, channels };
}

function plainGeometry(geometry: Geometry): Geometry {
  const { height, width, channels, fit, cropFraction, interpolation } = geometry;
  return { height, width, channels, fit, cropFraction, interpolation };
}

function checkClassesLeft({ root, classes, train }: FolderListing, split: Split): void {
  const left = classCounts(split, classes.length);
  const lost = classes.filter((_, i) => left[i] === 0 && train.length > 0);
  if (lost.length > 0)
    throw classError(root, `expected usable training images of every class, got none of '${lost[0]}'`);
}

function skippedNotice(skipped: number, total: number, classes: readonly string[], splits: Opened['splits']): string {
  const counts = (split: Split) => {
    const perClass = classCounts(split, classes.length);
    return classes.map((name, i) => `${name} ${perClass[i]}`).join(', ');
  };
  return `skipped ${skipped} of ${total} images; left for training: ${counts(splits.train)}; for testing: ${counts(splits.test)}`;
}
