// dlcourse train: from a data set to a trained model in a folder of its own; and on from where one stopped.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { Command } from 'commander';
import type { Dataset } from '../../src/data/dataset.js';
import { DlcourseError, printable } from '../../src/errors.js';
import type { LoadedModel } from '../../src/models/file.js';
import type { Occasion } from '../../src/train/recipes.js';
import type { RunReport, RunSettings } from '../../src/train/run.js';
import type { Form } from '../../src/zoo/zoo.js';
import {
  checkAccuracy,
  findWeights,
  isRun,
  type OutputOptions,
  openDecoders,
  runsFolder,
  shown,
  withOutput,
} from '../common.js';
import { examples } from '../examples.js';
import { stopSignal } from '../interrupt.js';
import { configOf, optionsOf, type Proposed, readConfig, resolveSettings } from '../settings.js';
import { TrainProgress } from '../train-progress.js';
import {
  fitting,
  openOptions,
  recipeOf,
  showRecipe,
  type TrainSettings,
  type TrainValues,
  trainSettings,
} from '../train-settings.js';
import { bytes, integer, percent, plural, Ui } from '../ui.js';

type Flags = OutputOptions & Record<string, unknown> & { resume?: string; config?: string };

export const train = (): Command => {
  const command = new Command('train')
    .description(
      'Trains a network on images, in a new folder below runs/. Without options: a small network on the embedded pictures.\n' +
        'Each setting may also stand in DLCOURSE_<NAME> or in a --config file; a flag goes before both.',
    )
    .addHelpText(
      'before',
      examples(
        'dlcourse train',
        'dlcourse train --data ./flowers --input 64x64 --model resnet18 --epochs 30',
        'dlcourse train --init weights.pth --data ./flowers --freeze backbone --unfreeze-after 3',
        'dlcourse train --model resnet20 --data cifar10 --recipe paper --epochs 100',
        'dlcourse train --resume runs/resnet18-flowers-1',
        'dlcourse train --config runs/resnet18-flowers-1/config.json --seed 2',
      ),
    );
  for (const setting of optionsOf(trainSettings)) command.addOption(setting);
  command
    .option('--resume <run>', 'go on with a run that was stopped')
    .option('--config <file>', 'settings from a file, such as the config.json of a run');
  return withOutput(command).action((flags: Flags) =>
    flags.resume === undefined ? begin(flags) : goOn(flags, flags.resume),
  );
};

async function begin(flags: Flags): Promise<void> {
  const ui = new Ui(flags);
  const config = flags.config === undefined ? undefined : await readConfig(flags.config, trainSettings);
  const preset = await presetOf(resolveSettings(trainSettings, flags, config));
  const first = resolveSettings(trainSettings, flags, config, process.env, { origin: 'recipe', values: preset });
  const { values } = first;
  const { beginWith, openingFor } = await import('../../src/train/initial.js');
  const { withOptions } = await import('../../src/layers/rewrite.js');
  const { makeRecipe } = await import('../../src/train/recipe.js');
  // What can be wrong without looking at the data is found before that.
  makeRecipe(recipeOf(first));
  const folder = runFolder(values.out, values.name);
  const from = values.init === undefined ? undefined : await initialModel(values.init, line => ui.notice(line));
  const choice = await chooseNetwork(first, from);
  const { name, named } = choice;
  if (values.recipe !== 'quick') await publishedFor(name, values);
  const stop = stopSignal('train', () => onStop(ui));

  const opening = { ...openOptions(values), ...(from ? openingFor(from, values.input) : {}) };
  const { source, dataset } = await openData(ui, values.data!, opening, stop);
  const { plain, form } = await modelFor(choice, from, dataset, values.form);
  const { height, width } = dataset.image;
  const proposed = await proposal(first, {
    ...{ network: name, form: form ?? 'imagenet', input: [height, width], epochs: values.epochs! },
    ...{ trainImages: dataset.splits.train.length, initialised: from !== undefined },
    batchSize: first.origins['batchSize'] === 'default' ? undefined : values.batchSize,
  });
  const settings = resolveSettings(trainSettings, flags, config, process.env, {
    ...proposed,
    values: { ...preset, ...proposed.values },
  });
  const recipe = makeRecipe(recipeOf(settings));
  const model = withOptions(plain, settings.values);
  const init = from && beginWith(from, model, dataset.classes, shown(from.file));
  stop.throwIfAborted();
  const { model: _, ...chosen } = settings.written;
  const written: Record<string, string> = {
    ...(named ? { model: name } : {}),
    ...chosen,
    data: source,
    lr: String(recipe.lr),
    weightDecay: String(recipe.weightDecay),
    momentum: String(recipe.momentum),
    ...(named && form ? { form } : {}),
    ...(from ? { init: from.file } : {}),
  };
  const origins = {
    lr: 'default',
    weightDecay: 'default',
    momentum: 'default',
    form: 'default',
    ...settings.origins,
  } as const;
  for (const line of showRecipe(settings, { ...proposed.values, ...written }, proposed.source)) ui.notice(line);
  await run(ui, settings, {
    folder: await folder(name, dataset.name),
    model,
    ...(named && form ? { network: { name, form } } : {}),
    dataset,
    source,
    recipe,
    saveEvery: values.saveEvery!,
    ...(init ? { init } : {}),
    config: configOf(trainSettings, { ...settings, written, origins }),
    signal: stop,
  });
}

