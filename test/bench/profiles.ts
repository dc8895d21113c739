// Where training steps spend their time: `npm run bench:profiles -- [NETWORK…]` profiles the networks that are compared
// with peers, and records the figures in docs/profiles.json.

import { execFile } from 'node:child_process';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ModelBench } from '../../cli/bench/model.js';
import { packageRoot } from '../../src/native.js';
import { currentCommit } from '../tools/training-runs.js';
import { keepProfile, type Part } from './profile-rows.js';
import { type Subject, subjectsOf } from './subjects.js';

const THREADS = 2;
const REPEATS = 7;

/** In a process of its own, as a user would measure it. */
async function profiled({ network, form, input, batch }: Subject): Promise<ModelBench> {
  const options = { model: network, form, input: `${input[0]}x${input[1]}`, 'batch-size': batch, threads: THREADS };
  const args = Object.entries({ ...options, repeats: REPEATS }).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const program = join(packageRoot(), 'dist/cli/index.js');
  const { stdout } = await promisify(execFile)(process.execPath, [program, 'bench', ...args, '--profile', '--json'], {
    maxBuffer: 2 ** 26,
  });
  return JSON.parse(stdout) as ModelBench;
}

const digits = (value: number): number => Number(value.toPrecision(4));

for (const subject of await subjectsOf(process.argv.slice(2))) {
  const { isa, threads, peakGflops, profile } = await profiled(subject);
  const { total, roofline, bandwidthGBps, ops } = profile!;
  const parts = ops.map(
    ({ name, share, percentOfRoofline, percentOfPeak }): Part => ({
      ...{ name, share: digits(share), percentOfRoofline: digits(percentOfRoofline) },
      ...(percentOfPeak === undefined ? {} : { percentOfPeak: digits(percentOfPeak) }),
    }),
  );
  const { network, form, input, batch } = subject;
  keepProfile({
    ...{ cpu: cpus()[0]!.model.trim(), isa, threads, network, form, input, batch },
    ...{ peakGflops: digits(peakGflops), bandwidthGBps: digits(bandwidthGBps) },
    ...{ milliseconds: digits(total), roofline: digits(roofline) },
    parts: parts.filter(part => part.share >= 0.01).sort((a, b) => b.share - a.share),
    ...{ date: new Date().toISOString().slice(0, 10), version: currentCommit() },
  });
  console.log(`${network}, ${input.join('×')}: ${total.toFixed(1)} ms, at the roofline ${roofline.toFixed(1)} ms`);
}
console.log('now: npm run docs');
