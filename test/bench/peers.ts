// dlcourse beside its peers: `npm run bench:peers -- [MODEL…]` adds to docs/benchmarks.json; docs/benchmarks.md says more.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { countMultiplyAdds } from '../../cli/bench/model.js';
import { Peak } from '../../cli/bench/timing.js';
import { received, stopSignal } from '../../cli/interrupt.js';
import { Ui } from '../../cli/ui.js';
import { choice, choices, option, real, whole } from '../../cli/values.js';
import { DlcourseError } from '../../src/errors.js';
import { native } from '../../src/native.js';
import { packageRoot } from '../../src/package.js';
import type { Form } from '../../src/zoo/zoo.js';
import { trainable } from '../parity/pair.js';
import { interpreter, pythonCache, pythonPath } from '../parity/python.js';
import { currentCommit } from '../tools/commit.js';
import { main } from './main.js';
import { type Ask, type Failure, measure } from './measure.js';
import {
  best,
  type Comparison,
  type Contender,
  contenders,
  eager,
  type Figures,
  identity,
  keepComparison,
  type Mode,
  memoryShare,
  modes,
  parametersOf,
  readComparisons,
  resultOf,
  speedup,
  type TrialAnswer,
} from './results.js';
import { machine, today } from './rows.js';
import { type Subject, subjectsOf } from './subjects.js';

interface Options {
  form?: Form;
  mode: Mode[];
  isa?: 'avx2';
  threads: number;
  trials: number;
  seconds: number;
  batchSize?: number;
  missing?: boolean;
  only?: Contender[];
  without: Contender[];
}

/** What holds oneDNN, ATen, MKL and torch.compile's code to AVX2. onnxruntime has nothing of the kind. */
const heldToAvx2 = {
  ONEDNN_MAX_CPU_ISA: 'AVX2',
  ATEN_CPU_CAPABILITY: 'avx2',
  MKL_ENABLE_INSTRUCTIONS: 'AVX2',
  TORCHINDUCTOR_CPP_MARCH: 'haswell',
};

/** A trial that takes longer has failed: compiling a large network takes minutes. */
const LONGEST = 30 * 60 * 1000;

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const python = join(packageRoot, 'test/bench/trial.py');

/** Asks a process of its own. Rejects with the signal's reason when it aborts. */
function asking({ threads, isa }: Options, signal: AbortSignal): Ask {
  const interpreted = interpreter();
  const env = {
    ...process.env,
    ...{ PYTHONPATH: pythonPath, PYTHONDONTWRITEBYTECODE: '1' },
    ...{ OMP_NUM_THREADS: `${threads}`, MKL_NUM_THREADS: `${threads}` },
    // What was compiled for one instruction set must not be met with another.
    TORCHINDUCTOR_CACHE_DIR: join(pythonCache, `inductor-${isa ?? 'best'}`),
    ...(isa ? heldToAvx2 : {}),
  };
  return async request => {
    const own = request.contender === 'dlcourse';
    const [command, program] = own ? [process.execPath, here('./trial.js')] : [interpreted, python];
    // A group of its own: Ctrl-C reaches this process alone, which then ends the trial and what it has started.
    const child = spawn(command, [program, JSON.stringify(request)], {
      ...{ stdio: ['ignore', 'pipe', 'pipe'], env, detached: true },
    });
    const stop = (): void => {
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        // It has ended.
      }
    };
    const late = setTimeout(stop, LONGEST);
    signal.addEventListener('abort', stop, { once: true });
    let [stdout, stderr] = ['', ''];
    child.stdout!.setEncoding('utf8').on('data', text => {
      stdout += text;
    });
    child.stderr!.setEncoding('utf8').on('data', text => {
      stderr += text;
    });
    const ended = await new Promise<string>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, by) => resolve(by ?? `status ${status}`));
    });
    clearTimeout(late);
    signal.removeEventListener('abort', stop);
    signal.throwIfAborted();
    try {
      return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as TrialAnswer | Failure;
    } catch {
      return { error: `ended with ${ended}: ${stderr.trimEnd().split('\n').at(-1)}` };
    }
  };
}

/** Who takes part. */
const entrantsOf = (mode: Mode, { isa, only, without }: Options): Contender[] =>
  contenders.filter(
    contender =>
      (contender !== 'onnxruntime' || (mode !== 'train' && !isa)) &&
      (only?.includes(contender) ?? true) &&
      !without.includes(contender),
  );