type Given = LoadedModel & { readonly file: string };

/** The model that a training begins with, and its file as it can be found from anywhere. */
async function initialModel(given: string, onNotice: (line: string) => void): Promise<Given> {
  const { loadModel } = await import('../../src/models/file.js');
  const file = resolve((await findWeights(given)).file);
  return { ...(await loadModel(file, { onNotice })), file };
}

interface Choice {
  readonly name: string;
  /** The network is one of the zoo, by its name; else the model comes from --init. */
  readonly named: boolean;
}

/** With --init, the model comes from there unless it is named. Throws for names and forms that cannot be. */
async function chooseNetwork({ values, origins }: TrainSettings, from: Given | undefined): Promise<Choice> {
  const { findNetwork } = await import('../../src/zoo/zoo.js');
  if (!from || origins['model'] !== 'default') return { name: (await findNetwork(values.model!)).name, named: true };
  if (values.form === undefined) return { name: from.model.name, named: false };
  const problem = 'expected --model beside it, for the network comes from --init';
  throw usage('--form', problem, 'leave one out, or add the other');
}

/** The model for the data's pictures and classes, and which form of the zoo's network that is, where it is one. */
async function modelFor({ name, named }: Choice, from: Given | undefined, dataset: Dataset, asked?: Form) {
  const { buildNetwork, findNetwork, formFor, networkNames } = await import('../../src/zoo/zoo.js');
  const { modelFor: fitted } = await import('../../src/train/initial.js');
  const { height, width, channels } = dataset.image;
  const input = [height, width, channels] as const;
  const classes = dataset.classes.length;
  const form = networkNames.includes(name) ? formFor(await findNetwork(name), height, width, asked) : undefined;
  const plain = named
    ? await buildNetwork(name, input, classes, { form, auxiliary: true })
    : fitted(from!.model, classes, input);
  return { plain, form };
}

/** The network and the epochs of the fast recipe, which stand where nothing else is said. */
async function presetOf({ values: { recipe } }: TrainSettings): Promise<Readonly<Record<string, string>>> {
  if (recipe !== 'fast') return {};
  const { fastNetwork, fastRecipe } = await import('../../src/train/recipes.js');
  return { model: fastNetwork, epochs: String(fastRecipe.length) };
}

/** The published recipe that was asked for. Throws E_OPTION where there is none. */
async function publishedFor(name: string, { recipe, form }: Pick<TrainValues, 'recipe' | 'form'>) {
  const { fastRecipe, publishedRecipe, stochasticDepthRecipe } = await import('../../src/train/recipes.js');
  if (recipe === 'stochastic_depth') return stochasticDepthRecipe;
  if (recipe === 'fast') return fastRecipe;
  const found = publishedRecipe(name, form ?? 'cifar') ?? publishedRecipe(name, form ?? 'imagenet');
  if (found) return found;
  throw usage('--recipe', `expected a network with a paper's recipe, got ${printable(name)}`, 'use --recipe quick');
}

