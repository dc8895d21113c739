// dlcourse bench: speed of kernels and networks, beside the peak of the processor measured in the same run.

import { Command } from 'commander';
import { DlcourseError } from '../../src/errors.js';
import type { Bench, ComparisonTable } from '../bench/compare.js';
import type { KernelBench } from '../bench/kernels.js';
import type { ModelBench } from '../bench/model.js';
import type { ProfileRow } from '../bench/profile.js';
import { examples } from '../examples.js';
import { bytes, integer, table, Ui } from '../ui.js';
import { choice, exactHelp, option, size, text, whole, yes } from '../values.js';

interface Options {
  kernels?: boolean;
  model?: string;
  input?: [number, number];
  form?: 'cifar' | 'imagenet';
  batchSize?: number;
  mode?: 'train' | 'infer';
  threads?: number;
  isa?: string;
  repeats: number;
  exact?: boolean;
  checkpointActivations?: boolean;
  profile?: boolean;
  compare?: string;
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
        'dlcourse bench --model resnet18 --profile --json > old.json',
        'dlcourse bench --compare old.json',
      ),
    )
    .option('--kernels', 'measure the kernels')
    .addOption(option('--model <name>', 'measure this network', text))
    .addOption(option('--input <size>', 'pixels of an image (default: as in the paper)', size))
    .addOption(option('--form <name>', 'cifar or imagenet (default: by size)', choice(['cifar', 'imagenet'])))
    .addOption(option('--batch-size <n>', 'images at a time (default: 64)', whole(1, 65_536)))
    .addOption(
      option(
        '--mode <mode>',
        'train, or infer: also the time of one image alone (default: train)',
        choice(['train', 'infer']),
      ),
    )
    .addOption(option('--threads <n>', 'threads (default: all)', whole(1, 1024)))
    .addOption(option('--isa <name>', 'instruction set (default: the best of the machine)', text))
    .addOption(option('--repeats <n>', 'measurements of each; the best counts', whole(1, 100_000), 20))
    .addOption(option('--exact [yes]', exactHelp, yes))
    .option('--checkpoint-activations', 'with --mode train: less memory, more time, the same numbers')
    .option('--profile', "with --model: each op's, layer's and step's time beside the roofline")
    .addOption(
      option('--compare <file>', 'measure again what --json wrote into this file, and show what has changed', text),
    )
    .option('--json', 'print one JSON object')
    .action(async (options: Options) => {
      const ui = new Ui(options);
      if (options.kernels && options.model) throw either();
      if (options.compare === undefined) {
        const found = await measure(ui, options);
        print(ui, found);
        ui.result(found);
        return;
      }
      const { compare, readBench } = await import('../bench/compare.js');
      const old = readBench(options.compare);
      const found = await measure(ui, await as(old, options));
      const comparison = compare(options.compare, old, found);
      printComparison(ui, old, found, comparison);
      ui.result({ ...found, comparison });
    });

async function measure(ui: Ui, options: Options): Promise<Bench> {
  const { defaultThreads } = await import('../../src/runtime/program.js');
  const { model, input, form, batchSize = 64, mode = 'train', repeats, profile = false, exact = false, isa } = options;
  const { checkpointActivations = false } = options;
  if (isa !== undefined) await refuseIsa(isa);
  const threads = options.threads ?? defaultThreads();
  const shared = { batchSize, threads, repeats, exact, ...(isa ? { isa } : {}) };
  if (model === undefined) {
    const { benchKernels } = await import('../bench/kernels.js');
    const onRow = (done: number, total: number) => ui.live(() => `${done} of ${total} kernels measured`);
    return benchKernels({ ...shared, onRow });
  }
  const { benchModel } = await import('../bench/model.js');
  const what = { model, mode, profile, checkpointActivations };
  return benchModel({ ...shared, ...what, ...(input ? { input } : {}), ...(form ? { form } : {}) });
}

/** The options with those of an earlier benchmark where nothing is said. */
async function as(old: Bench, options: Options): Promise<Options> {
  const { isKernelBench } = await import('../bench/compare.js');
  const { threads, batchSize, isa, exact } = old;
  const how = { threads, batchSize, isa, exact };
  if (isKernelBench(old)) return { ...how, ...options };
  const { model, form, mode, checkpointActivations } = old;
  const [height, width] = old.input as [number, number, number];
  const what = options.kernels
    ? {}
    : { model, form, mode, checkpointActivations, input: [height, width] as [number, number] };
  return { ...how, ...what, profile: old.profile !== undefined, ...options };
}

async function refuseIsa(isa: string): Promise<void> {
  const { native } = await import('../../src/native.js');
  const { isas } = native().info();
  if (isas.includes(isa)) return;
  const problem = `expected one of ${isas.join(', ')}, which this machine has, got '${isa}'`;
  throw new DlcourseError({ code: 'E_ISA', class: 'usage', where: '--isa', problem, hint: 'choose one of them' });
}

