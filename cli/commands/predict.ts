// dlcourse predict: what is on a picture.

import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { DlcourseError, printable } from '../../src/errors.js';
import type { LoadedModel } from '../../src/models/file.js';
import type { Prediction } from '../../src/train/metrics.js';
import { defaultWeights, findWeights, type OutputOptions, openDecoders, shown, withOutput } from '../common.js';
import { examples } from '../examples.js';
import { type Failure, failureOf } from '../failure.js';
import { glob, isPattern } from '../glob.js';
import { stopSignal } from '../interrupt.js';
import { imageSource, type Rows, tensorSource } from '../predict-inputs.js';
import { percent, Ui } from '../ui.js';
import { choices, option, text, whole } from '../values.js';

interface Options extends OutputOptions {
  weights?: string;
  tensor?: string;
  top: number;
  logits?: boolean;
  threads?: number;
  formats?: ('gif' | 'tiff' | 'avif')[];
}

/** What was said about one picture. */
interface Answer {
  file: string;
  predictions: Prediction[];
  logits?: number[];
}

/** Pictures at a time. */
const BATCH = 32;

export const predict = (): Command =>
  withOutput(
    new Command('predict')
      .summary('name what is on pictures')
      .description(
        'Names what is on pictures: files, folders (all pictures below them), or patterns with *, ? and **.\n' +
          'Without --weights, the newest finished run below ./runs answers, else the weights that come with dlcourse.',
      )
      .argument('[images...]', 'files, folders or patterns')
      .addHelpText(
        'before',
        examples(
          'dlcourse predict cat.jpg',
          "dlcourse predict holiday 'more/**/*.png' --top 3 --json",
          'dlcourse predict cat.jpg --weights runs/resnet20-stickers-1',
        ),
      )
      .addOption(option('--weights <run|file>', 'a run folder or a model file', text))
      .addOption(
        option(
          '--tensor <file>',
          'a .npy file instead: float32 n×h×w×c or n×c×h×w, normalised; or uint8 n×h×w×c, pixels',
          text,
        ),
      )
      .addOption(option('--top <n>', 'predictions for each picture', whole(1, 1_000_000), 5))
      .option('--logits', 'the raw outputs too')
      .addOption(option('--formats <names>', 'also read gif, tiff, avif', choices(['gif', 'tiff', 'avif'])))
      .addOption(option('--threads <n>', 'threads, which change no result (default: all)', whole(1, 1024))),
  ).action(answerAll);

async function answerAll(images: string[], options: Options): Promise<void> {
  const ui = new Ui(options);
  if (images.length === 0 && options.tensor === undefined) throw nothing();
  const stop = stopSignal('predict');
  const weights = await (options.weights === undefined ? defaultWeights() : findWeights(options.weights));
  const { loadModel } = await import('../../src/models/file.js');
  const loaded = await loadModel(weights.file);
  ui.notice(`using ${shown(weights.file)}`);

  const answers: Answer[] = [];
  const failed: { file: string; error: Failure }[] = [];
  const fail = (file: string, error: unknown): void => {
    if (stop.aborted) throw stop.reason;
    const failure = failureOf(error);
    if (!(error instanceof DlcourseError)) throw error;
    failed.push({ file, error: failure });
    ui.clear();
    process.stderr.write(`dlcourse: ${failure.message}\n`);
  };
  const network = await open(loaded, options.threads);
  const answer = async (rows: Rows): Promise<void> => {
    for (const { name, logits, predictions } of await network(rows, options.top)) {
      answers.push({ file: name, predictions, ...(options.logits ? { logits: [...logits] } : {}) });
      show(ui, answers.at(-1)!);
    }
  };
  if (options.tensor !== undefined)
    await answer(await tensorSource(options.tensor, loaded)).catch(e => fail(options.tensor!, e));
  const files = await expand(images, fail);
  if (files.length > 0) await openDecoders(options.formats);
  for (let at = 0; at < files.length; at += BATCH) {
    stop.throwIfAborted();
    const rows = await imageSource(files.slice(at, at + BATCH), loaded, weights.file, options.formats ?? [], fail);
    if (rows) await answer(rows);
  }
  const result = { model: loaded.model.name, weights: weights.file, images: answers };
  ui.result(failed.length > 0 ? { ...result, failed } : result);
  // One bad file stops nothing, but the status says so.
  if (failed[0]) process.exitCode = failed[0].error.exit;
}

function show(ui: Ui, { file, predictions, logits }: Answer): void {
  const { bold, dim } = ui.colors;
  const [first, ...rest] = predictions.map(p => [printable(p.label), percent(p.probability)] as const);
  const others = rest.map(([label, share]) => `${label} ${share}`).join(', ');
  ui.print(`${shown(file)}: ${bold(first![0])} ${first![1]}${others ? dim(`, ${others}`) : ''}`);
  if (logits) ui.print(dim(`  logits ${logits.map(x => x.toFixed(4)).join(' ')}`));
}

/** A model that answers: rows in, outputs and the most probable classes out. */
async function open({ model, card, store }: LoadedModel, threads: number | undefined) {
  const { defaultThreads, Program } = await import('../../src/runtime/program.js');
  const { evaluationGraph } = await import('../../src/train/step.js');
  const { forEachBatch } = await import('../../src/train/training.js');
  const { topPredictions } = await import('../../src/train/metrics.js');
  const programs = new Map<string, InstanceType<typeof Program>>();
  return async ({ kind, source, nameOf }: Rows, top: number) => {
    let program = programs.get(kind);
    if (!program) {
      const graph = evaluationGraph(model, g => source.input(g));
      program = new Program(graph, { batch: BATCH, store, threads: threads ?? defaultThreads() });
      programs.set(kind, program);
    }
    const output = Object.keys(model.config.outputs)[0]!;
    const found: { name: string; logits: Float32Array; predictions: Prediction[] }[] = [];
    await forEachBatch(program, source, (results, samples) => {
      const values = results[output] as Float32Array;
      const size = values.length / samples.length;
      samples.forEach((sample, i) => {
        const logits = values.slice(i * size, (i + 1) * size);
        found.push({ name: nameOf(sample), logits, predictions: topPredictions(logits, card.classes, top) });
      });
    });
    return found;
  };
}

/** Files as given, those below folders, and those that patterns match; each once. */
async function expand(given: readonly string[], fail: (file: string, error: unknown) => void): Promise<string[]> {
  const { hasImageExtension } = await import('../../src/data/image.js');
  const files: string[] = [];
  for (const item of given) {
    const info = statSync(item, { throwIfNoEntry: false });
    if (info?.isDirectory()) {
      const below = await readdir(item, { recursive: true });
      const pictures = below.filter(name => hasImageExtension(name)).sort();
      if (pictures.length === 0) fail(item, missing(item, 'pictures in this folder'));
      files.push(...pictures.map(name => join(item, name)));
    } else if (info) files.push(item);
    else if (isPattern(item)) {
      const matched = glob(item);
      if (matched.length === 0) fail(item, missing(item, 'files that match'));
      files.push(...matched);
    } else fail(item, missing(item, 'a picture'));
  }
  return [...new Set(files)];
}

const missing = (where: string, expected: string): DlcourseError =>
  new DlcourseError({
    code: 'E_NOT_FOUND',
    class: 'notFound',
    where,
    problem: `expected ${expected}, got none`,
    hint: 'check the name',
  });

const nothing = (): DlcourseError =>
  new DlcourseError({
    code: 'E_ARGUMENT',
    class: 'usage',
    where: 'predict',
    problem: 'expected pictures or --tensor, got nothing',
    hint: "type 'dlcourse predict PICTURE.jpg'",
  });
