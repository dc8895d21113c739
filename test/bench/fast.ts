// The fast recipe on CIFAR-10, beside the same in PyTorch: docs/fast.json has the runs, docs/fast.md shows them.
// `npm run bench:fast -- add RUN…` takes finished runs of dlcourse, `… torch` trains in PyTorch.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import { choice, option, whole } from '../../cli/values.js';
import { downloadedFolder } from '../../src/data/locations.js';
import { packageRoot } from '../../src/package.js';
import { fastRecipe } from '../../src/train/recipes.js';
import { files } from '../../src/train/run.js';
import { interpreter, pythonPath } from '../parity/python.js';
import { currentCommit } from '../tools/commit.js';
import { entryOf } from '../tools/training-runs.js';
import { type FastRun, keepFastRun } from './fast-runs.js';
import { machine, today } from './rows.js';

interface Epoch {
  readonly seconds: number;
  readonly accuracy?: number;
  readonly testSeconds?: number;
  readonly version: string;
}

interface AddOptions {
  readonly commit: string;
  readonly threads: number;
  readonly shared?: boolean;
}

/** Takes finished runs of `dlcourse train --recipe fast --data cifar10`. */
async function add(runs: readonly string[], { commit, threads, shared }: AddOptions): Promise<void> {
  for (const folder of runs) {
    const entry = await entryOf(folder, commit);
    const log = readFileSync(join(folder, files.log), 'utf8').trimEnd().split('\n');
    keep({
      ...{ program: 'dlcourse', version: commit, ...machine(threads, entry.isa), seed: entry.seed },
      ...{ epochs: entry.epochs, seconds: log.map(line => Number(JSON.parse(line).seconds)), date: entry.date },
      ...{ top1: entry.top1, settings: entry.settings, ...(shared && { shared }) },
    });
  }
}

interface TorchOptions {
  readonly epochs: number;
  readonly stop?: number;
  readonly seed: number;
  readonly threads: number;
  readonly layout: 'nchw' | 'nhwc';
  readonly shared?: boolean;
}

/** Trains in PyTorch; with `stop`, only the first epochs, for their time. */
async function torch({ epochs, stop = epochs, seed, threads, layout, shared }: TorchOptions): Promise<void> {
  const request = { data: downloadedFolder('cifar10'), epochs, stop, seed, threads, layout };
  const child = spawn(interpreter(), [join(packageRoot, 'test/bench/fast_torch.py'), JSON.stringify(request)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PYTHONPATH: pythonPath, PYTHONDONTWRITEBYTECODE: '1', OMP_NUM_THREADS: `${threads}` },
  });
  const done: Epoch[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const epoch = JSON.parse(line) as Epoch;
    done.push(epoch);
    console.log(`epoch ${done.length}/${epochs}  ${epoch.seconds.toFixed(0)} s`);
  }
  const last = done.at(-1);
  if (!last || done.length < stop) throw new Error(`fast_torch.py ended after ${done.length} of ${stop} epochs`);
  const top1 = last.accuracy === undefined ? {} : { top1: last.accuracy };
  keep({
    ...{ program: `PyTorch, ${layout.toUpperCase()}`, version: last.version, ...machine(threads) },
    ...{
      seed,
      epochs,
      seconds: done.map(e => e.seconds + (e.testSeconds ?? 0)),
      date: today(),
      ...top1,
      ...(shared && { shared }),
    },
  });
}

function keep(run: FastRun): void {
  keepFastRun(run);
  const minutes = run.seconds.reduce((a, b) => a + b, 0) / 60;
  const accuracy = run.top1 === undefined ? '' : `, ${(100 * run.top1).toFixed(2)} %`;
  console.log(`${run.program}, seed ${run.seed}: ${run.seconds.length} epochs in ${minutes.toFixed(1)} min${accuracy}`);
  console.log('now: npm run docs');
}

const sharedOption = ['--shared', 'other work ran meanwhile: the times say nothing'] as const;
const program = new Command('bench:fast').description('Records trainings by the fast recipe in docs/fast.json.');
program
  .command('add <runs...>')
  .description('adds finished runs of dlcourse')
  .option('--commit <hash>', 'version that trained', currentCommit())
  .addOption(option('--threads <n>', 'threads that trained', whole(1, 1024), 2))
  .option(...sharedOption)
  .action(add);
program
  .command('torch')
  .description('trains in PyTorch')
  .addOption(option('--epochs <n>', 'of the schedule', whole(1), fastRecipe.length))
  .addOption(option('--stop <n>', 'epochs that are trained (default: all)', whole(1)))
  .addOption(option('--seed <n>', 'of weights, order and augmentation', whole(0), 1))
  .addOption(option('--threads <n>', 'threads', whole(1, 1024), 2))
  .addOption(option('--layout <name>', 'order of dimensions', choice(['nchw', 'nhwc']), 'nhwc' as const))
  .option(...sharedOption)
  .action(torch);
await program.parseAsync();