/** What the recipe says where nothing was given, and its source. */
async function proposal(settings: TrainSettings, occasion: Occasion): Promise<Proposed & { source?: string }> {
  const { fittedRecipe, quickRecipe } = await import('../../src/train/recipes.js');
  const origin = settings.origins['recipe'] === 'default' ? 'default' : 'recipe';
  const { recipe } = settings.values;
  if (recipe === 'quick') return { origin, values: fitting(quickRecipe(occasion), settings) };
  const row = await publishedFor(occasion.network, { recipe, form: occasion.form });
  return { origin, values: fitting(fittedRecipe(row, occasion), settings), source: row.source };
}

/** Everything comes from the run: a flag that says otherwise is an error. */
async function goOn(flags: Flags, folder: string): Promise<void> {
  const ui = new Ui(flags);
  if (flags.config !== undefined)
    throw usage('--config', 'expected a new run, got --resume too', 'leave one of them out');
  if (!existsSync(folder)) throw notRun(folder, 'got nothing of that name');
  if (!isRun(folder)) throw notRun(folder, 'got another folder');
  const file = join(folder, 'config.json');
  const config = await readConfig(file, trainSettings);
  const env = { DLCOURSE_THREADS: process.env['DLCOURSE_THREADS'] };
  const settings = resolveSettings(trainSettings, flags, config, env);
  const before = resolveSettings(trainSettings, {}, config, {});
  for (const key of Object.keys(trainSettings) as (keyof typeof trainSettings)[]) {
    if (flags[key] === undefined || ['checkpointActivations', 'threads', 'saveEvery', 'minAccuracy'].includes(key))
      continue;
    if (JSON.stringify(settings.values[key]) === JSON.stringify(before.values[key])) continue;
    const had = before.written[key] ?? 'none';
    throw new DlcourseError({
      code: 'E_RESUME',
      class: 'mismatch',
      where: trainSettings[key].flags.split(' ')[0]!,
      problem: `expected ${had} as in ${shown(folder)}, got ${settings.written[key]}`,
      hint: 'leave it out, or begin a new run with --init and the weights of this one',
    });
  }

  const report = join(folder, 'report.json');
  if (existsSync(report)) {
    const finished = JSON.parse(await readFile(report, 'utf8')) as RunReport;
    ui.notice(`${shown(folder)} is finished; there is nothing left to do`);
    conclude(ui, settings, { ...finished, run: folder, weights: join(folder, 'model.safetensors') });
    return;
  }
  const { readRun } = await import('../../src/train/run.js');
  const { Model } = await import('../../src/layers/model.js');
  const { makeRecipe } = await import('../../src/train/recipe.js');
  const { card, record } = await readRun(folder);
  const stop = stopSignal('train', () => onStop(ui));
  const how = { ...openOptions(settings.values), ...(card.preprocessing ? { preprocessing: card.preprocessing } : {}) };
  const { dataset } = await openData(ui, record.data.source, how, stop);
  const { threads, checkpointActivations } = settings.values;
  await run(ui, settings, {
    folder,
    model: Model.fromConfig(card.model),
    ...(record.network ? { network: record.network } : {}),
    dataset,
    source: record.data.source,
    recipe: makeRecipe({
      ...record.recipe,
      ...(threads ? { threads } : {}),
      ...(checkpointActivations === undefined ? {} : { checkpointActivations }),
    }),
    saveEvery: settings.values.saveEvery!,
    resume: true,
    config: {},
    signal: stop,
  });
}

let training = false;

/** What Ctrl-C does once there is something to save. */
function onStop(ui: Ui): void {
  if (training) ui.notice('finishing the step and saving; Ctrl-C again stops now');
}

async function run(ui: Ui, settings: TrainSettings, what: RunSettings): Promise<void> {
  const { trainRun } = await import('../../src/train/run.js');
  const progress = new TrainProgress(ui);
  try {
    for await (const event of trainRun(what)) {
      training = true;
      progress.show(event, what.model.name, what.dataset.name);
      if (event.kind === 'end') conclude(ui, settings, event.report);
    }
  } catch (error) {
    // A training that could not begin leaves nothing.
    if (!training && !what.resume) await rm(what.folder, { recursive: true, force: true });
    throw error;
  }
}

type Open = Parameters<typeof import('../../src/data/open.js').openDataset>[1];

