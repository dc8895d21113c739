// Trainings by the fast recipe, as data, and their table.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/native.js';
import { percent, table } from '../tools/markdown.js';

/** One training on CIFAR-10, or its first epochs. */
export interface FastRun {
  readonly program: string;
  /** The program's version, or its commit. */
  readonly version: string;
  readonly cpu: string;
  readonly isa: string;
  readonly threads: number;
  readonly seed: number;
  /** Of the schedule. */
  readonly epochs: number;
  /** Of each epoch that was trained, the last one's test included. */
  readonly seconds: readonly number[];
  /** On the test images; absent where not all epochs were trained. */
  readonly top1?: number;
  /** Settings that were given beside the recipe's. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly date: string;
}

const path = join(packageRoot(), 'docs', 'fast.json');

export const readFastRuns = (): FastRun[] => JSON.parse(readFileSync(path, 'utf8')) as FastRun[];

/** A run of the same program, processor, seed and length replaces the earlier. */
const identity = (r: FastRun): string => JSON.stringify([r.program, r.cpu, r.isa, r.threads, r.seed, r.epochs]);

export function keepFastRun(run: FastRun): void {
  const runs = [...readFastRuns().filter(r => identity(r) !== identity(run)), run];
  writeFileSync(path, `${JSON.stringify(runs, null, 2)}\n`);
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const mean = (values: readonly number[]): number => sum(values) / values.length;

/** Minutes that all epochs take, from those that were trained. */
const minutes = (r: FastRun): number => (mean(r.seconds) * r.epochs) / 60;

/** Runs one by one, and the means of those of one program on one machine. */
export function fastTable(runs: readonly FastRun[]): string {
  if (runs.length === 0) return 'No training has been recorded yet.';
  const machines = [...new Set(runs.map(r => `${r.cpu}, ${r.isa}, ${r.threads} threads`))];
  return machines
    .map(machine => {
      const here = runs.filter(r => `${r.cpu}, ${r.isa}, ${r.threads} threads` === machine);
      const programs = [...new Set(here.map(r => r.program))];
      const lines = programs.flatMap(program => {
        const own = here.filter(r => r.program === program).sort((a, b) => a.seed - b.seed);
        const whole = own.filter(r => r.top1 !== undefined);
        const one = own.map(r => [
          ...[r.program, String(r.seed), `${r.seconds.length} of ${r.epochs}`, mean(r.seconds).toFixed(0)],
          ...[minutes(r).toFixed(1), percent(r.top1), r.date, `\`${r.version}\``],
        ]);
        if (whole.length < 2) return one;
        const accuracy = percent(mean(whole.map(r => r.top1!)));
        const means = [mean(own.map(r => mean(r.seconds))).toFixed(0), mean(own.map(minutes)).toFixed(1), accuracy];
        return [...one, [program, `mean of ${whole.length}`, '', ...means, '', ''].map(cell => cell && `**${cell}**`)];
      });
      const head = [
        'program',
        'seed',
        'epochs trained',
        's an epoch',
        'minutes in all',
        'test accuracy',
        'day',
        'version',
      ];
      return `### ${machine}\n\n${table(head, lines)}`;
    })
    .join('\n\n');
}
