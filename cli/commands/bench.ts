// dlcourse bench: speed of kernels and networks, beside the peak of the processor measured in the same run.

import { Command } from 'commander';
import { DlcourseError } from '../../src/errors.js';
import type { ModelBench, ProfileRow } from '../bench/model.js';
import { examples } from '../examples.js';
import { bytes, integer, table, Ui } from '../ui.js';
import { choice, exactHelp, option, size, text, whole, yes } from '../values.js';

interface Options {
  kernels?: boolean;
  model?: string;
  input?: [number, number];
  form?: 'cifar' | 'imagenet';
  batchSize: number;
  mode: 'train' | 'infer';
  threads?: number;
  repeats: number;
  exact?: boolean;
  profile?: boolean;
  json?: boolean;
}

export const bench = (): Command =>
  new Command('bench')
    .description('Measures convolutions and a matrix product (--kernels, the default), or a network (--model).')
    .addHelpText(
      'before',
      examples(
        'dlcourse bench --threads 2',
        'dlcourse bench --model resnet18 --mode train --profile',
        'dlcourse bench --model resnet18 --mode infer',
      ),
    )
    .option('--kernels', 'measure the kernels')
    .addOption(option('--model <name>', 'measure this network', text))
    .addOption(option('--input <size>', 'pixels of an image (default: as in the paper)', size))
    .addOption(option('--form <name>', 'cifar or imagenet (default: by size)', choice(['cifar', 'imagenet'])))
    .addOption(option('--batch-size <n>', 'images at a time', whole(1, 65_536), 64))
    .addOption(
      option('--mode <mode>', 'train, or infer: also the time of one image alone', choice(['train', 'infer']), 'train'),
    )
    .addOption(option('--threads <n>', 'threads (default: all)', whole(1, 1024)))
    .addOption(option('--repeats <n>', 'measurements of each; the best counts', whole(1, 100_000), 20))
    .addOption(option('--exact [yes]', exactHelp, yes))
    .option('--profile', "with --model: each op's and each layer's share of the time")
    .option('--json', 'print one JSON object')
    .action(async (options: Options) => {
      const { defaultThreads } = await import('../../src/runtime/program.js');
      const ui = new Ui(options);
      if (options.kernels && options.model) throw either();
      const threads = options.threads ?? defaultThreads();
      if (options.model) {
        const { benchModel } = await import('../bench/model.js');
        const { model, input, form, batchSize, mode, repeats, profile = false, exact = false } = options;
        const found = await benchModel({
          ...{ model, batchSize, mode, repeats, profile, threads, exact },
          ...(input ? { input } : {}),
          ...(form ? { form } : {}),
        });
        printModel(ui, found);
        ui.result(found);
        return;
      }
      const { benchKernels } = await import('../bench/kernels.js');
      const { batchSize, repeats, exact = false } = options;
      const onRow = (done: number, total: number) => ui.live(() => `${done} of ${total} kernels measured`);
      const found = await benchKernels({ batchSize, threads, repeats, exact, onRow });
      ui.print(ui.colors.bold(`${found.isa}, ${threads} threads, FMA peak ${found.peakGflops.toFixed(1)} GFLOP/s`));
      const lines = found.kernels.map(k => [k.op, k.shape, k.pass, k.gflops.toFixed(1), k.percentOfPeak.toFixed(1)]);
      for (const line of table([['op', 'shape', 'pass', 'GFLOP/s', '% of peak'], ...lines], ui.colors.bold))
        ui.print(line);
      ui.result(found);
    });

const either = (): DlcourseError =>
  new DlcourseError({
    code: 'E_OPTION',
    class: 'usage',
    where: 'bench',
    problem: 'expected --kernels or --model, got both',
    hint: 'leave one out',
  });

function printModel(ui: Ui, found: ModelBench): void {
  const { bold } = ui.colors;
  const what = found.mode === 'train' ? 'training' : 'inference';
  ui.print(
    bold(
      `${found.model}, ${what}, ${found.batchSize} × ${found.input.join('×')}, ${found.isa}, ${found.threads} threads`,
    ),
  );
  ui.print(`  ${found.imagesPerSecond.toFixed(1)} images/s (median ${found.medianImagesPerSecond.toFixed(1)})`);
  if (found.latency) {
    const { medianMilliseconds, p95Milliseconds, runs } = found.latency;
    ui.print(
      `  ${medianMilliseconds.toFixed(2)} ms for one image alone (median of ${integer(runs)} runs; ` +
        `95 % took at most ${p95Milliseconds.toFixed(2)} ms)`,
    );
  }
  ui.print(`  ${found.percentOfPeak.toFixed(1)} % of the FMA peak of ${found.peakGflops.toFixed(1)} GFLOP/s`);
  ui.print(`  ${bytes(found.peakMemoryBytes)} of memory at most, ${bytes(found.arenaBytes)} of it intermediate values`);
  if (!found.profile) return;
  ui.print(`  ${found.profile.total.toFixed(1)} ms if every step of the plan took its best time`);
  for (const [heading, list, most] of [
    ['op', found.profile.ops, 40],
    ['layer', found.profile.layers, 25],
    ['step', found.profile.steps, 25],
  ] as const) {
    ui.print();
    for (const line of table(profileTable(heading, list.slice(0, most)), bold)) ui.print(line);
    if (list.length > most) ui.print(`… ${list.length - most} more`);
  }
}

function profileTable(heading: string, list: readonly ProfileRow[]): string[][] {
  return [
    [heading, 'steps', 'ms', 'share', 'GFLOP/s', '% of peak'],
    ...list.map(row => [
      row.name,
      integer(row.steps),
      row.milliseconds.toFixed(3),
      `${(100 * row.share).toFixed(1)} %`,
      row.gflops?.toFixed(1) ?? '',
      row.percentOfPeak?.toFixed(1) ?? '',
    ]),
  ];
}
