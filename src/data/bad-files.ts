// Files that can't be used: collected in one pass and listed together, each with its reason.

import { DlcourseError, printable } from '../errors.js';

export interface BadFile {
  /** As found: the data folder and the path in it. */
  file: string;
  /** Why, as a clause: `is empty`, `expected 1 page, got 12`. */
  reason: string;
}

/** Thrown inside the readers for one picture; becomes a line of the list, or an error of its own in `predict`. */
export class BadImage extends Error {}

const shown = 10;

/**
 * One error for all of them: the first ten, then how many more.
 *
 * @param of number of files that were looked at.
 */
export function badFilesError(where: string, bad: readonly BadFile[], of: number): DlcourseError {
  const list = bad.slice(0, shown).map(b => `${b.file} ${b.reason}`);
  if (bad.length > shown) list.push(`… and ${bad.length - shown} more`);
  return new BadFilesError(where, `expected ${of} usable images, got ${bad.length} bad: ${list.join(', ')}`, bad);
}

/** `E_DATA_BAD_FILES`, with the whole list for a caller that wants to print it otherwise. */
export class BadFilesError extends DlcourseError {
  constructor(
    where: string,
    problem: string,
    readonly files: readonly BadFile[],
  ) {
    const hint = 'repair or remove them, or go on without them with --skip-bad';
    super({ code: 'E_DATA_BAD_FILES', class: 'data', where, problem, hint });
  }
}

/** The first line of what libvips says, without its prefix, short and printable. */
export function decoderReason(error: unknown): string {
  const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
  const text = line.replace(/^Input buffer (has corrupt header|contains unsupported image format): ?/, '');
  return `can't be decoded (${printable(text.slice(0, 160)) || 'unknown reason'})`;
}
