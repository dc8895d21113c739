// Every failure a user can meet: one shape, one line, a stable code, a documented exit status.

/**
 * Exit statuses of the command line, clear of those that Node itself uses. A signal exits with 128 + its number.
 * The list is documented in README.md ("Exit statuses").
 */
export const exitStatus = {
  usage: 2,
  data: 65,
  notFound: 66,
  refusedFile: 67,
  internal: 70,
  resources: 71,
  write: 74,
  interrupted: 75,
  integrity: 76,
  permission: 77,
  mismatch: 78,
  diverged: 79,
  checkFailed: 80,
} as const;

export type ErrorClass = keyof typeof exitStatus;

export interface ErrorParts {
  /** Stable, machine-readable: `E_` and capitals, e.g. `E_SHAPE`. */
  code: string;
  /** What kind of failure it is; decides the exit status. */
  class: ErrorClass;
  /** Command, option, layer path, or file with tensor | line | byte. */
  where: string;
  /** The middle of the sentence: usually `expected X, got Y`. */
  problem: string;
  /** What to do about it, as an imperative. */
  hint?: string;
  cause?: unknown;
}

/** An error whose message is one line: `where: expected X, got Y; what to do`. */
export class DlcourseError extends Error {
  readonly code: string;
  readonly class: ErrorClass;
  readonly where: string;
  readonly problem: string;
  readonly hint: string | undefined;

  constructor(parts: ErrorParts) {
    const sentence = `${parts.where}: ${parts.problem}${parts.hint ? `; ${parts.hint}` : ''}`;
    super(printable(sentence), parts.cause === undefined ? undefined : { cause: parts.cause });
    this.name = 'DlcourseError';
    this.code = parts.code;
    this.class = parts.class;
    this.where = printable(parts.where);
    this.problem = printable(parts.problem);
    this.hint = parts.hint && printable(parts.hint);
  }

  get exitStatus(): number {
    return exitStatus[this.class];
  }
}

/**
 * Text from files and arguments, safe to print: control characters, ANSI sequences, line breaks and
 * bidirectional overrides are shown as `\u{..}`.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to be escaped
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, c => {
    return `\\u{${c.codePointAt(0)!.toString(16)}}`;
  });
}

/** The candidate closest to `word` by edit distance, if close enough to be a misspelling. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** ` did you mean 'x'?` or the list itself: the hint of every unknown-name error. */
export function suggest(word: string, candidates: Iterable<string>): string {
  const names = [...candidates];
  const near = nearest(word, names);
  return near ? `did you mean '${near}'?` : `choose one of ${names.join(', ')}`;
}

/** The error for a name that is none of `candidates`: says what was expected and which is nearest. */
export function unknownName(
  parts: Pick<ErrorParts, 'code' | 'class' | 'where'>,
  expected: string,
  got: string,
  candidates: Iterable<string>,
): DlcourseError {
  return new DlcourseError({ ...parts, problem: `expected ${expected}, got '${got}'`, hint: suggest(got, candidates) });
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, substitution));
    }
    previous = row;
  }
  return previous[b.length]!;
}
