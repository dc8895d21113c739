// The terminal: results on stdout, everything else on stderr; one live line where a person watches, plain lines where
// nobody does.

import picocolors from 'picocolors';
import { printable } from '../src/errors.js';

export const progressModes = ['auto', 'plain', 'json', 'none'] as const;
export type ProgressMode = (typeof progressModes)[number];

export interface UiOptions {
  progress?: ProgressMode;
  quiet?: boolean;
  json?: boolean;
}

type Colors = ReturnType<typeof picocolors.createColors>;
type Environment = Readonly<Record<string, string | undefined>>;

/** Colour on a terminal that has it; NO_COLOR switches it off, FORCE_COLOR on (https://no-color.org). */
export function wantsColor(stream: { isTTY?: boolean }, env: Environment = process.env): boolean {
  if (env['NO_COLOR']) return false;
  if (env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0') return true;
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}

let drawing: Ui | undefined;

/** Takes away a live line, whoever drew it. */
export const clearLive = (): void => drawing?.clear();

/** Redraws a second of the live line. */
const FRAMES = 10;

export class Ui {
  readonly mode: 'live' | 'plain' | 'json' | 'none';
  /** Colours for stdout and stderr. */
  readonly colors: Colors;
  readonly errorColors: Colors;
  readonly #quiet: boolean;
  readonly #json: boolean;
  #line = '';
  #drawn = 0;

  constructor({ progress = 'auto', quiet = false, json = false }: UiOptions = {}) {
    const { env, stderr } = process;
    const watched = stderr.isTTY === true && env['TERM'] !== 'dumb' && !env['CI'];
    if (progress !== 'auto') this.mode = progress;
    else if (quiet) this.mode = 'none';
    else this.mode = watched ? 'live' : 'plain';
    this.#quiet = quiet;
    this.#json = json;
    this.colors = picocolors.createColors(wantsColor(process.stdout));
    this.errorColors = picocolors.createColors(wantsColor(stderr));
  }

  /** A line of the result, for people; nothing with --json. */
  print(line = ''): void {
    if (this.#json) return;
    this.clear();
    process.stdout.write(`${line}\n`);
  }

  /** The result for programs: the one object of --json. */
  result(value: unknown): void {
    if (!this.#json) return;
    this.clear();
    process.stdout.write(
      `${JSON.stringify(value, (_, v) => (typeof v === 'number' && !Number.isFinite(v) ? null : v), 2)}\n`,
    );
  }

  /** Something worth knowing, on stderr. */
  notice(line: string): void {
    if (this.mode === 'json') this.event({ event: 'notice', text: line });
    else if (!this.#quiet) this.#above(this.errorColors.dim(printable(line)));
  }

  /** A line of progress that stays. */
  progress(line: string): void {
    if (this.mode === 'live' || this.mode === 'plain') this.#above(line);
  }

  /** One JSON line of progress. */
  event(value: Record<string, unknown>): void {
    if (this.mode === 'json') process.stderr.write(`${JSON.stringify(value)}\n`);
  }

  /** Draws the live line; calls that come too soon after the last are left out unless `now`. */
  live(compose: (width: number) => string, now = false): void {
    if (this.mode !== 'live') return;
    const at = performance.now();
    if (!now && at - this.#drawn < 1000 / FRAMES) return;
    this.#drawn = at;
    const width = (process.stderr.columns || 80) - 1;
    const line = cut(compose(width), width);
    this.#line = line;
    drawing = this;
    process.stderr.write(`\r\u001b[K${line}`);
  }

  /** Takes the live line away. */
  clear(): void {
    if (this.#line === '') return;
    process.stderr.write('\r\u001b[K');
    this.#line = '';
  }

  #above(line: string): void {
    const live = this.#line;
    this.clear();
    process.stderr.write(`${line}\n`);
    if (live !== '') {
      process.stderr.write(live);
      this.#line = live;
    }
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: ANSI sequences begin with one
const sequence = /\u001b\[[0-9;]*m/y;

/** At most `width` columns of a line; colour sequences take none, and are closed. */
export function cut(line: string, width: number): string {
  let columns = 0;
  let at = 0;
  let colored = false;
  while (at < line.length) {
    sequence.lastIndex = at;
    const found = sequence.exec(line);
    if (found) {
      colored = true;
      at += found[0].length;
      continue;
    }
    if (columns === width) return line.slice(0, at) + (colored ? '\u001b[0m' : '');
    columns++;
    at += line.codePointAt(at)! > 0xffff ? 2 : 1;
  }
  return line;
}

/** A bar of `width` columns, `share` of them full, in eighths. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  const rest = eighths % 8;
  const full = '█'.repeat(Math.floor(eighths / 8)) + (rest ? ' ▏▎▍▌▋▊▉'[rest] : '');
  return full + '░'.repeat(width - full.length);
}

export const percent = (share: number, digits = 1): string =>
  Number.isFinite(share) ? `${(100 * share).toFixed(digits)} %` : '–';

export const integer = (value: number): string => Math.round(value).toLocaleString('en-US');

/** `1 epoch`, `1,000 epochs` */
export const plural = (count: number, noun: string): string => `${integer(count)} ${noun}${count === 1 ? '' : 's'}`;

/** `12.3 MiB` */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let scaled = value;
  for (; scaled >= 1024 && unit < units.length - 1; unit++) scaled /= 1024;
  return `${unit === 0 ? scaled : scaled.toFixed(1)} ${units[unit]}`;
}

/** `1:02:03`, `2:03` */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  const total = Math.max(0, Math.round(seconds));
  const two = (n: number): string => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export { textTable as table } from '../src/layers/text-table.js';
