// From a folder or a name to a data set: what a folder holds is recognised by its content.

import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { DlcourseError } from '../errors.js';
import { readError } from '../io/filesystem.js';
import type { BadFile } from './bad-files.js';
import { openCifar, recogniseCifar } from './cifar.js';
import { classCounts, type Dataset } from './dataset.js';
import { looksLikeImageFolder } from './folder.js';
import { openIdx, recogniseIdx } from './idx.js';
import { type ImageFolderOptions, openImageFolder, surveyFolder, verifyPictures } from './image-folder.js';
import { downloadedFolder, shippedFolder } from './locations.js';
import { findManifest, listManifests, type Manifest, type ReaderName } from './manifest.js';
import { resampleDataset } from './resampled.js';
import type { ChannelStatistics } from './statistics.js';

export interface OpenOptions extends ImageFolderOptions {
  /** CIFAR-100's 100 classes or its 20 superclasses. Default `'fine'`. */
  labels?: 'fine' | 'coarse';
}

/**
 * Opens a data set by name (`datasets/*.json`) or folder: CIFAR binaries, IDX files, or a folder for each class.
 *
 * A name wins over a folder of the same name; `./name` means the folder. Relative paths start at the current folder.
 *
 * @throws DlcourseError `E_UNKNOWN_DATASET`, `E_NOT_DOWNLOADED`, `E_DATA_LAYOUT`, and what the readers throw.
 */
export async function openDataset(nameOrFolder: string, options: OpenOptions = {}): Promise<Dataset> {
  const place = await locate(nameOrFolder);
  if (place.reader === 'folder') {
    return openImageFolder(place.name, place.folder, options);
  }
  const dataset = await openPackedFormat(place, options);
  if (options.classes) checkClassNames(dataset, options.classes);
  const { signal, crops, onProgress, onNotice } = options;
  return resampleDataset(dataset, options.preprocessing ?? options, {
    signal,
    crops,
    onNotice,
    onProgress: (done, total) => onProgress?.({ step: 'decode', done, total }),
  });
}

/** The named data sets, where each lies or would lie, and whether it is there. */
export async function listDatasets(): Promise<{ manifest: Manifest; folder: string; present: boolean }[]> {
  return (await listManifests()).map(manifest => {
    const folder = namedFolder(manifest);
    return { manifest, folder, present: isPresent(manifest, folder) };
  });
}

/** What `data info` shows. */
export interface DatasetReport {
  name: string;
  folder: string;
  kind: ReaderName;
  classes: readonly string[];
  /** Images of each class, in the order of `classes`; bad files are not among them. */
  train: { images: number; perClass: number[] };
  test: { images: number; perClass: number[] };
  /** Sizes of the images, most frequent first. */
  sizes: { height: number; width: number; count: number }[];
  channels: 1 | 3;
  /** Of the training images, per channel, 0–1; undefined while the input size is open. */
  statistics: ChannelStatistics | undefined;
  fingerprint: string | undefined;
  bad: BadFile[];
  notices: string[];
}

/** Looks at a data set without failing on bad files; `verify` decodes every picture as well. */
export async function inspectDataset(nameOrFolder: string, options: OpenOptions = {}): Promise<DatasetReport> {
  const place = await locate(nameOrFolder);
  const { name, folder, reader } = place;
  if (reader !== 'folder') {
    const dataset = await openPackedFormat(place, options);
    const { train, test } = dataset.splits;
    const { classes, image } = dataset;
    const count = (split: typeof train) => {
      return { images: split.length, perClass: [...classCounts(split, classes.length)] };
    };
    return {
      ...{ name, folder, kind: reader, classes, train: count(train), test: count(test), bad: [], notices: [] },
      sizes: [{ height: image.height, width: image.width, count: train.length + test.length }],
      channels: image.channels as 1 | 3,
      statistics: await train.statistics(),
      fingerprint: dataset.fingerprint(),
    };
  }
  const survey = await surveyFolder(folder, options);
  const damaged = options.verify ? await verifyPictures(survey, options) : [];
  const { classes, notices } = survey.listing;
  const count = (pictures: { label: number }[]) => {
    const perClass = new Array<number>(classes.length).fill(0);
    for (const { label } of pictures) perClass[label]++;
    return { images: pictures.length, perClass };
  };
  const bad = [...survey.bad, ...damaged];
  const sizes = [...survey.sizes.values()].sort((a, b) => b.count - a.count);
  const settled = bad.length === 0 && (sizes.length === 1 || options.input !== undefined);
  const dataset = settled ? await openImageFolder(name, folder, options) : undefined;
  return {
    ...{
      name,
      folder,
      kind: reader,
      classes,
      train: count(survey.train),
      test: count(survey.test),
      sizes,
      bad,
      notices,
    },
    channels: survey.allGrey ? 1 : 3,
    statistics: await dataset?.splits.train.statistics(),
    fingerprint: dataset?.fingerprint(),
  };
}

