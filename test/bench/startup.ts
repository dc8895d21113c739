// How long commands take from the shell, `dlcourse predict` beside others that do the same, and beside Node that does
// nothing: `npm run bench:startup`. Every trial is a fresh process, files are warm. The figures go to docs/startup.json.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import sharp from 'sharp';
import { summarise } from '../../cli/bench/timing.js';
import { Ui } from '../../cli/ui.js';
import { option, text, whole } from '../../cli/values.js';
import type { LayoutName } from '../../src/io/layouts/layout.js';
import { exportModel } from '../../src/models/export.js';
import { type LoadedModel, loadModel } from '../../src/models/file.js';
import { native } from '../../src/native.js';
import { packageRoot } from '../../src/package.js';
import { cliPath } from '../cli/dlcourse.js';
import type { Input } from '../parity/pair.js';
import { interpreter, Python } from '../parity/python.js';
import { main } from './main.js';
import { digits, machine, stamp } from './rows.js';
import { type CommandTimes, keepStartupRow, timesTable } from './startup-rows.js';

interface Options {
  readonly weights: string;
  readonly picture: string;
  readonly trials: number;
  readonly threads: number;
  readonly torch: boolean;
  /** The folder that has onnxruntime-node. */
  readonly onnxruntime?: string;
}

interface Timed {
  readonly name: string;
  readonly line: readonly string[];
  /** Whether it must give the answer of `dlcourse predict`. */
  readonly predicts?: boolean;
}

const shipped = join(packageRoot, 'datasets', 'weights', 'cifar10-resnet20.safetensors');
const drawing = join(packageRoot, 'docs', 'stickers.webp');
const torchProgram = join(packageRoot, 'test/bench/startup_torch.py');
/** What every program in Node that reads a picture with sharp takes at least. */
const decoding = `require(${JSON.stringify(createRequire(import.meta.url).resolve('sharp'))})(process.argv[1]).raw().toBuffer()`;
const onnxProgram = fileURLToPath(new URL('startup_onnxruntime.js', import.meta.url));

