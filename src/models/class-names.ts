// Names of classes: of the well-known data sets, or from a text file.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findManifest } from '../data/manifest.js';
import { DlcourseError, suggest } from '../errors.js';
import { readError } from '../io/filesystem.js';
import { packageRoot } from '../package.js';
import type { Form } from '../zoo/zoo.js';

/** Data sets whose classes have names here. */
export const classLists = ['imagenet', 'cifar10', 'cifar100'] as const;
export type ClassList = (typeof classLists)[number];

/** The names of a data set's classes, in the usual order. */
export async function namesOf(list: ClassList): Promise<readonly string[]> {
  if (list !== 'imagenet') return (await findManifest(list)).classes;
  return readNames(join(packageRoot, 'datasets', 'classes', 'imagenet.txt'));
}

/** The data set that weights of so many classes in this form are usually trained on. */
export function usualList(classes: number, form: Form): ClassList | undefined {
  if (form === 'imagenet') return classes === 1000 ? 'imagenet' : undefined;
  return classes === 10 ? 'cifar10' : classes === 100 ? 'cifar100' : undefined;
}

/**
 * Names of `count` classes: those of a data set, or a text file's, one a line.
 *
 * Errors: `E_NOT_FOUND`, `E_READ`; `E_CLASSES` (class mismatch) for another number of names.
 */
export async function classNames(choice: string, count: number): Promise<readonly string[]> {
  const list = classLists.find(name => name === choice);
  const names = list ? await namesOf(list) : await readNames(choice);
  if (names.length === count) return names;
  throw new DlcourseError({
    code: 'E_CLASSES',
    class: 'mismatch',
    where: choice,
    problem: `expected the names of ${count} classes, got ${names.length}`,
    hint: 'weights keep the number of classes that they were trained with; to change it, train with --init',
  });
}

async function readNames(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch(error => {
    const failure = readError(file, error);
    if (failure.code !== 'E_NOT_FOUND') throw failure;
    throw new DlcourseError({
      code: 'E_NOT_FOUND',
      class: 'notFound',
      where: '--classes',
      problem: `expected ${classLists.join(', ')} or a text file, got '${file}'`,
      hint: suggest(file, classLists),
    });
  });
  return text
    .split(/\r?\n/)
    .map(line => line.trim())
    .filter(line => line !== '');
}
