// Learning curves with Winograd's algorithm beside those of direct convolution: docs/curves.json has a run's epochs,
// docs/training.md the differences.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DlcourseError } from '../../src/errors.js';
import { packageRoot } from '../../src/package.js';
import type { EpochRecord } from '../../src/train/loop.js';
import { files } from '../../src/train/run.js';
import { listed, percent, table } from './markdown.js';
import { entryOf, type TrainingEntry } from './training-runs.js';

/** What one training showed, epoch by epoch. */
export interface LearningCurve {
  readonly network: string;
  readonly data: string;
  readonly seed: number;
  /** Every convolution direct, none by Winograd's algorithm. */
  readonly exact: boolean;
  readonly settings: TrainingEntry['settings'];
  readonly trainLoss: readonly number[];
  readonly testLoss: readonly number[];
  readonly top1: readonly number[];
  readonly isa: string;
  readonly commit: string;
}

const path = join(packageRoot, 'docs', 'curves.json');

export const readCurves = (): LearningCurve[] => JSON.parse(readFileSync(path, 'utf8')) as LearningCurve[];

export const writeCurves = (curves: readonly LearningCurve[]): void =>
  writeFileSync(path, `${JSON.stringify(curves, null, 2)}\n`);

/** What all curves must share to be compared. */
const task = ({ network, data, settings }: LearningCurve): string => JSON.stringify({ network, data, settings });

/**
 * With one curve more; it replaces that of the same seed and way. Throws E_RUN (class mismatch) where another network,
 * data set or setting was trained.
 */
export function withCurve(curves: readonly LearningCurve[], curve: LearningCurve): LearningCurve[] {
  const others = curves.filter(c => c.seed !== curve.seed || c.exact !== curve.exact);
  for (const other of others) {
    if (task(other) === task(curve)) continue;
    throw new DlcourseError({
      code: 'E_RUN',
      class: 'mismatch',
      where: `curve of seed ${curve.seed}`,
      problem: `expected ${task(other)} as of the other curves, got ${task(curve)}`,
      hint: 'train it with the same settings; only --seed and --exact may differ',
    });
  }
  return [...others, curve].sort((a, b) => a.seed - b.seed || Number(a.exact) - Number(b.exact));
}

/** The curve of a finished run that was tested after every epoch. Throws what entryOf throws. */
export async function curveOf(run: string, commit: string): Promise<LearningCurve> {
  const { network, data, seed, settings, isa } = await entryOf(run, commit);
  const lines = readFileSync(join(run, files.log), 'utf8').trim().split('\n');
  const epochs = lines.map(line => JSON.parse(line) as Required<EpochRecord>);
  const { exact = false, seed: _, ...others } = settings;
  return {
    ...{ network, data, seed, exact: exact === true, settings: others },
    trainLoss: epochs.map(e => e.train.loss),
    testLoss: epochs.map(e => e.test.loss),
    top1: epochs.map(e => e.test.top1),
    ...{ isa, commit },
  };
}

const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;
const spread = (values: readonly number[]): number => Math.max(...values) - Math.min(...values);

/**
 * Epoch by epoch, each way's mean over the seeds, how far these are apart, and how far apart the seeds of one way are:
 * the larger of both ways' ranges.
 */
export function curvesTable(curves: readonly LearningCurve[]): string {
  const fast = curves.filter(c => !c.exact);
  const exact = curves.filter(c => c.exact);
  const figures: [keyof LearningCurve & ('trainLoss' | 'testLoss' | 'top1'), string, (v: number) => string][] = [
    ['trainLoss', 'training loss', v => v.toFixed(4)],
    ['testLoss', 'test loss', v => v.toFixed(4)],
    ['top1', 'test accuracy', percent],
  ];
  const lines = figures.flatMap(([key, name, shown]) =>
    (fast[0]?.[key] ?? []).map((_, epoch) => {
      const [a, b] = [fast, exact].map(way => way.map(curve => curve[key][epoch]!)) as [number[], number[]];
      const values = [mean(a), mean(b), Math.abs(mean(a) - mean(b)), Math.max(spread(a), spread(b))];
      return [name, `${epoch + 1}`, ...values.map(shown)];
    }),
  );
  const head = ['figure', 'epoch', 'Winograd', 'direct', 'apart', 'range of seeds'];
  return (
    `${table(head, lines)}\n\n\`${listed(curves.map(c => c.network))}\` on ${listed(curves.map(c => c.data))}, ` +
    `seeds ${listed(fast.map(c => c.seed))} with Winograd, ${listed(exact.map(c => c.seed))} direct, ` +
    `${listed(curves.map(c => c.isa))}, version ${listed(curves.map(c => `\`${c.commit}\``))}.`
  );
}
