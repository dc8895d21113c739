// Parity with PyTorch: `npm run parity -- [WORD…]` compares the pairs whose network or form contains a word.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { DlcourseError } from '../../src/errors.js';
import { openPytorch, type PytorchFile } from '../../src/io/pytorch.js';
import type { ForeignTensor } from '../../src/models/foreign.js';
import { recognise } from '../../src/models/recognise.js';
import type { Store } from '../../src/runtime/program.js';
import { allNetworks, type Form } from '../../src/zoo/zoo.js';
import { filled, logits, type Pair, relative, tensorsOf, train, trainable } from './pair.js';
import { Python } from './python.js';
import {
  type Differences,
  FACTOR,
  keepResult,
  LOGITS,
  type ParityResult,
  readResults,
  STEPS,
  WINOGRAD_FACTOR,
} from './results.js';

interface Answer {
  readonly source: string;
  readonly layout: string;
  readonly full: number;
  readonly side: number;
  readonly channels: number;
  readonly classes: number;
  /** In float64, and the largest relative difference of float32's. */
  readonly logits: readonly number[];
  readonly logitsError: number;
  readonly losses: readonly number[];
  /** Learning rate of the steps. */
  readonly lr: number;
  readonly torch: string;
}

async function withFile<T>(path: string, use: (file: PytorchFile) => Promise<T>): Promise<T> {
  const file = await openPytorch(path);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** Reads a state_dict that must hold these tensors and no others. */
async function read(path: string, tensors: readonly ForeignTensor[]): Promise<Store> {
  return withFile(path, file => {
    const missing = tensors.filter(t => file.tensors.get(t.name)?.shape.join() !== t.shape.join());
    if (missing.length > 0 || file.tensors.size !== tensors.length) {
      const names = new Set(tensors.map(t => t.name));
      const others = [...file.tensors.keys()].filter(name => !names.has(name));
      const shown = [missing.map(t => t.name), others].map(list => list.slice(0, 5).join(', ') || 'none');
      throw new Error(`missing or of another shape: ${shown[0]}; unexpected: ${shown[1]}`);
    }
    return filled(tensors, name => file.float32(name));
  });
}

/** Largest difference of the running statistics, each in units of its tensor's largest. */
async function statisticsError(path: string, tensors: readonly ForeignTensor[], store: Store): Promise<number> {
  return withFile(path, async file => {
    let worst = 0;
    for (const { name, spec } of tensors.filter(t => t.spec.role === 'statistic')) {
      worst = Math.max(worst, relative(store.read(spec.name), await file.float32(name)));
    }
    return worst;
  });
}

async function compare(
  python: Python,
  network: string,
  form: Form,
  folder: string,
): Promise<Omit<ParityResult, 'recognised'>> {
  const answer = await python.ask<Answer>({ asked: 'answer', network, form, folder, batch: 2 });
  const { source: reference, layout, full, side, channels, classes, torch } = answer;
  const pair: Pair = { network, form, layout };
  const small = await trainable(pair, [side, side, channels], classes);
  const whole = await trainable(pair, [full, full, channels], classes);
  const tensors = tensorsOf(small, pair);
  const differences = async (exact: boolean): Promise<Differences> => {
    const store = await read(join(folder, 'weights.pth'), tensors);
    const difference = relative(await logits(whole, store, 2, exact), answer.logits);
    // Trained last, for it moves the weights.
    const losses = relative(await train(small, store, classes, answer.lr, exact), answer.losses);
    const steps = Math.max(losses, await statisticsError(join(folder, 'after.pth'), tensors, store));
    store.dispose();
    return { logits: difference, steps };
  };
  const modes = [await differences(true), await differences(false)];
  const worst = Math.max(...modes.map(mode => mode.steps));
  const rounding = worst > STEPS ? (await python.ask<{ error: number }>({ asked: 'rounding' })).error : 0;
  const allowed = Math.max(STEPS, FACTOR * rounding);
  const allowedLogits = [LOGITS, Math.max(LOGITS, WINOGRAD_FACTOR * answer.logitsError)];
  const rounded = (n: number): number => Number(n.toPrecision(2));
  const [exact, winograd] = modes.map(({ logits: l, steps }) => ({ logits: rounded(l), steps: rounded(steps) }));
  return {
    ...{ network, form, reference, layout, full, side },
    ...{ exact: exact!, winograd: winograd!, allowed: rounded(allowed) },
    pytorch: rounded(answer.logitsError),
    passed: modes.every((mode, i) => mode.logits <= allowedLogits[i]! && mode.steps <= allowed),
    torch,
    date: new Date().toISOString().slice(0, 10),
  };
}

/** Whether the weights are known for what they are by names and shapes alone; otherwise what they are taken for. */
async function recognition(python: Python, network: string, form: Form): Promise<string> {
  const { shapes } = await python.ask<{ shapes: Record<string, number[]> }>({ asked: 'shapes', network, form });
  try {
    const found = await recognise(new Map(Object.entries(shapes)), {}, 'weights');
    return found.network === network && found.form === form ? 'yes' : `as ${found.network} (${found.form})`;
  } catch (error) {
    if (!(error instanceof DlcourseError)) throw error;
    return error.code === 'E_AMBIGUOUS' ? 'ambiguous' : 'no';
  }
}

interface Options {
  readonly missing?: boolean;
  readonly recognise?: boolean;
}

async function run(words: readonly string[], { missing = false, recognise: only = false }: Options): Promise<void> {
  const python = new Python();
  const folder = mkdtempSync(join(tmpdir(), 'dlcourse-parity-'));
  let failures = 0;
  try {
    const referenced = new Set((await python.ask<[string, string][]>({ asked: 'list' })).map(pair => pair.join(' ')));
    const known = new Map(readResults().map(r => [`${r.network} ${r.form}`, r]));
    for (const { name, forms } of await allNetworks()) {
      for (const form of Object.keys(forms) as Form[]) {
        const pair = `${name} ${form}`;
        const before = known.get(pair);
        if (words.length > 0 && !words.some(word => pair.includes(word))) continue;
        if (missing && before?.passed) continue;
        try {
          if (!referenced.has(pair)) throw new Error('no reference in test/parity/references');
          const recognised = await recognition(python, name, form);
          if (only) {
            console.log(`${pair}: recognised: ${recognised}`);
            if (before) keepResult({ ...before, recognised });
            continue;
          }
          const result = { ...(await compare(python, name, form, folder)), recognised };
          keepResult(result);
          const { exact, winograd, allowed, passed, reference } = result;
          if (!passed) failures++;
          const shown = (what: keyof Differences) => `${what} ${exact[what]} / ${winograd[what]}`;
          console.log(
            `${pair}: ${passed ? 'passed' : 'FAILED'}, ${shown('logits')}, ${shown('steps')} of ${allowed} (${reference})`,
          );
        } catch (error) {
          failures++;
          console.log(`${pair}: ${(error as Error).message}`);
        }
      }
    }
  } finally {
    python.end();
    rmSync(folder, { recursive: true, force: true });
  }
  console.log('now: npm run docs');
  if (failures > 0) process.exitCode = 1;
}

await new Command('parity')
  .description('Compares networks with PyTorch: logits, losses and running statistics of three steps.')
  .argument('[words...]', 'parts of the names of pairs, such as resnet18 or cifar (default: all)')
  .option('--missing', 'only those that have not passed')
  .option('--recognise', 'only whether the weights are recognised from names and shapes')
  .action(run)
  .parseAsync();
