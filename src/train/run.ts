// A training with a folder: config, checkpoints, logs, pictures, report. What `dlcourse train` does.

import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Dataset } from '../data/dataset.js';
import { DlcourseError } from '../errors.js';
import { writeFileDurably } from '../io/durable.js';
import { Generations, requireCheckpoint } from '../io/generations.js';
import { StepLog } from '../io/step-log.js';
import type { Model } from '../layers/model.js';
import { FORMAT, loadModel, type ModelCard, parseJson, saveModel } from '../models/file.js';
import { native } from '../native.js';
import { confusionSvg } from '../report/confusion.js';
import { curvesSvg } from '../report/curves.js';
import { Store } from '../runtime/program.js';
import {
  checkSameData,
  type DataIdentity,
  readCheckpoint,
  restoreCheckpoint,
  saveCheckpoint,
  type TrainingRecord,
} from './checkpoint.js';
import type { Initial } from './initial.js';
import { imageSources } from './inputs.js';
import { bestEpoch, type EpochRecord, trainLoop } from './loop.js';
import type { Evaluation } from './metrics.js';
import { augmentedPicture } from './picture.js';
import type { Recipe } from './recipe.js';
import type { StepReport } from './training.js';
import { Training } from './training.js';
import { whiten } from './whiten.js';

export interface RunSettings {
  /** Folder of the run. */
  readonly folder: string;
  readonly model: Model;
  readonly network?: { readonly name: string; readonly form: string };
  readonly dataset: Dataset;
  /** How the data set was named, to open it again. */
  readonly source: string;
  readonly recipe: Recipe;
  /** Checkpoints at least this often, in steps or minutes; each epoch has one anyway. */
  readonly saveEvery: { readonly steps?: number; readonly minutes?: number };
  /** Goes on from the newest checkpoint of the folder. */
  readonly resume?: boolean;
  /** Begins with these tensors of the model; the others are drawn. */
  readonly init?: Initial;
  /** Settings to be written to config.json, with where each came from. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Finishes the step, saves, and ends with E_INTERRUPTED. */
  readonly signal?: AbortSignal;
}

export type RunEvent =
  | {
      kind: 'start';
      folder: string;
      parameters: number;
      epochs: number;
      steps: number;
      /** That steps and evaluations need, beside the program and the pictures. */
      memoryBytes: number;
      from: number;
    }
  | { kind: 'notice'; text: string }
  | ({ kind: 'initial' } & Omit<Initial, 'model' | 'store'>)
  | {
      kind: 'step';
      report: StepReport;
      epochs: number;
      step: number;
      steps: number;
      imagesPerSecond: number;
      secondsLeft: number;
    }
  | { kind: 'epoch'; record: EpochRecord; epochs: number; seconds: number; imagesPerSecond: number }
  | { kind: 'saved'; path: string; step: number }
  | { kind: 'end'; report: RunReport };

/** The final report of a run, `report.json`. */
export interface RunReport {
  readonly run: string;
  readonly model: string;
  readonly data: string;
  readonly epochs: number;
  readonly seed: number;
  readonly test: { readonly images: number; readonly loss: number; readonly top1: number; readonly top5: number };
  readonly bestEpoch: number | undefined;
  readonly imagesPerSecond: number;
  /** Share of the time of steps in which they waited for their images. */
  readonly waited: number;
  readonly peakMemoryBytes: number;
  readonly weights: string;
}

/** Names in a run folder. */
export const files = {
  config: 'config.json',
  checkpoints: 'checkpoints',
  log: 'metrics.jsonl',
  table: 'metrics.csv',
  curves: 'curves.svg',
  confusion: 'confusion.svg',
  augmented: 'augmented.png',
  best: 'best.safetensors',
  model: 'model.safetensors',
  evaluation: 'evaluation.json',
  report: 'report.json',
} as const;

const columns = [
  'step',
  'epoch',
  'lr',
  'train_loss',
  'train_accuracy',
  'test_loss',
  'test_top1',
  'test_top5',
  'seconds',
  'images_per_second',
];

