// How near kernels come to what the machine allows: `npm run bench:kernels` runs `dlcourse bench --kernels` some times,
// and records the best of each kernel in docs/kernels.json.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Command } from 'commander';
import type { KernelBench } from '../../cli/bench/kernels.js';
import { Ui } from '../../cli/ui.js';
import { option, text, whole } from '../../cli/values.js';
import { cliPath } from '../cli/dlcourse.js';
import { bestOf, keepKernelResult } from './kernel-rows.js';
import { main } from './main.js';
import { machine, stamp } from './rows.js';

interface Options {
  readonly runs: number;
  readonly repeats: number;
  readonly batchSize: number;
  readonly threads: number;
  readonly isa?: string;
  readonly exact: boolean;
}

/** In a process of its own, as a user would measure it. */
async function measured({ repeats, batchSize, threads, isa, exact }: Options): Promise<KernelBench> {
  const what = { repeats, 'batch-size': batchSize, threads, ...(isa ? { isa } : {}), exact };
  const args = Object.entries(what).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const { stdout } = await promisify(execFile)(process.execPath, [cliPath, 'bench', '--kernels', ...args, '--json']);
  return JSON.parse(stdout) as KernelBench;
}

async function run(options: Options): Promise<void> {
  const ui = new Ui();
  const runs: KernelBench[] = [];
  while (runs.length < options.runs) {
    ui.live(() => `run ${runs.length + 1} of ${options.runs}`, true);
    runs.push(await measured(options));
  }
  ui.clear();
  const { isa, threads } = runs[0]!;
  for (const best of bestOf(runs)) {
    keepKernelResult({ ...machine(threads, isa), ...best, ...stamp() });
    const shares = Object.entries(best.passes).map(([pass, f]) => `${pass} ${f.percentOfPeak.toFixed(0)} %`);
    ui.print(`${best.op} ${best.shape}${best.exact ? ', exact' : ''}: ${shares.join(', ')}`);
  }
  ui.print('now: npm run docs');
}

await main(
  new Command('bench:kernels')
    .description('Measures kernels, and records the best figures of each in docs/kernels.json.')
    .addOption(option('--runs <n>', 'processes that measure; the best of each kernel counts', whole(1, 1000), 10))
    .addOption(option('--repeats <n>', 'measurements of each kernel in a process', whole(1, 100_000), 20))
    .addOption(option('--batch-size <n>', 'images at a time', whole(1, 65_536), 64))
    .addOption(option('--threads <n>', 'threads', whole(1, 1024), 2))
    .addOption(option('--isa <name>', 'instruction set (default: the best of the machine)', text))
    .option('--exact', 'without Winograd; only what that changes is recorded, in rows of its own', false)
    .action(run),
);
