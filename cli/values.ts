// What a user may write for an option: typed values, checked where they enter. The same kinds read flags, environment
// variables and config files.

import { Option } from 'commander';
import { DlcourseError, nearest } from '../src/errors.js';

/** How one kind of value is written. */
export interface Kind<T> {
  /** The middle of `expected …, got`. */
  readonly expected: string;
  /** The value, or undefined when the text is none of this kind. */
  readonly parse: (text: string) => T | undefined;
  /** What to do about a text that is none. */
  readonly hint?: (text: string) => string | undefined;
}

/** A plain decimal number: no hexadecimal, no blank, no NaN. */
const number = (text: string): number =>
  /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;

export const whole = (least: number, most = Number.MAX_SAFE_INTEGER): Kind<number> => ({
  expected:
    most === Number.MAX_SAFE_INTEGER
      ? `a whole number of at least ${least}`
      : `a whole number from ${least} to ${most}`,
  parse: text => {
    const value = number(text);
    return Number.isSafeInteger(value) && value >= least && value <= most ? value : undefined;
  },
});

/** Numbers from `least` to `most`, the latter excluded where `below` says so. */
export const real = (least: number, most: number, below = false): Kind<number> => ({
  expected: `a number from ${least} to ${below ? 'below ' : ''}${most}`,
  parse: text => {
    const value = number(text);
    return value >= least && (below ? value < most : value <= most) ? value : undefined;
  },
});

const near = (text: string, names: readonly string[]): string | undefined => {
  const name = nearest(text, names);
  return name && `did you mean '${name}'?`;
};

export const choice = <const T extends string>(names: readonly T[]): Kind<T> => ({
  expected: `one of ${names.join(', ')}`,
  parse: text => names.find(name => name === text),
  hint: text => near(text, names),
});

/** What the flag of the exact mode says everywhere. */
export const exactHelp = 'convolutions without Winograd: slower, with smaller rounding errors';

/** Several of a list, with commas between them. */
export const choices = <const T extends string>(names: readonly T[]): Kind<T[]> => ({
  expected: `names from ${names.join(', ')}, with commas between them`,
  parse: text => {
    const parts = text.split(',').map(part => names.find(name => name === part.trim()));
    return parts.every(part => part !== undefined) ? parts : undefined;
  },
});

export const text: Kind<string> = { expected: 'some text', parse: value => (value === '' ? undefined : value) };

export const yes: Kind<boolean> = {
  expected: 'true or false',
  parse: value => ({ true: true, 1: true, false: false, 0: false })[value],
};

/** A whole number; `usual` where the option stands alone. */
export const wholeOr = (usual: number, least: number): Kind<number> => ({
  ...whole(least),
  parse: value => (value === 'true' ? usual : whole(least).parse(value)),
});

/** `32x32` or `32`: height and width in pixels. */
export const size: Kind<[number, number]> = {
  expected: 'height x width in pixels, such as 32x32',
  parse: value => {
    const [, height, width] = /^(\d{1,4})(?:x(\d{1,4}))?$/.exec(value) ?? [];
    const both: [number, number] = [Number(height), Number(width ?? height)];
    return both.every(n => n >= 1 && n <= 4096) ? both : undefined;
  },
};

/** `60,80` */
export const epochList: Kind<number[]> = {
  expected: 'epochs with commas between them, such as 60,80',
  parse: value => {
    const list = value.split(',').map(part => number(part.trim()));
    return list.every(n => n > 0) ? list : undefined;
  },
};

/** `500` steps or `10m`inutes. */
export const interval: Kind<{ steps: number } | { minutes: number }> = {
  expected: 'steps or minutes, such as 500 or 10m',
  parse: value => {
    const count = number(value.replace(/m$/, ''));
    if (value.endsWith('m')) return count > 0 ? { minutes: count } : undefined;
    return Number.isSafeInteger(count) && count >= 1 ? { steps: count } : undefined;
  },
};

/** The value of `text`, or a usage error that names `where` it stood. */
export function readValue<T>(kind: Kind<T>, given: string, where: string): T {
  const value = kind.parse(given);
  if (value !== undefined) return value;
  const hint = kind.hint?.(given);
  const problem = `expected ${kind.expected}, got '${given}'`;
  throw new DlcourseError({ code: 'E_OPTION', class: 'usage', where, problem, ...(hint ? { hint } : {}) });
}

/** An option of a command. Shown defaults are in `description`; `initial` is the value without the option. */
export function option<T>(flags: string, description: string, kind: Kind<T>, initial?: T): Option {
  const made = new Option(flags, description);
  made.argParser((given: string) => readValue(kind, given, made.long!));
  made.defaultValue = initial;
  return made;
}