/** Opens data by name or folder; `source` is how to open them again from anywhere. */
async function openData(ui: Ui, given: string, how: NonNullable<Open>, signal: AbortSignal) {
  const { openDataset } = await import('../../src/data/open.js');
  const { listManifests } = await import('../../src/data/manifest.js');
  await openDecoders(how.formats);
  const named = (await listManifests()).some(manifest => manifest.name === given);
  const progress = new TrainProgress(ui);
  try {
    const dataset = await openDataset(given, {
      ...how,
      signal,
      onNotice: line => ui.notice(line),
      onProgress: at => progress.opening(given, at),
    });
    return { source: named ? given : resolve(given), dataset };
  } finally {
    ui.clear();
  }
}

function conclude(ui: Ui, { values }: TrainSettings, report: RunReport): void {
  const { test } = report;
  const { bold, dim } = ui.colors;
  if (test.images > 0) {
    ui.print(
      `${printable(`${report.model} on ${report.data}`)}: ${bold(percent(test.top1, 2))} of ${integer(test.images)} test images right, ` +
        `${percent(test.top5, 2)} among the first five, loss ${test.loss.toFixed(4)}`,
    );
  }
  const speed = report.imagesPerSecond > 0 ? `${integer(report.imagesPerSecond)} images/s, ` : '';
  const waited = report.waited >= 0.01 ? `${percent(report.waited, 0)} of the time waiting for images, ` : '';
  ui.print(
    dim(`${plural(report.epochs, 'epoch')}, ${speed}${waited}${bytes(report.peakMemoryBytes)} of memory at most`),
  );
  ui.print(dim(`run in ${shown(report.run)}, weights in ${shown(report.weights)}`));
  checkAccuracy(report, report.run, values.minAccuracy, test.top1);
  const found = shown(report.run).startsWith(`${runsFolder}/`);
  const elsewhere = found ? '' : ` --weights ${shown(report.run)}`;
  ui.print(`dlcourse predict PICTURE.jpg${elsewhere}`);
  ui.result(report);
}

/**
 * Makes the folder of a new run: the one that was named, or the first free number. Nothing that exists is touched.
 * Checks at once what can be checked; makes the folder when the returned function is called.
 */
function runFolder(
  out: string | undefined,
  name: string | undefined,
): (model: string, data: string) => Promise<string> {
  if (out !== undefined && name !== undefined)
    throw usage('--out', 'expected --out or --name, got both', 'leave one out');
  if (name !== undefined && (basename(name) !== name || name === '.' || name === '..')) {
    throw usage('--name', `expected a folder's name, got '${name}'`, 'give a whole path with --out');
  }
  const flag = out === undefined ? '--name' : '--out';
  const asked = out ?? (name && join(runsFolder, name));
  if (asked !== undefined && existsSync(asked) && !isEmptyFolder(asked)) {
    const hint = `choose another${isRun(asked) ? `, or go on with --resume ${asked}` : ''}`;
    throw usage(flag, `expected a new folder, got ${asked}, which exists`, hint);
  }
  return async (model, data) => {
    const { writeError } = await import('../../src/io/filesystem.js');
    try {
      if (asked !== undefined) {
        await mkdir(asked, { recursive: true });
        return asked;
      }
      await mkdir(runsFolder, { recursive: true });
      const base = `${model}-${printable(data).replace(/[^\p{L}\p{N}._-]+/gu, '-')}`;
      for (let number = 1; ; number++) {
        const folder = join(runsFolder, `${base}-${number}`);
        try {
          await mkdir(folder);
          return folder;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        }
      }
    } catch (error) {
      throw writeError(asked ?? runsFolder, 'make a run folder', error);
    }
  };
}

function isEmptyFolder(path: string): boolean {
  return statSync(path).isDirectory() && readdirSync(path).length === 0;
}

const usage = (where: string, problem: string, hint: string): DlcourseError =>
  new DlcourseError({ code: 'E_OPTION', class: 'usage', where, problem, hint });

const notRun = (folder: string, got: string): DlcourseError =>
  new DlcourseError({
    code: 'E_RUN',
    class: 'notFound',
    where: folder,
    problem: `expected a run folder with config.json and checkpoints, ${got}`,
    hint: 'give a folder that dlcourse train has made',
  });
