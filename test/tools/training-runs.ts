// Trainings that were done, as data: docs/training.json has an entry for each, docs/training.md shows them.

import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DlcourseError } from '../../src/errors.js';
import { Model, type ModelConfig } from '../../src/layers/index.js';
import { type LayerSummary, summarize } from '../../src/layers/summary.js';
import { packageRoot } from '../../src/package.js';
import { files, type RunReport, readRun } from '../../src/train/run.js';
import type { Network } from '../../src/zoo/zoo.js';
import { listed, number, percent, table } from './markdown.js';

/** One training. */
export interface TrainingEntry {
  readonly network: string;
  readonly form: string;
  /** [h, w, c] */
  readonly input: readonly number[];
  readonly data: string;
  /** The settings that were given, the recipe's name among them; neither defaults nor what the recipe says. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly epochs: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly testImages: number;
  readonly top1: number;
  /** Of the network without auxiliary classifiers; multiply-adds for one image. */
  readonly params: number;
  readonly multiplyAdds: number;
  /** Of the process that trained. */
  readonly peakMemoryBytes: number;
  /** Day on which the training ended. */
  readonly date: string;
  readonly isa: string;
  readonly commit: string;
  /** Speed of training steps, measured by `bench` when nothing else ran. */
  readonly speed?: TrainingSpeed;
}

export interface TrainingSpeed {
  readonly imagesPerSecond: number;
  readonly threads: number;
  /** FMA peak of these threads, measured in between. */
  readonly peakGflops: number;
}

const path = join(packageRoot, 'docs', 'training.json');

export const readTrainings = (): TrainingEntry[] => JSON.parse(readFileSync(path, 'utf8')) as TrainingEntry[];

export const writeTrainings = (entries: readonly TrainingEntry[]): void =>
  writeFileSync(path, `${JSON.stringify(entries, null, 2)}\n`);

/** What an entry is told apart by; a training of the same replaces it. */
const identity = (e: TrainingEntry): string => JSON.stringify([e.network, e.form, e.input, e.data, e.settings]);

export const withEntry = (entries: readonly TrainingEntry[], entry: TrainingEntry): TrainingEntry[] => [
  ...entries.filter(e => identity(e) !== identity(entry)),
  entry,
];

/** Settings that say where a run lies, not what it is. */
const incidental = new Set(['model', 'data', 'form', 'saveEvery', 'out', 'name', 'threads', 'minAccuracy']);

/** The entry of a finished run. Throws what reading a run throws, E_RUN for one that has not ended. */
export async function entryOf(folder: string, commit: string): Promise<TrainingEntry> {
  const reportPath = join(folder, files.report);
  const ended = statSync(reportPath, { throwIfNoEntry: false });
  if (!ended) {
    throw new DlcourseError({
      code: 'E_RUN',
      class: 'notFound',
      where: folder,
      problem: 'expected the folder of a finished run, got one without report.json',
      hint: `finish it with: dlcourse train --resume ${folder}`,
    });
  }
  const report = JSON.parse(readFileSync(reportPath, 'utf8')) as RunReport;
  const { card, record, config } = await readRun(folder);
  const { values, origins } = config as { values: Record<string, unknown>; origins: Record<string, string> };
  const model = Model.fromConfig(card.model);
  const counted = evaluated(model);
  const sum = (key: 'parameters' | 'multiplyAdds') => counted.reduce((total, layer) => total + layer[key], 0);
  return {
    network: record.network?.name ?? report.model,
    form: record.network?.form ?? '',
    input: model.inputShape(),
    data: report.data,
    settings: Object.fromEntries(
      Object.entries(values).filter(([key]) => !['default', 'recipe'].includes(origins[key]!) && !incidental.has(key)),
    ),
    epochs: report.epochs,
    batchSize: record.recipe.batchSize,
    seed: report.seed,
    testImages: report.test.images,
    top1: report.test.top1,
    params: sum('parameters'),
    multiplyAdds: sum('multiplyAdds'),
    peakMemoryBytes: report.peakMemoryBytes,
    date: ended.mtime.toISOString().slice(0, 10),
    isa: record.isa,
    commit,
  };
}

