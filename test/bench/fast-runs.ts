// Trainings by the fast recipe, as data, and their table.

import { percent, table } from '../tools/markdown.js';
import { byMachine, type Machine, machineName, rowsFile } from './rows.js';

/** One training on CIFAR-10, or its first epochs. */
export interface FastRun extends Machine {
  readonly program: string;
  /** The program's version, or its commit. */
  readonly version: string;
  readonly seed: number;
  /** Of the schedule. */
  readonly epochs: number;
  /** Of each epoch that was trained, the last one's test included. */
  readonly seconds: readonly number[];
  /** Other work took part of the machine meanwhile: the accuracy counts, the times say nothing. */
  readonly shared?: boolean;
  /** On the test images; absent where not all epochs were trained. */
  readonly top1?: number;
  /** Settings that were given beside the recipe's. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly date: string;
}

/** Of the same program, machine, seed and length, alone or not, the last run stays. */
export const { read: readFastRuns, keep: keepFastRun } = rowsFile<FastRun>('fast.json', r =>
  [machineName(r), r.program, r.seed, r.epochs, ...(r.shared ? ['shared'] : [])].join(' '),
);

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const mean = (values: readonly number[]): number => sum(values) / values.length;

/** Seconds of an epoch and minutes of all, from those that were trained where the machine had nothing else to do. */
function times(runs: readonly FastRun[]): string[] {
  const alone = runs.filter(r => !r.shared);
  if (alone.length === 0) return ['–', '–'];
  const minutes = alone.map(r => (mean(r.seconds) * r.epochs) / 60);
  return [mean(alone.map(r => mean(r.seconds))).toFixed(0), mean(minutes).toFixed(1)];
}

const head = ['program', 'seed', 'epochs trained', 's an epoch', 'minutes in all', 'test accuracy', 'day', 'version'];

/** Runs one by one, ours first, and the means of those of one program on one machine. */
export const fastTable = (runs: readonly FastRun[]): string =>
  byMachine(runs, here => {
    const programs = new Set(['dlcourse', ...here.map(r => r.program)]);
    return table(
      head,
      [...programs].flatMap(program => linesOf(here.filter(r => r.program === program))),
    );
  });

function linesOf(runs: readonly FastRun[]): string[][] {
  const own = [...runs].sort((a, b) => a.seed - b.seed);
  const whole = own.filter(r => r.top1 !== undefined);
  const one = own.map(r => [
    ...[r.program, String(r.seed), `${r.seconds.length} of ${r.epochs}`, ...times([r])],
    ...[percent(r.top1), r.date, `\`${r.version}\``],
  ]);
  if (whole.length < 2) return one;
  const means = [...times(own), percent(mean(whole.map(r => r.top1!)))];
  const last = [own[0]!.program, `mean of ${whole.length}`, '', ...means, '', ''];
  return [...one, last.map(cell => cell && `**${cell}**`)];
}
