// Where training steps spend their time: `npm run bench:profiles -- [NETWORK…]` profiles the networks that are compared
// with peers, and records the figures in docs/profiles.json.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Command } from 'commander';
import type { ModelBench } from '../../cli/bench/model.js';
import { Ui } from '../../cli/ui.js';
import { choice, option, text, whole } from '../../cli/values.js';
import type { Form } from '../../src/zoo/zoo.js';
import { cliPath } from '../cli/dlcourse.js';
import { main } from './main.js';
import { keepProfile, type Part } from './profile-rows.js';
import { digits, machine, stamp } from './rows.js';
import { type Subject, subjectsOf } from './subjects.js';

interface Options {
  form?: Form;
  isa?: string;
  threads: number;
  repeats: number;
}

/** In a process of its own, as a user would measure it. */
async function profiled({ network, form, input, batch }: Subject, options: Options): Promise<ModelBench> {
  const { isa, threads, repeats } = options;
  const size = { input: `${input[0]}x${input[1]}`, 'batch-size': batch };
  const what = { model: network, form, ...size, threads, repeats, ...(isa ? { isa } : {}) };
  const args = Object.entries(what).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const { stdout } = await promisify(execFile)(process.execPath, [cliPath, 'bench', ...args, '--profile', '--json'], {
    maxBuffer: 2 ** 26,
  });
  return JSON.parse(stdout) as ModelBench;
}

function keep({ network, form, input, batch }: Subject, { isa, threads, peakGflops, profile }: ModelBench): void {
  const { total, roofline, bandwidthGBps, ops } = profile!;
  const parts = ops.map(
    ({ name, share, percentOfRoofline, percentOfPeak }): Part => ({
      ...{ name, share: digits(share), percentOfRoofline: digits(percentOfRoofline) },
      ...(percentOfPeak === undefined ? {} : { percentOfPeak: digits(percentOfPeak) }),
    }),
  );
  keepProfile({
    ...machine(threads, isa),
    ...{ network, form, input, batch },
    ...{ peakGflops: digits(peakGflops), bandwidthGBps: digits(bandwidthGBps) },
    ...{ milliseconds: digits(total), roofline: digits(roofline) },
    parts: parts.filter(part => part.share >= 0.01).sort((a, b) => b.share - a.share),
    ...stamp(),
  });
}

async function run(names: readonly string[], options: Options): Promise<void> {
  const ui = new Ui();
  for (const subject of await subjectsOf(names, options.form)) {
    const what = `${subject.network}, ${subject.input.join('×')}`;
    ui.live(() => what, true);
    const found = await profiled(subject, options);
    keep(subject, found);
    const { total, roofline } = found.profile!;
    ui.print(`${what}: ${total.toFixed(1)} ms, at the roofline ${roofline.toFixed(1)} ms`);
  }
  ui.print('now: npm run docs');
}

await main(
  new Command('bench:profiles')
    .description("Profiles networks' training steps, and records the figures in docs/profiles.json.")
    .argument('[models...]', 'networks (default: those of docs/benchmarks.md)')
    .addOption(option('--form <name>', 'only cifar or imagenet', choice(['cifar', 'imagenet'])))
    .addOption(option('--isa <name>', 'instruction set (default: the best of the machine)', text))
    .addOption(option('--threads <n>', 'threads', whole(1, 1024), 2))
    .addOption(option('--repeats <n>', 'measurements of each step; the best counts', whole(1, 100_000), 7))
    .action(run),
);
