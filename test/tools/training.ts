// Records trainings in docs/training.json: `npm run training-table -- add RUN…`, then `… bench` when nothing else runs;
// and learning curves in docs/curves.json: `… curves RUN…`.

import { execFileSync } from 'node:child_process';
import { Command } from 'commander';
import type { ModelBench } from '../../cli/bench/model.js';
import { DlcourseError } from '../../src/errors.js';
import { cliPath } from '../cli/dlcourse.js';
import { currentCommit } from './commit.js';
import { curveOf, readCurves, withCurve, writeCurves } from './learning-curves.js';
import { entryOf, readTrainings, type TrainingEntry, withEntry, writeTrainings } from './training-runs.js';

async function add(runs: readonly string[], commit: string): Promise<void> {
  for (const run of runs) {
    const entry = await entryOf(run, commit);
    writeTrainings(withEntry(readTrainings(), entry));
    console.log(`${entry.network} on ${entry.data}: ${(100 * entry.top1).toFixed(2)} %`);
  }
  console.log('now: npm run docs');
}

/** Each network in a process of its own; entries that have a speed are left out unless all are asked for. */
function bench(networks: readonly string[], all: boolean): void {
  for (const entry of readTrainings()) {
    const wanted = networks.length > 0 ? networks.includes(entry.network) : all || !entry.speed;
    if (!wanted) continue;
    const found = measured(entry);
    const speed = { imagesPerSecond: found.imagesPerSecond, threads: found.threads, peakGflops: found.peakGflops };
    writeTrainings(readTrainings().map(e => (JSON.stringify(e) === JSON.stringify(entry) ? { ...e, speed } : e)));
    console.log(`${entry.network}: ${found.imagesPerSecond.toFixed(1)} images/s`);
  }
  console.log('now: npm run docs');
}

function measured({ network, form, input, batchSize }: TrainingEntry): ModelBench {
  const size = input.slice(0, 2).join('x');
  const args = ['--model', network, '--form', form, '--input', size, '--batch-size', `${batchSize}`];
  const command = ['bench', ...args, '--mode', 'train', '--repeats', '5', '--json'];
  return JSON.parse(execFileSync(process.execPath, [cliPath, ...command], { encoding: 'utf8' }));
}

const program = new Command('training-table').description(
  'Records trainings in docs/training.json and docs/curves.json.',
);
program
  .command('add <runs...>')
  .description('adds finished runs; one of the same network, data and settings replaces the earlier')
  .option('--commit <hash>', 'version that trained (default: the present one)')
  .action((runs: string[], { commit }: { commit?: string }) => add(runs, commit ?? currentCommit()));
program
  .command('curves <runs...>')
  .description('adds finished runs, some with --exact, to the learning curves that are compared')
  .option('--commit <hash>', 'version that trained (default: the present one)')
  .action(async (runs: string[], { commit }: { commit?: string }) => {
    for (const run of runs) writeCurves(withCurve(readCurves(), await curveOf(run, commit ?? currentCommit())));
    console.log('now: npm run docs');
  });
program
  .command('bench [networks...]')
  .description('measures the speed of training steps (default: of entries that have none)')
  .option('--all', 'of all entries')
  .action((networks: string[], { all = false }: { all?: boolean }) => bench(networks, all));

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof DlcourseError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