/** The layers that the main output depends on: those of auxiliary classifiers are not among them. */
function evaluated(model: Model): LayerSummary[] {
  const { layers, outputs } = model.config satisfies ModelConfig;
  const needed = new Set([Object.values(outputs)[0]!]);
  for (const layer of [...layers].reverse()) if (needed.has(layer.id)) for (const id of layer.inputs) needed.add(id);
  return summarize(model).layers.filter((_, i) => needed.has(layers[i]!.id));
}

/** The table of docs/training.md: in the order of the list of networks. */
export function trainingTable(entries: readonly TrainingEntry[], networks: readonly Network[]): string {
  if (entries.length === 0) return 'No training has been recorded yet.';
  const place = new Map(networks.map((network, i) => [network.name, i]));
  const order = (e: TrainingEntry): number => place.get(e.network) ?? networks.length;
  const lines = [...entries]
    .sort((a, b) => order(a) - order(b) || a.data.localeCompare(b.data) || a.epochs - b.epochs)
    .map(e => [
      networks[order(e)]?.family ?? '–',
      `\`${e.network}\``,
      `${e.data}, ${e.input.join('×')}`,
      `${e.epochs}`,
      percent(e.top1),
      number(e.params),
      number(Number((e.multiplyAdds / 1e6).toFixed(2))),
      e.speed ? number(Number(e.speed.imagesPerSecond.toPrecision(4))) : '–',
      e.speed ? ofPeak(e.speed, e.multiplyAdds) : '–',
      `${number(Math.round(e.peakMemoryBytes / 2 ** 20))} MiB`,
      settings(e),
    ]);
  const head = ['family', 'network', 'data', 'epochs', 'test accuracy', 'parameters', 'multiply-adds (M)', 'images/s'];
  return `${table([...head, 'of peak', 'peak memory', 'settings'], lines)}\n\n${circumstances(entries)}`;
}

/** Forward pass and both gradients, computed directly, beside the multiply-adds that the machine can do. */
function ofPeak({ imagesPerSecond, peakGflops }: NonNullable<TrainingEntry['speed']>, multiplyAdds: number): string {
  return `${Math.round((100 * imagesPerSecond * 3 * 2 * multiplyAdds) / (peakGflops * 1e9))} %`;
}

/** `--lr 0.05`: what to type beside the network, the data and the epochs. */
function settings(e: TrainingEntry): string {
  const flag = (key: string) => `--${key.replace(/[A-Z]/g, c => `-${c.toLowerCase()}`)}`;
  const written = Object.entries(e.settings)
    .filter(([key]) => key !== 'epochs')
    .map(([key, value]) => (value === true ? flag(key) : `${flag(key)} ${value}`));
  return written.length > 0 ? `\`${written.join(' ')}\`` : '–';
}

/** Where the figures were measured. */
function circumstances(entries: readonly TrainingEntry[]): string {
  const dates = entries.map(e => e.date).sort();
  const days = dates[0] === dates.at(-1) ? dates[0] : `${dates[0]} to ${dates.at(-1)}`;
  const speeds = entries.flatMap(e => (e.speed ? [e.speed] : []));
  const peaks = speeds.map(s => Math.round(s.peakGflops)).sort((a, b) => a - b);
  const peak = [...new Set([peaks[0] ?? 0, peaks.at(-1) ?? 0])].map(number).join(' to ');
  const measured =
    speeds.length > 0 ? ` Speed: ${listed(speeds.map(s => s.threads))} threads, FMA peak ${peak} GFLOP/s in all.` : '';
  return (
    `Trained ${days} with ${listed(entries.map(e => e.isa))}, seed ${listed(entries.map(e => e.seed))}, ` +
    `versions ${listed(entries.map(e => `\`${e.commit}\``))}.${measured}`
  );
}
