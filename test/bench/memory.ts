// What trainings say that they need beside what they take: `npm run bench:memory -- [NETWORK…]` trains the networks that
// are compared with peers, each in a fresh process (three steps and an evaluation on noise), and records the figures in
// docs/memory.json.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { noise } from '../../cli/bench/timing.js';
import { Ui } from '../../cli/ui.js';
import { choice, option, text, whole } from '../../cli/values.js';
import { native } from '../../src/native.js';
import { Store } from '../../src/runtime/program.js';
import { ArraySource } from '../../src/train/inputs.js';
import { makeRecipe } from '../../src/train/recipe.js';
import { Training } from '../../src/train/training.js';
import { buildNetwork, type Form } from '../../src/zoo/zoo.js';
import { main } from './main.js';
import { keepMemoryRow, type MemoryTrial } from './memory-rows.js';
import { digits, machine, stamp } from './rows.js';
import { type Subject, subjectsOf } from './subjects.js';

interface Options {
  readonly form?: Form;
  readonly threads: number;
  readonly checkpointActivations: boolean;
  /** In a process of its own: the subject as JSON. */
  readonly trial?: string;
}

async function trial({ network, form, input, classes, batch }: Subject, options: Options): Promise<MemoryTrial> {
  const { threads, checkpointActivations } = options;
  const [height, width, channels] = input;
  const labels = Int32Array.from({ length: batch }, (_, i) => i % classes);
  const source = new ArraySource(noise(batch * height * width * channels), [height, width, channels], labels);
  native();
  const before = process.memoryUsage.rss();
  const model = await buildNetwork(network, [height, width, channels], classes, { form, auxiliary: true });
  const recipe = makeRecipe({ batchSize: batch, epochs: 3, lr: 1e-4, threads, checkpointActivations });
  const training = new Training({ model, store: new Store(), recipe, train: source, test: source });
  let seconds = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) {
    const begin = performance.now();
    await training.step();
    seconds = Math.min(seconds, (performance.now() - begin) / 1000);
    training.endEpoch();
  }
  await training.evaluate();
  return {
    stated: training.memoryBytes,
    engine: native().info().peakBytes,
    process: process.resourceUsage().maxRSS * 1024 - before,
    seconds: digits(seconds),
  };
}

async function apart(subject: Subject, { threads, checkpointActivations }: Options): Promise<MemoryTrial> {
  const args = ['--trial', JSON.stringify(subject), '--threads', `${threads}`];
  if (checkpointActivations) args.push('--checkpoint-activations');
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(import.meta.url), ...args]);
  return JSON.parse(stdout) as MemoryTrial;
}

async function run(names: readonly string[], options: Options): Promise<void> {
  if (options.trial !== undefined) {
    console.log(JSON.stringify(await trial(JSON.parse(options.trial) as Subject, options)));
    return;
  }
  const ui = new Ui();
  const { threads, checkpointActivations } = options;
  for (const subject of await subjectsOf(names, options.form)) {
    const { network, form, input, batch } = subject;
    const what = `${network}, ${batch} × ${input.join('×')}`;
    ui.live(() => what, true);
    const found = await apart(subject, options);
    const { stated, process } = found;
    keepMemoryRow({
      ...machine(threads),
      ...{ network, form, input, batch, checkpointActivations },
      ...found,
      ...stamp(),
    });
    const [said, taken] = [stated, process].map(bytes => (bytes / 2 ** 20).toFixed(0));
    ui.print(`${what}: ${said} MiB stated, ${taken} taken`);
  }
  ui.print('now: npm run docs');
}

await main(
  new Command('bench:memory')
    .description('Compares the memory that trainings state with what they take, and records it in docs/memory.json.')
    .argument('[models...]', 'networks (default: those of docs/benchmarks.md)')
    .addOption(option('--form <name>', 'only cifar or imagenet', choice(['cifar', 'imagenet'])))
    .addOption(option('--threads <n>', 'threads', whole(1, 1024), 2))
    .option('--checkpoint-activations', 'train with less memory, in more time; recorded in rows of their own', false)
    .addOption(option('--trial <subject>', 'one training, in this process', text).hideHelp())
    .action(run),
);