/** Trains in a folder. Each event is emitted when what it says has happened: `saved` after the file is on the disk. */
export async function* trainRun(settings: RunSettings): AsyncGenerator<RunEvent, RunReport> {
  const { folder, model, dataset, recipe, signal } = settings;
  const checkpoints = join(folder, files.checkpoints);
  await mkdir(checkpoints, { recursive: true });
  const isa = native().info().isa;
  const resumed = settings.resume ? await openResumed(folder, isa) : undefined;
  for (const text of resumed?.notices ?? []) yield { kind: 'notice', text };

  const sources = await imageSources(dataset, recipe, resumed?.card.preprocessing);
  const data: DataIdentity = {
    source: settings.source,
    name: dataset.name,
    fingerprint: dataset.fingerprint(),
    trainImages: sources.train.length,
    testImages: sources.test.length / sources.test.crops,
  };
  if (resumed) checkSameData(folder, resumed.record.data, data);
  const card: ModelCard = resumed?.card ?? {
    format: FORMAT,
    model: model.config,
    classes: dataset.classes,
    preprocessing: sources.preprocessing,
    ...(recipe.testCrops === 1 ? {} : { crops: recipe.testCrops }),
    data: dataset.name,
  };
  const init = resumed ? undefined : settings.init;
  if (init) {
    const { model: _model, store: _store, ...names } = init;
    yield { kind: 'initial', ...names };
  }
  const store = init?.store ?? new Store();
  if (recipe.whiten && init) throw whitensWhatIsGiven();
  if (recipe.whiten && !resumed) await whiten(model, store, sources.train, recipe.seed);
  const training = new Training({
    model,
    store,
    recipe,
    train: sources.train,
    test: sources.test,
    classes: dataset.classes,
  });
  const generations = new Generations(checkpoints);
  const log = await StepLog.jsonl(join(folder, files.log));
  const table = await StepLog.csv(join(folder, files.table), columns);
  const history: EpochRecord[] = [...(resumed?.record.history ?? [])];
  if (resumed) {
    await restoreCheckpoint(resumed.path, training, store, resumed.record.position);
    // Up to the last epoch that the checkpoint knows: its own step may be that of an epoch not evaluated yet.
    await Promise.all([log, table].map(l => l.truncateAfter(history.at(-1)?.step ?? 0)));
    await generations.removeAfter(training.position.step);
  } else {
    await Promise.all([log, table].map(l => l.truncateAfter(-1)));
    await writeFileDurably(join(folder, files.config), `${JSON.stringify(settings.config, null, 2)}\n`);
    await writeFileDurably(join(folder, files.augmented), await augmentedPicture(sources.train, recipe.seed));
  }
  yield {
    kind: 'start',
    folder,
    parameters: model.parameters,
    epochs: recipe.epochs,
    steps: training.totalSteps,
    memoryBytes: training.memoryBytes,
    from: training.position.step,
  };

  // Threads change no number, so they are no part of what a checkpoint says.
  const { threads: _, ...stored } = recipe;
  const record = (): TrainingRecord => ({
    recipe: stored,
    position: training.position,
    history,
    ...(settings.network ? { network: settings.network } : {}),
    data,
    isa,
  });
  let savedAt = Date.now();
  let savedStep = training.position.step;
  const save = async (): Promise<RunEvent> => {
    const { path, step } = await saveCheckpoint(generations, training, store, card, record());
    savedAt = Date.now();
    savedStep = step;
    return { kind: 'saved', path, step };
  };
  const due = (): boolean => {
    const { steps, minutes } = settings.saveEvery;
    if (steps !== undefined && training.position.step - savedStep >= steps) return true;
    return minutes !== undefined && Date.now() - savedAt >= minutes * 60_000;
  };
  const whole = { model, card, store };
  const average = recipe.ema > 0;

  let speed = 0;
  let lastTick = performance.now();
  let epochSeconds = 0;
  let stepSeconds = 0;
  let trained = 0;
  let evaluation: Evaluation | undefined;
  const options = {
    ...{ history, patience: recipe.patience, testEvery: recipe.testEvery, evaluate: sources.test.length > 0 },
    ...(signal ? { signal } : {}),
  };
  for await (const event of trainLoop(training, options)) {
    const now = performance.now();
    const seconds = (now - lastTick) / 1000;
    epochSeconds += seconds;
    if (event.kind === 'step') {
      const { report } = event;
      const rate = report.samples / seconds;
      speed = speed === 0 ? rate : 0.9 * speed + 0.1 * rate;
      stepSeconds += seconds;
      trained += report.samples;
      const left =
        (training.totalSteps - training.position.step) * (Math.min(recipe.batchSize, data.trainImages) / speed);
      yield {
        kind: 'step',
        report,
        epochs: recipe.epochs,
        step: training.position.step,
        steps: training.totalSteps,
        imagesPerSecond: speed,
        secondsLeft: left,
      };
      if (signal?.aborted || due()) yield await save();
    } else {
      evaluation = event.evaluation;
      // None of its steps was done since a resume: there is no speed to tell.
      const rate = stepSeconds > 0 ? trained / stepSeconds : 0;
      await appendEpoch(log, table, event.record, epochSeconds, rate);
      yield {
        kind: 'epoch',
        record: event.record,
        epochs: recipe.epochs,
        seconds: epochSeconds,
        imagesPerSecond: rate,
      };
      epochSeconds = 0;
      if (event.best && recipe.patience > 0) await saveModel(join(folder, files.best), whole, { average });
      yield await save();
      await writeFileDurably(join(folder, files.curves), curves(history, model.name, dataset.name));
    }
    if (signal?.aborted) throw interrupted(folder, training.position.step);
    lastTick = performance.now();
  }
  // Stopped within an evaluation: the epoch's steps are done, a resume evaluates again.
  if (signal?.aborted) {
    yield await save();
    throw interrupted(folder, training.position.step);
  }

  const early = recipe.patience > 0 && existsSync(join(folder, files.best));
  const weights = join(folder, files.model);
  if (early) {
    const best = await loadModel(join(folder, files.best));
    for (const spec of model.state) store.write(spec.name, best.store.read(spec.name));
    await saveModel(weights, whole);
    evaluation = await training.evaluate(sources.test, false);
  } else {
    await saveModel(weights, whole, { average });
    evaluation ??= sources.test.length > 0 ? await training.evaluate() : undefined;
  }
  const report: RunReport = {
    run: folder,
    model: model.name,
    data: dataset.name,
    epochs: history.length,
    seed: recipe.seed,
    test: {
      images: evaluation?.images ?? 0,
      loss: evaluation?.loss ?? Number.NaN,
      top1: evaluation?.top1 ?? Number.NaN,
      top5: evaluation?.top5 ?? Number.NaN,
    },
    bestEpoch: bestEpoch(history)?.epoch,
    imagesPerSecond: stepSeconds > 0 ? trained / stepSeconds : 0,
    waited: stepSeconds > 0 ? training.waited / stepSeconds : 0,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    weights,
  };
  if (evaluation) {
    const title = `${model.name} on ${dataset.name}: ${(100 * evaluation.top1).toFixed(2)} % of ${evaluation.images} images`;
    await writeFileDurably(
      join(folder, files.confusion),
      confusionSvg(evaluation.confusion, dataset.classes, { title }),
    );
    await writeFileDurably(join(folder, files.evaluation), `${JSON.stringify(evaluation, null, 2)}\n`);
  }
  await writeFileDurably(join(folder, files.report), `${JSON.stringify(report, null, 2)}\n`);
  yield { kind: 'end', report };
  return report;
}

