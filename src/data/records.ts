// Reading fixed-format data files whole: sizes and labels are checked, and a message names file and byte.

import { readFile, stat } from 'node:fs/promises';
import { DlcourseError } from '../errors.js';
import { readError } from '../io/filesystem.js';

/** A data file that isn't what its format says: which file, at which byte, expected and got. */
export function formatError(file: string, byte: number | undefined, problem: string, hint?: string): DlcourseError {
  return new DlcourseError({
    code: 'E_DATA_FORMAT',
    class: 'refusedFile',
    where: byte === undefined ? file : `${file}: byte ${byte}`,
    problem,
    hint: hint ?? "get the file again, e.g. with 'dlcourse data get'",
  });
}

/** Bytes in a file. @throws DlcourseError `E_NOT_FOUND` or `E_READ`. */
export async function fileSize(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (cause) {
    throw readError(file, cause);
  }
}

/** The whole file. @throws DlcourseError `E_NOT_FOUND` or `E_READ` when it can't be read. */
export async function readWhole(file: string): Promise<Buffer> {
  const size = await fileSize(file);
  // fs.readFile itself refuses more than 2 GiB.
  if (size >= 2 ** 31) throw formatError(file, undefined, `expected less than 2 GiB, got ${size} bytes`);
  try {
    return await readFile(file);
  } catch (cause) {
    throw readError(file, cause);
  }
}

/** The first label outside `[0, classes)`, as an error that names its byte. */
export function checkLabels(file: string, labels: Int32Array, classes: number, byteOf: (i: number) => number): void {
  const bad = labels.findIndex(label => label < 0 || label >= classes);
  if (bad < 0) return;
  throw formatError(file, byteOf(bad), `expected a label below ${classes} for image ${bad}, got ${labels[bad]}`);
}
