// Finds the pictures of a class-per-folder tree: which files, which class, which split. Reads no file's content.

import { createHash } from 'node:crypto';
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { DlcourseError, suggest } from '../errors.js';
import { readError } from '../io/filesystem.js';
import { hasImageExtension } from './image.js';

export interface ListedFile {
  /** Path from the data folder, with `/`. */
  path: string;
  label: number;
}

export interface FolderListing {
  root: string;
  classes: string[];
  train: ListedFile[];
  test: ListedFile[];
  /** What the user should know: folders left out, files that aren't pictures. */
  notices: string[];
}

export interface FolderOptions {
  /**
   * Share of each class that becomes the test split when the folder has none, 0–1; 1 for a folder that is only
   * evaluated. Default 0.1.
   */
  split?: number;
  /** Chooses which images those are; apart from the training's seed, so that runs share a test split. Default 0. */
  splitSeed?: number;
  /** Class names that labels refer to, e.g. a checkpoint's. Default: the folders'. */
  classes?: readonly string[];
}

const testNames = ['test', 'val', 'valid', 'validation'];

/**
 * Lists `folder/{train,test|val|valid|validation}/<class>/**` or `folder/<class>/**`. The second form, and a `train`
 * folder alone, are split by `split`: within each class, images are ordered by the SHA-256 of seed and path, and the
 * first ones become the test split, so that adding a file moves few others.
 *
 * Classes are sorted by code point, or by number when all are numbers; samples by class, then path. Hidden files and
 * files without a picture's extension are left out; links are followed.
 *
 * @throws DlcourseError `E_DATA_LAYOUT` when there are no class folders or no images, `E_DATA_CLASS` for a class that
 *   is unknown, or without training images.
 */
export async function listFolder(folder: string, options: FolderOptions = {}): Promise<FolderListing> {
  const { split = 0.1, splitSeed = 0 } = options;
  if (!(split >= 0 && split <= 1)) {
    const problem = `expected a share from 0 to 1, got ${split}`;
    throw new DlcourseError({ code: 'E_DATA_SPLIT', class: 'usage', where: '--split', problem });
  }
  const root = path.resolve(folder);
  const top = await subfolders(root);
  const notices: string[] = [];
  const trainFolder = top.find(name => name.toLowerCase() === 'train');
  const tests = testNames.flatMap(test => top.filter(name => name.toLowerCase() === test));
  const divided = trainFolder !== undefined || (tests.length > 0 && tests.length === top.length);
  if (divided && tests.length > 1) notices.push(`using ${tests[0]}/; ${tests.slice(1).join('/, ')}/ is left out`);
  const others = divided ? top.filter(name => name !== trainFolder && !tests.includes(name)) : [];
  if (others.length > 0) notices.push(`left out, not a split: ${others.slice(0, 5).join('/, ')}/`);

  const parts = divided ? [trainFolder, tests[0]] : ['', undefined];
  const walked = await Promise.all(
    parts.map(part => (part === undefined ? new Map() : walkClasses(root, part, notices))),
  );
  const [trainClasses, testClasses] = walked as Map<string, string[]>[];
  const classes = options.classes ?? sortClasses([...new Set([...trainClasses.keys(), ...testClasses.keys()])]);
  checkClasses(root, [...trainClasses.keys(), ...testClasses.keys()], options.classes);
  if (classes.length === 0) throw layoutError(root, 'expected class folders with images, found none');

  const label = (found: Map<string, string[]>) =>
    classes.flatMap((name, index) => (found.get(name) ?? []).map(file => ({ path: file, label: index })));
  let train = label(trainClasses);
  let test = label(testClasses);
  if (parts[1] === undefined) {
    const chosen = chooseTest(train, split, splitSeed);
    test = train.filter(file => chosen.has(file.path));
    train = train.filter(file => !chosen.has(file.path));
  }
  if (train.length + test.length === 0) {
    throw layoutError(root, `expected images in ${classes.length} class folders, found none`);
  }
  const counts = new Map<number, number>();
  for (const file of train) counts.set(file.label, (counts.get(file.label) ?? 0) + 1);
  const missing = classes.filter((_, index) => !counts.has(index));
  if (!options.classes && train.length > 0 && missing.length > 0) {
    throw classError(
      root,
      `expected training images of every class, got none of '${missing.slice(0, 5).join("', '")}'`,
    );
  }
  return { root, classes: [...classes], train, test, notices };
}

/** Whether a folder looks like a class-per-folder tree: it has at least one subfolder. */
export async function looksLikeImageFolder(folder: string): Promise<boolean> {
  return (await subfolders(folder)).length > 0;
}

function sortClasses(names: string[]): string[] {
  const numeric = names.every(name => /^\d{1,15}$/.test(name));
  return names.sort((a, b) => (numeric ? Number(a) - Number(b) || compare(a, b) : compare(a, b)));
}