async function appendEpoch(log: StepLog, table: StepLog, r: EpochRecord, seconds: number, rate: number): Promise<void> {
  await log.append({ ...r, seconds, imagesPerSecond: rate });
  await table.append({
    step: r.step,
    epoch: r.epoch,
    lr: r.lr,
    train_loss: r.train.loss,
    train_accuracy: r.train.accuracy,
    test_loss: r.test?.loss,
    test_top1: r.test?.top1,
    test_top5: r.test?.top5,
    seconds,
    images_per_second: rate,
  });
}

function curves(history: readonly EpochRecord[], model: string, data: string): string {
  const points = history.map(r => ({
    epoch: r.epoch,
    trainLoss: r.train.loss,
    trainAccuracy: r.train.accuracy,
    ...(r.test ? { testLoss: r.test.loss, testAccuracy: r.test.top1 } : {}),
  }));
  return curvesSvg(points, { title: `${model} on ${data}` });
}

async function openResumed(
  folder: string,
  isa: string,
): Promise<{ path: string; card: ModelCard; record: TrainingRecord; notices: string[] }> {
  const { generation, damaged } = await requireCheckpoint(join(folder, files.checkpoints));
  const { card, record } = await readCheckpoint(generation.path);
  const notices = damaged.map(d => `${d.path} is damaged (${d.error.message}); going on from step ${generation.step}`);
  if (record.isa !== isa) {
    notices.push(
      `the run was computed with ${record.isa}, this machine uses ${isa}: results will differ in the last digits`,
    );
  }
  return { path: generation.path, card, record, notices };
}

/** What the newest checkpoint of a run says: enough to open its data and to build its model again. */
export async function readRun(
  folder: string,
): Promise<{ card: ModelCard; record: TrainingRecord; config: Record<string, unknown> }> {
  const { generation } = await requireCheckpoint(join(folder, files.checkpoints));
  const path = join(folder, files.config);
  const config = parseJson(await readFile(path, 'utf8').catch(() => '{}'), path) as Record<string, unknown>;
  return { ...(await readCheckpoint(generation.path)), config };
}

/** The model file of a run: the final one, or the newest checkpoint of one that has not ended. */
export async function weightsOfRun(folder: string): Promise<string> {
  const final = join(folder, files.model);
  if (existsSync(final)) return final;
  return (await requireCheckpoint(join(folder, files.checkpoints))).generation.path;
}

const whitensWhatIsGiven = (): DlcourseError =>
  new DlcourseError({
    code: 'E_WHITEN',
    class: 'usage',
    where: 'whiten',
    problem: 'expected a model that begins anew, got weights to begin with',
    hint: 'leave whitening out: the first convolution has its weights',
  });

const interrupted = (folder: string, step: number): DlcourseError =>
  new DlcourseError({
    code: 'E_INTERRUPTED',
    class: 'interrupted',
    where: basename(folder),
    problem: `stopped after step ${step}, everything is saved`,
    hint: `go on with: dlcourse train --resume ${folder}`,
  });