/** Milliseconds and output of one run. Throws when it fails: its time would mean nothing. */
function time([program, ...args]: readonly string[], threads: number): { elapsed: number; stdout: string } {
  // Reading more certificates takes every Node longer to start, whatever it does then.
  const { NODE_EXTRA_CA_CERTS: _, ...inherited } = process.env;
  const env = { ...inherited, DLCOURSE_THREADS: `${threads}`, OMP_NUM_THREADS: `${threads}` };
  const begin = performance.now();
  const { status, stdout, stderr } = spawnSync(program!, args, { env, encoding: 'utf8' });
  const elapsed = performance.now() - begin;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ended with ${status}\n${stderr}`);
  return { elapsed, stdout };
}

/** Writes what the peers load into the folder, and returns PyTorch's version. */
async function makeModels(loaded: LoadedModel, folder: string): Promise<string> {
  const { model, card } = loaded;
  const weights = join(folder, 'weights.pth');
  const { form } = await exportModel(weights, loaded, { format: 'pytorch' });
  if (!form) throw new Error(`${model.name}: expected a network of the zoo, for only those are known to the peers`);
  const python = new Python();
  try {
    const network = { network: model.name, form };
    const { layout } = await python.ask<{ layout: LayoutName | 'own' }>({ asked: 'shapes', ...network });
    const names = layout === 'own' ? 'dlcourse' : layout;
    const { background } = await exportModel(weights, loaded, { format: 'pytorch', layout: names });
    const classes = [...(background ? ['background'] : []), ...card.classes];
    const { preprocessing } = card;
    writeFileSync(join(folder, 'card.json'), JSON.stringify({ classes, preprocessing }));
    const size = { classes: classes.length, side: model.inputShape()[0] };
    return (await python.ask<{ torch: string }>({ asked: 'export', ...network, ...size, folder })).torch;
  } finally {
    python.end();
  }
}

async function peers({ torch, onnxruntime, picture, threads }: Options, model: LoadedModel, folder: string) {
  if (!torch && onnxruntime === undefined) return [];
  const version = await makeModels(model, folder);
  const timed: Timed[] = [];
  const what = (name: string): string[] => [join(folder, name), join(folder, 'card.json'), picture];
  if (torch) timed.push({ name: `PyTorch ${version}`, line: [interpreter(), torchProgram, ...what('model.pt')] });
  if (onnxruntime !== undefined) {
    const found = createRequire(join(resolve(onnxruntime), 'package.json'))('onnxruntime-node/package.json');
    const line = [process.execPath, onnxProgram, ...what('model.onnx'), onnxruntime, `${threads}`];
    timed.push({ name: `onnxruntime-node ${(found as { version: string }).version}`, line });
  }
  return timed.map(one => ({ ...one, predicts: true }));
}

async function run(options: Options): Promise<void> {
  const { weights, picture, trials, threads } = options;
  const ui = new Ui();
  const folder = mkdtempSync(join(tmpdir(), 'dlcourse-startup-'));
  try {
    const loaded = await loadModel(weights);
    const predict = [process.execPath, cliPath, 'predict', picture, '--weights', weights];
    const timed: Timed[] = [
      { name: '`node -e 0`', line: [process.execPath, '-e', '0'] },
      { name: 'sharp alone, decoding', line: [process.execPath, '-e', decoding, picture] },
      { name: '`dlcourse --help`', line: [process.execPath, cliPath, '--help'] },
      { name: '`dlcourse predict`', line: predict },
      ...(await peers(options, loaded, folder)),
    ];
    const { images } = JSON.parse(time([...predict, '--json'], threads).stdout);
    const { label } = images[0].predictions[0] as { label: string };
    for (const { name, line, predicts } of timed) {
      const { stdout } = time(line, threads);
      if (predicts && !stdout.startsWith(`${label}  `))
        throw new Error(`${name}: expected the answer '${label}', got '${stdout.split('\n')[0]}'`);
    }
    // Interleaved, so that what else the machine does meets all of them.
    const times = timed.map((): number[] => []);
    for (let trial = 0; trial < trials; trial++) {
      ui.live(() => `trial ${trial + 1} of ${trials}`, true);
      timed.forEach(({ line }, i) => {
        times[i]!.push(time(line, threads).elapsed);
      });
    }
    ui.clear();
    const commands = timed.map(({ name }, i): CommandTimes => {
      const { median, best, p95 } = summarise(times[i]!);
      return { command: name, median: digits(median), best: digits(best), p95: digits(p95) };
    });
    const { width, height, format } = await sharp(picture).metadata();
    keepStartupRow({
      ...machine(threads),
      ...{ network: loaded.model.name, input: loaded.model.inputShape() as unknown as Input },
      ...{ picture: `${width}×${height} (${format})`, trials, node: process.version.slice(1), commands },
      ...stamp(),
    });
    ui.print(timesTable(commands));
    ui.print('now: npm run docs');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main(
  new Command('bench:startup')
    .description('Measures commands from the shell, and records the figures in docs/startup.json.')
    .addOption(option('--weights <file>', 'any that dlcourse predict takes', text).default(shipped, 'resnet20'))
    .addOption(option('--picture <file>', 'what is predicted', text).default(drawing, 'docs/stickers.webp'))
    .addOption(option('--trials <n>', 'processes of each command', whole(1, 10_000), 20))
    .addOption(option('--threads <n>', 'threads', whole(1, 1024), native().info().hardwareThreads))
    .option('--torch', 'beside it the same in Python with PyTorch', false)
    .addOption(option('--onnxruntime <folder>', 'and with onnxruntime-node, installed in this folder', text))
    .addHelpText('after', '\nBoth peers take the Python of docs/benchmarks.md, which converts the weights.')
    .action(run),
);
