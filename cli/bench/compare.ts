// What a change did: the figures of a benchmark beside those of an earlier one, read from what --json printed.

import { readFileSync } from 'node:fs';
import { DlcourseError } from '../../src/errors.js';
import type { KernelBench } from './kernels.js';
import type { ModelBench } from './model.js';
import type { ProfileRow } from './profile.js';

export type Bench = KernelBench | ModelBench;

export const isKernelBench = (bench: Bench): bench is KernelBench => 'kernels' in bench;

/** One figure before and after; null where it was not measured. */
export interface ComparisonRow {
  name: string;
  old: number | null;
  new: number | null;
  /** How many times better: faster, or of bytes smaller. Null where one is missing. */
  ratio: number | null;
}

/** What a change did to one kind of figures, what matters most first. */
export interface ComparisonTable {
  /** What the rows are, and their unit. */
  what: string;
  unit: string;
  rows: ComparisonRow[];
}

/** Reads what `bench --json` printed. Throws E_NOT_FOUND, or E_BENCH for a file that holds something else. */
export function readBench(file: string): Bench {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new DlcourseError({
      code: 'E_NOT_FOUND',
      class: 'notFound',
      where: file,
      problem: `expected what 'bench --json' printed, got ${(cause as NodeJS.ErrnoException).code ?? 'nothing'}`,
      cause,
    });
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(content);
  } catch {
    parsed = undefined;
  }
  if (isBench(parsed)) return parsed;
  throw new DlcourseError({
    code: 'E_BENCH',
    class: 'refusedFile',
    where: file,
    problem: "expected what 'bench --json' printed, got something else",
    hint: "make one with 'dlcourse bench --json > FILE'",
  });
}

type Fields = Record<string, unknown>;

const isNumber = (value: unknown): boolean => typeof value === 'number' && value > 0;
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const rowsWith = (value: unknown, text: string[], numbers: string[]): boolean =>
  Array.isArray(value) && value.every(row => isFields(row) && has(row, text, numbers));
const has = (fields: Fields, text: string[], numbers: string[]): boolean =>
  text.every(key => typeof fields[key] === 'string') && numbers.every(key => isNumber(fields[key]));

function isBench(value: unknown): value is Bench {
  if (!isFields(value) || !has(value, ['isa'], ['threads', 'batchSize', 'peakGflops'])) return false;
  if ('kernels' in value) return rowsWith(value['kernels'], ['op', 'pass', 'shape'], ['gflops']);
  const { input, mode, profile, latency } = value;
  const figures = ['imagesPerSecond', 'medianImagesPerSecond', 'peakMemoryBytes', 'arenaBytes'];
  if (!has(value, ['model', 'form'], figures) || !(mode === 'train' || mode === 'infer')) return false;
  if (!Array.isArray(input) || input.length !== 3 || !input.every(isNumber)) return false;
  if (latency !== undefined && !(isFields(latency) && has(latency, [], ['medianMilliseconds']))) return false;
  const lists = isFields(profile) ? [profile['ops'], profile['layers'], profile['steps']] : [];
  return profile === undefined || (lists.length > 0 && lists.every(l => rowsWith(l, ['name'], ['milliseconds'])));
}

/** Throws E_MISMATCH where the two measured different things; another machine, instruction set or threads are fine. */
export function compare(file: string, old: Bench, now: Bench): ComparisonTable[] {
  const [before, after] = [subject(old), subject(now)];
  if (before !== after) {
    throw new DlcourseError({
      code: 'E_MISMATCH',
      class: 'mismatch',
      where: file,
      problem: `expected figures of ${after}, got those of ${before}`,
      hint: 'leave out the options that say what to measure: they are taken from the file',
    });
  }
  const peak = figure('FMA peak, GFLOP/s', old.peakGflops, now.peakGflops);
  if (isKernelBench(old)) {
    const rates = ({ kernels }: KernelBench) => kernels.map(k => [`${k.op} ${k.pass} ${k.shape}`, k.gflops] as const);
    return [
      { what: 'figure', unit: '', rows: [peak] },
      { what: 'kernel', unit: 'GFLOP/s', rows: paired(rates(old), rates(now as KernelBench), 'rate') },
    ];
  }
  const [a, b] = [old, now as ModelBench];
  const mebibytes = (count: number) => count / 2 ** 20;
  const figures = [
    figure('images/s', a.imagesPerSecond, b.imagesPerSecond),
    figure('images/s, median', a.medianImagesPerSecond, b.medianImagesPerSecond),
    ...(a.latency && b.latency
      ? [figure('one image, ms', a.latency.medianMilliseconds, b.latency.medianMilliseconds, 'time')]
      : []),
    figure('peak memory, MiB', mebibytes(a.peakMemoryBytes), mebibytes(b.peakMemoryBytes), 'time'),
    figure('intermediate values, MiB', mebibytes(a.arenaBytes), mebibytes(b.arenaBytes), 'time'),
    peak,
  ];
  const lists = (['ops', 'layers', 'steps'] as const).flatMap(list => {
    if (!a.profile || !b.profile) return [];
    const rows = paired(times(a.profile[list]), times(b.profile[list]), 'time');
    return [{ what: list.slice(0, -1), unit: 'ms', rows }];
  });
  return [{ what: 'figure', unit: '', rows: figures }, ...lists];
}

/** What was measured, for people and to be compared. */
function subject(bench: Bench): string {
  if (isKernelBench(bench)) return `kernels at batch size ${bench.batchSize}`;
  const { model, form, mode, batchSize, input } = bench;
  return `${model} (${form}), ${mode}, ${batchSize} × ${input.join('×')}`;
}

type Kind = 'rate' | 'time';

function figure(name: string, old: number | null, now: number | null, kind: Kind = 'rate'): ComparisonRow {
  const ratio = old === null || now === null ? null : kind === 'rate' ? now / old : old / now;
  return { name, old, new: now, ratio };
}

/** Places in a plan move with every change of it: steps of one op, layer and shape are taken together. */
function times(rows: readonly ProfileRow[]): [string, number][] {
  const sums = new Map<string, number>();
  for (const { name, milliseconds } of rows) {
    const stable = name.replace(/ #\d+$/, '');
    sums.set(stable, (sums.get(stable) ?? 0) + milliseconds);
  }
  return [...sums];
}

/** Rates by how much they changed as a factor, times by how much in milliseconds. */
function paired(
  old: readonly (readonly [string, number])[],
  now: readonly (readonly [string, number])[],
  kind: Kind,
): ComparisonRow[] {
  const [before, after] = [new Map(old), new Map(now)];
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const weight = ({ old, new: now, ratio }: ComparisonRow): number =>
    kind === 'time' ? Math.abs((now ?? 0) - (old ?? 0)) : Math.abs(Math.log(ratio ?? 1));
  return names
    .map(name => figure(name, before.get(name) ?? null, after.get(name) ?? null, kind))
    .sort((a, b) => weight(b) - weight(a));
}