const either = (): DlcourseError =>
  new DlcourseError({
    code: 'E_OPTION',
    class: 'usage',
    where: 'bench',
    problem: 'expected --kernels or --model, got both',
    hint: 'leave one out',
  });

const print = (ui: Ui, found: Bench): void => ('kernels' in found ? printKernels(ui, found) : printModel(ui, found));

function printKernels(ui: Ui, found: KernelBench): void {
  const { bold } = ui.colors;
  const { peakGflops, bandwidthGBps } = found;
  const machine = `FMA peak ${peakGflops.toFixed(1)} GFLOP/s, memory ${bandwidthGBps.toFixed(1)} GB/s`;
  ui.print(bold(`${how(found)}, ${machine}`));
  const lines = found.kernels.map(({ op, shape, pass, gflops, percentOfPeak, percentOfRoofline }) => [
    ...[op, shape, pass, ...[gflops, percentOfPeak, percentOfRoofline].map(n => n.toFixed(1))],
  ]);
  const head = ['op', 'shape', 'pass', 'GFLOP/s', '% of peak', '% of roofline'];
  for (const line of table([head, ...lines], bold)) ui.print(line);
}

/** What may differ between benchmarks that are compared. */
function how(found: Bench): string {
  const { isa, threads, exact } = found;
  const checkpoints = 'checkpointActivations' in found && found.checkpointActivations;
  return [
    ...[isa, `${threads} ${threads === 1 ? 'thread' : 'threads'}`],
    ...(exact ? ['exact'] : []),
    ...(checkpoints ? ['activations checkpointed'] : []),
  ].join(', ');
}

function printModel(ui: Ui, found: ModelBench): void {
  const { bold } = ui.colors;
  const what = found.mode === 'train' ? 'training' : 'inference';
  ui.print(bold(`${found.model}, ${what}, ${found.batchSize} × ${found.input.join('×')}, ${how(found)}`));
  ui.print(`  ${found.imagesPerSecond.toFixed(1)} images/s (median ${found.medianImagesPerSecond.toFixed(1)})`);
  if (found.latency) {
    const { medianMilliseconds, p95Milliseconds, runs } = found.latency;
    ui.print(
      `  ${medianMilliseconds.toFixed(2)} ms for one image alone (median of ${integer(runs)} runs; ` +
        `95 % took at most ${p95Milliseconds.toFixed(2)} ms)`,
    );
  }
  ui.print(`  ${found.percentOfPeak.toFixed(1)} % of the FMA peak of ${found.peakGflops.toFixed(1)} GFLOP/s`);
  const { memoryBytes, arenaBytes, peakMemoryBytes } = found;
  ui.print(
    `  ${bytes(memoryBytes)} of memory, ${bytes(arenaBytes)} of it intermediate values; the process had ${bytes(peakMemoryBytes)}`,
  );
  if (!found.profile) return;
  const { total, roofline, bandwidthGBps } = found.profile;
  ui.print(`  ${total.toFixed(1)} ms if every step of the plan took its best time`);
  ui.print(`  ${roofline.toFixed(1)} ms at the roofline: that peak, and ${bandwidthGBps.toFixed(1)} GB/s of memory`);
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
    [heading, 'steps', 'ms', 'share', 'GFLOP/s', 'moved', '% of roofline', 'ms beyond'],
    ...list.map(row => [
      row.name,
      integer(row.steps),
      row.milliseconds.toFixed(3),
      `${(100 * row.share).toFixed(1)} %`,
      row.gflops?.toFixed(1) ?? '',
      bytes(row.bytes),
      row.percentOfRoofline.toFixed(1),
      row.millisecondsBeyond.toFixed(3),
    ]),
  ];
}

const MOST = 25;

function printComparison(ui: Ui, old: Bench, found: Bench, tables: readonly ComparisonTable[]): void {
  const { bold } = ui.colors;
  const what = 'kernels' in found ? 'kernels' : `${found.model}, ${found.mode}`;
  ui.print(bold(`${what}: ${how(old)} before, ${how(found)} now; a ratio above 1 is better`));
  for (const { what, unit, rows } of tables) {
    const heading = [what, ...['old', 'new'].map(column => [column, unit].filter(Boolean).join(', ')), 'ratio'];
    const lines = rows
      .slice(0, MOST)
      .map(r => [r.name, ...[r.old, r.new, r.ratio].map(n => (n === null ? '–' : n.toFixed(3)))]);
    ui.print();
    for (const line of table([heading, ...lines], bold)) ui.print(line);
    if (rows.length > MOST) ui.print(`… ${rows.length - MOST} more`);
  }
}
