// dlcourse predict: what is on a picture.

import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { DlcourseError, printable } from '../../src/errors.js';
import type { LoadedModel } from '../../src/models/file.js';
import type { Answer } from '../../src/train/classify.js';
import { defaultWeights, findWeights, type OutputOptions, openDecoders, shown, withOutput } from '../common.js';
import { examples } from '../examples.js';
import { type Failure, failureOf } from '../failure.js';
import { glob, isPattern } from '../glob.js';
import { stopSignal } from '../interrupt.js';
import { pictureSettings } from '../pictures.js';
import { tensorSource } from '../predict-inputs.js';
import { optionsOf, resolveSettings, type Values } from '../settings.js';
import { percent, Ui } from '../ui.js';
import { choices, exactHelp, type Kind, option, text, whole, yes } from '../values.js';

interface Options extends OutputOptions {
  weights?: string;
  tensor?: string;
  top: number;
  /** True: printed; a name: written to that file. */
  logits?: true | string;
  exact?: boolean;
  threads?: number;
  formats?: ('gif' | 'tiff' | 'avif')[];
}

const logitsFile: Kind<string> = {
  expected: 'a name that ends in .npy or .json',
  parse: value => (/\.(npy|json)$/i.test(value) ? value : undefined),
  hint: () => 'without a file, write --logits after the pictures',
};

export const predict = (): Command => {
  const command = new Command('predict')
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
        'dlcourse predict cat.jpg --weights runs/resnet20-stickers-1 --crops 10',
      ),
    )
    .addOption(option('--weights <run|file>', 'a run folder or a model file', text))
    .addOption(
      option('--tensor <file>', 'a .npy file instead, n×h×w×c or n×c×h×w: normalised float32, or uint8 pixels', text),
    )
    .addOption(option('--top <n>', 'predictions for each picture', whole(1, 1_000_000), 5))
    .addOption(
      option('--logits [file]', 'print the raw outputs too, or write those of all pictures: .npy or .json', logitsFile),
    )
    .addOption(option('--formats <names>', 'also read gif, tiff, avif', choices(['gif', 'tiff', 'avif'])))
    .addOption(option('--exact [yes]', exactHelp, yes))
    .addOption(option('--threads <n>', 'threads, which change no result (default: all)', whole(1, 1024)));
  for (const one of optionsOf(pictureSettings)) command.addOption(one);
  return withOutput(command).action(answerAll);
};

async function answerAll(images: string[], options: Options): Promise<void> {
  const ui = new Ui(options);
  if (images.length === 0 && options.tensor === undefined) throw nothing();
  const { values: cut } = resolveSettings(pictureSettings, { ...options }, undefined);
  if (options.tensor !== undefined) checkNoCut(cut);
  const stop = stopSignal('predict');
  const weights = await (options.weights === undefined ? defaultWeights() : findWeights(options.weights));
  const loading = load(ui, weights.file, cut);
  loading.catch(() => {}); // met where it is awaited
  const { Classifier } = await import('../../src/train/classify.js');
  const { top, exact, threads, formats } = options;
  const { crops } = cut;
  const classifier = new Classifier(loading, { top, exact, threads, formats, ...(crops ? { crops } : {}) });

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
  const answer = (one: Answer): void => {
    answers.push(one);
    show(ui, one, options.logits === true);
  };
  if (options.tensor !== undefined) {
    const file = options.tensor;
    const loaded = await loading;
    const rows = async () => {
      const { source, nameOf } = await tensorSource(file, loaded);
      for (const one of await classifier.rows(source, nameOf)) answer(one);
    };
    await rows().catch(error => fail(file, error));
  }
  // Pictures are decoded while the model is on its way.
  const files = await expand(images, fail);
  if (files.length > 0) await openDecoders(formats);
  for await (const one of classifier.pictures(files, shown(weights.file))) {
    stop.throwIfAborted();
    if ('error' in one) fail(one.name, one.error);
    else answer(one);
  }
  const { model, card } = await loading;
  if (typeof options.logits === 'string') {
    await writeLogits(options.logits, answers, card.classes);
    ui.notice(`wrote ${shown(options.logits)}`);
  }
  const listed = answers.map(({ name, predictions, scores }) => {
    return { file: name, predictions, ...(options.logits === true ? { logits: [...scores] } : {}) };
  });
  const result = { model: model.name, weights: weights.file, images: listed };
  ui.result(failed.length > 0 ? { ...result, failed } : result);
  // One bad file stops nothing, but the status says so.
  if (failed[0]) process.exitCode = failed[0].error.exit;
}

/** The model, prepared for pictures as the options say. */
async function load(ui: Ui, file: string, cut: Values<typeof pictureSettings>): Promise<LoadedModel> {
  const [{ loadModel }, { withCut }] = await Promise.all([
    import('../../src/models/file.js'),
    import('../../src/models/pictures.js'),
  ]);
  const given = await loadModel(file, { onNotice: line => ui.notice(line) });
  ui.notice(`using ${shown(file)}`);
  return cut.resize || cut.crop ? withCut(given, cut, shown(file)) : given;
}

function show(ui: Ui, { name, predictions, scores }: Answer, withLogits: boolean): void {
  const { bold, dim } = ui.colors;
  const [first, ...rest] = predictions.map(p => [printable(p.label), percent(p.probability)] as const);
  const others = rest.map(([label, share]) => `${label} ${share}`).join(', ');
  ui.print(`${shown(name)}: ${bold(first![0])} ${first![1]}${others ? dim(`, ${others}`) : ''}`);
  if (withLogits) ui.print(dim(`  logits ${[...scores].map(x => x.toFixed(4)).join(' ')}`));
}

/** All outputs in one file: float32 n×classes, a row a picture; as JSON with the names of pictures and classes. */
async function writeLogits(path: string, answers: readonly Answer[], classes: readonly string[]): Promise<void> {
  if (/\.npy$/i.test(path)) {
    const width = answers[0]?.scores.length ?? classes.length;
    const all = new Float32Array(answers.length * width);
    answers.forEach(({ scores }, i) => {
      all.set(scores, i * width);
    });
    const { writeNpy } = await import('../../src/io/npy.js');
    return writeNpy(path, all, [answers.length, width]);
  }
  const images = answers.map(({ name, scores }) => ({ file: name, logits: [...scores] }));
  const { writeFileDurably } = await import('../../src/io/durable.js');
  await writeFileDurably(path, `${JSON.stringify({ classes, images })}\n`);
}

/** Rows of a tensor are what the network sees: nothing is left to scale, and one of them is one crop. */
function checkNoCut({ resize, crops }: Values<typeof pictureSettings>): void {
  const wrong = resize !== undefined ? '--resize' : crops !== undefined ? '--crops' : undefined;
  if (wrong === undefined) return;
  throw new DlcourseError({
    code: 'E_ARGUMENT',
    class: 'usage',
    where: '--tensor',
    problem: `expected rows that are taken as they are, got ${wrong}`,
    hint: `leave ${wrong} out, or give pictures`,
  });
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