/** By code point, whatever the locale. */
function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function checkClasses(root: string, found: string[], known: readonly string[] | undefined): void {
  const unknown = known && found.find(name => !known.includes(name));
  if (unknown === undefined) return;
  throw classError(root, `expected only classes that the model knows, got '${unknown}'`, suggest(unknown, known!));
}

async function subfolders(folder: string): Promise<string[]> {
  return (await entries(folder)).filter(e => e.kind === 'folder').map(e => e.name);
}

interface Entry {
  name: string;
  kind: 'file' | 'folder';
}

/** Visible files and folders, links resolved, sorted by code point. */
async function entries(folder: string): Promise<Entry[]> {
  const found = await readdir(folder, { withFileTypes: true }).catch(error => {
    throw readError(folder, error);
  });
  const listed: Entry[] = [];
  for (const entry of found) {
    if (entry.name.startsWith('.') || entry.name === '__MACOSX') continue;
    const { name } = entry;
    let [isFile, isFolder] = [entry.isFile(), entry.isDirectory()];
    if (entry.isSymbolicLink()) {
      // A link to nothing is listed as a file: it will be among the bad ones, not passed over.
      const target = await stat(path.join(folder, name)).catch(() => undefined);
      [isFile, isFolder] = [target?.isFile() ?? true, target?.isDirectory() ?? false];
    }
    if (isFile || isFolder) listed.push({ name, kind: isFolder ? 'folder' : 'file' });
  }
  return listed.sort((a, b) => compare(a.name, b.name));
}

/** Class folder → its pictures' paths from the root. */
async function walkClasses(root: string, part: string, notices: string[]): Promise<Map<string, string[]>> {
  const classes = new Map<string, string[]>();
  const ignored: string[] = [];
  const loose: string[] = [];
  for (const entry of await entries(path.join(root, part))) {
    const place = path.posix.join(part, entry.name);
    if (entry.kind === 'folder') classes.set(entry.name, await walk(root, place, [], ignored));
    else if (hasImageExtension(entry.name)) loose.push(place);
  }
  if (classes.size === 0 && loose.length > 0) {
    throw layoutError(
      path.join(root, part),
      `expected a folder for each class, got ${loose.length} images without one`,
    );
  }
  if (loose.length > 0) notices.push(`left out, in no class folder: ${some(loose)}`);
  if (ignored.length > 0) notices.push(`left out, not pictures by name: ${some(ignored)}`);
  return classes;
}

function some(files: string[]): string {
  return files.slice(0, 3).join(', ') + (files.length > 3 ? ` and ${files.length - 3} more` : '');
}

async function walk(root: string, folder: string, above: string[], ignored: string[]): Promise<string[]> {
  const real = await realpath(path.join(root, folder));
  if (above.includes(real)) throw layoutError(path.join(root, folder), 'expected a tree, got a link to a folder above');
  const files: string[] = [];
  for (const entry of await entries(path.join(root, folder))) {
    const place = `${folder}/${entry.name}`;
    if (entry.kind === 'folder') files.push(...(await walk(root, place, [...above, real], ignored)));
    else if (hasImageExtension(entry.name)) files.push(place);
    else ignored.push(place);
  }
  return files;
}

/** The paths of the test split: `share` of each class, at least one where there are two images to share. */
function chooseTest(files: ListedFile[], share: number, seed: number): Set<string> {
  const byClass = new Map<number, { path: string; rank: string }[]>();
  for (const file of files) {
    const rank = createHash('sha256').update(`${seed}\0${file.path}`).digest('hex');
    const members = byClass.get(file.label);
    if (members) members.push({ path: file.path, rank });
    else byClass.set(file.label, [{ path: file.path, rank }]);
  }
  const chosen = new Set<string>();
  for (const members of byClass.values()) {
    const least = share > 0 && members.length >= 2 ? 1 : 0;
    const count = Math.max(least, Math.round(share * members.length));
    members.sort((a, b) => compare(a.rank, b.rank));
    for (const { path: file } of members.slice(0, count)) chosen.add(file);
  }
  return chosen;
}

function layoutError(where: string, problem: string): DlcourseError {
  const hint = 'lay images out as DIR/<class>/<image> or DIR/{train,test}/<class>/<image>';
  return new DlcourseError({ code: 'E_DATA_LAYOUT', class: 'data', where, problem, hint });
}

/** `E_DATA_CLASS`: of class data when images are missing, mismatch when a class is unknown to the model. */
export function classError(where: string, problem: string, hint?: string): DlcourseError {
  const shown = hint ?? 'add images to the folder or remove it';
  return new DlcourseError({ code: 'E_DATA_CLASS', class: hint ? 'mismatch' : 'data', where, problem, hint: shown });
}