interface Place {
  name: string;
  folder: string;
  reader: ReaderName;
  manifest?: Manifest;
}

/** Finds the folder behind a name or path, and which reader it is for. */
async function locate(nameOrFolder: string): Promise<Place> {
  const manifest = (await listManifests()).find(m => m.name === nameOrFolder);
  if (manifest) return locateNamed(manifest);
  const folder = path.resolve(nameOrFolder);
  const info = await stat(folder).catch(() => undefined);
  const looksLikePath = /[\\/]/.test(nameOrFolder) || nameOrFolder.startsWith('.');
  if (!info && !looksLikePath) await findManifest(nameOrFolder);
  if (!info) throw readError(folder, Object.assign(new Error('no such folder'), { code: 'ENOENT' }));
  if (!info.isDirectory()) throw layoutError(folder, 'expected a folder, got a file');
  return recognise(folder);
}

async function locateNamed(manifest: Manifest): Promise<Place> {
  const { name, reader } = manifest;
  const folder = namedFolder(manifest);
  if (isPresent(manifest, folder)) return { name, folder, reader, manifest };
  throw new DlcourseError({
    code: 'E_NOT_DOWNLOADED',
    class: 'notFound',
    where: name,
    problem: `expected its files in ${folder}, found none`,
    hint: `type 'dlcourse data get ${name}'`,
  });
}

function namedFolder({ name, files }: Manifest): string {
  return files.length === 0 ? path.join(shippedFolder, name) : downloadedFolder(name);
}

function isPresent({ files }: Manifest, folder: string): boolean {
  return existsSync(folder) && files.every(file => existsSync(path.join(folder, file.path)));
}

async function recognise(folder: string): Promise<Place> {
  const name = path.basename(folder);
  const cifar = recogniseCifar(folder);
  if (cifar) return { name, folder: cifar.folder, reader: cifar.kind };
  const names = await readdir(folder).catch(error => {
    throw readError(folder, error);
  });
  if (names.includes('data_batch_1') || names.includes('cifar-10-batches-py') || names.includes('cifar-100-python')) {
    throw layoutError(folder, "expected CIFAR's binary version, got the Python one, which is pickled");
  }
  if (await recogniseIdx(folder)) return { name, folder, reader: 'idx' };
  if (await looksLikeImageFolder(folder)) return { name, folder, reader: 'folder' };
  throw layoutError(
    folder,
    `expected class folders, CIFAR batches or IDX files, got ${names.length} files of other kinds`,
  );
}

async function openPackedFormat(place: Place, options: OpenOptions): Promise<Dataset> {
  const { name, folder, reader } = place;
  if (reader === 'idx') return openIdx(name, folder, await listManifests());
  const manifest = place.manifest ?? (await findManifest(reader));
  const names = options.labels === 'coarse' ? manifest.coarseClasses : manifest.classes;
  return openCifar(name, folder, reader as 'cifar10' | 'cifar100', { labels: options.labels, names });
}

function checkClassNames(dataset: Dataset, classes: readonly string[]): void {
  const { name } = dataset;
  if (classes.length === dataset.classes.length && classes.every((c, i) => c === dataset.classes[i])) return;
  throw new DlcourseError({
    code: 'E_DATA_CLASS',
    class: 'mismatch',
    where: name,
    problem: `expected the model's ${classes.length} classes (${some(classes)}), got ${dataset.classes.length} (${some(dataset.classes)})`,
    hint: 'choose the data set that the model was trained for',
  });
}

function some(names: readonly string[]): string {
  return names.slice(0, 3).join(', ') + (names.length > 3 ? ', …' : '');
}

function layoutError(where: string, problem: string): DlcourseError {
  const hint = 'see README.md, "Data", for what a folder may hold';
  return new DlcourseError({ code: 'E_DATA_LAYOUT', class: 'data', where, problem, hint });
}