/** One comparison; it is kept after every round, and after an unfinished first one when there is nothing better. */
async function comparison(
  { network, form, input, classes, batch }: Subject,
  mode: Mode,
  { options, ask, folder, ui }: { options: Options; ask: Ask; folder: string; ui: Ui },
): Promise<Comparison> {
  const { threads, trials, seconds } = options;
  const isa = options.isa ?? native().info().isa;
  const model = await trainable({ network, form }, input, classes);
  const peak = new Peak(threads, isa);
  const entrants = entrantsOf(mode, options);
  const rows = mode === 'latency' ? 1 : batch;
  const made = (figures: Comparison['figures']): Comparison => ({
    ...machine(threads, isa),
    ...{ network, form, mode, input, batch: rows },
    ...{ parameters: parametersOf(model), multiplyAdds: countMultiplyAdds(model) },
    peakGflops: Number(peak.gflops.toPrecision(4)),
    ...{ date: today(), commit: currentCommit(), node: process.version.slice(1) },
    figures: rounded(figures),
  });
  let latest: { figures: Comparison['figures']; complete: boolean } | undefined;
  const task = { network, form, input, classes, batch: rows, mode, threads, isa, seconds };
  try {
    const figures = await measure(task, {
      ...{ entrants, trials, parameters: parametersOf(model), file: join(folder, 'network.onnx'), ask },
      before: async (contender, round) => {
        ui.live(() => `${network} (${form}), ${mode}: ${contender}, trial ${round + 1} of ${trials}`, true);
        await peak.measure();
      },
      after: (figures, complete) => {
        latest = { figures: { ...figures }, complete };
        if (complete && !options.only) keepComparison(made(figures));
      },
    });
    return made(figures);
  } catch (error) {
    const unknown = latest && !readComparisons().some(c => identity(c) === identity(made({})));
    if (received() && latest && unknown && !options.only) keepComparison(made(latest.figures));
    throw error;
  }
}

/** Six digits of a second are enough, and two of a share. */
const rounded = (figures: Comparison['figures']): Comparison['figures'] =>
  Object.fromEntries(
    Object.entries(figures).map(([contender, f]) => [
      contender,
      'error' in f
        ? f
        : {
            ...{ ...f, seconds: f.seconds.map(s => Number(s.toPrecision(6))) },
            ...(f.disturbed ? { disturbed: f.disturbed.map(d => Number(d.toFixed(2))) } : {}),
          },
    ]),
  ) as Partial<Record<Contender, Figures>>;

function shown(c: Comparison): string {
  const own = resultOf(c, 'dlcourse');
  const times = (name: string, factor: number | undefined): string[] =>
    factor === undefined ? [] : [`${factor.toFixed(2)} × ${name}`];
  const failed = Object.entries(c.figures).flatMap(([name, f]) => ('error' in f ? [`${name}: ${f.error}`] : []));
  const parts = [
    own ? `${(own.seconds * 1000).toFixed(1)} ms` : 'failed',
    ...times('eager', speedup(c, eager(c))),
    ...times('best', speedup(c, best(c))),
    ...times('onnxruntime', speedup(c, resultOf(c, 'onnxruntime'))),
    ...times("eager's memory", memoryShare(c, eager(c))),
    ...failed,
  ];
  return `${c.network} (${c.form}), ${c.mode}, ${c.batch} × ${c.input.join('×')}, ${c.isa}: ${parts.join(', ')}`;
}

async function run(names: readonly string[], options: Options): Promise<void> {
  const ui = new Ui();
  const subjects = await subjectsOf(names, options.form, options.batchSize);
  const stop = stopSignal('bench:peers');
  const ask = asking(options, stop);
  const folder = mkdtempSync(join(tmpdir(), 'dlcourse-peers-'));
  const isa = options.isa ?? native().info().isa;
  const known = new Map(readComparisons().map(c => [identity(c), c]));
  try {
    for (const subject of subjects) {
      for (const mode of options.mode) {
        const batch = mode === 'latency' ? 1 : subject.batch;
        const key = { ...subject, ...machine(options.threads, isa), mode, batch };
        const figures = known.get(identity(key))?.figures;
        if (options.missing && figures && entrantsOf(mode, options).every(name => figures[name])) continue;
        try {
          ui.print(shown(await comparison(subject, mode, { options, ask, folder, ui })));
        } catch (error) {
          if (stop.aborted || !(error instanceof DlcourseError)) throw error;
          ui.clear();
          console.error(error.message);
          process.exitCode = error.exitStatus;
        }
      }
    }
  } finally {
    ui.clear();
    rmSync(folder, { recursive: true, force: true });
  }
  ui.print(options.only ? 'not recorded: some contenders were left out' : 'now: npm run docs');
}

await main(
  new Command('bench:peers')
    .description('Compares dlcourse with PyTorch and onnxruntime, and records the figures in docs/benchmarks.json.')
    .argument('[models...]', 'networks (default: those of docs/benchmarks.md)')
    .addOption(option('--form <name>', 'only cifar or imagenet', choice(['cifar', 'imagenet'])))
    .addOption(option('--mode <list>', `from ${modes.join(', ')}`, choices(modes), [...modes]))
    .addOption(option('--isa <name>', 'hold both sides to avx2', choice(['avx2'])))
    .addOption(option('--threads <n>', 'threads of each contender', whole(1, 1024), 2))
    .addOption(option('--trials <n>', 'processes of each contender', whole(1, 100), 3))
    .addOption(option('--seconds <n>', 'measure at least so long in each, and at least three steps', real(0, 3600), 5))
    .addOption(option('--batch-size <n>', 'images at a time (default: as documented)', whole(1, 65_536)))
    .addOption(
      option('--only <list>', `a quick look, not recorded: from ${contenders.join(', ')}`, choices(contenders)),
    )
    .addOption(
      option('--without <list>', 'leave out, for torch_compile takes minutes to begin', choices(contenders), []),
    )
    .option('--missing', 'only what has not been measured on this machine')
    .action(run),
  () => received()?.status,
);
