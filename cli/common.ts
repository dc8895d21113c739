// What several commands share: options of the output, and how a run or a model file is named.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Command } from 'commander';
import type { ImageFormat } from '../src/data/image.js';
import { DlcourseError, printable } from '../src/errors.js';
import { packageRoot } from '../src/package.js';
import { CheckFailed } from './failure.js';
import { progressModes, type UiOptions } from './ui.js';
import { choice, option } from './values.js';

/** Adds --json, --progress and --quiet. */
export function withOutput(command: Command): Command {
  return command
    .option('--json', 'print exactly one JSON object on standard output')
    .addOption(
      option('--progress <mode>', `${progressModes.join(', ')}, on standard error`, choice(progressModes), 'auto'),
    )
    .option('-q, --quiet', 'no progress and no notices');
}
export type OutputOptions = UiOptions;

/** Where runs lie that were not put elsewhere. */
export const runsFolder = 'runs';

/** Names in a run folder that tell it from other folders. */
export const isRun = (folder: string): boolean =>
  existsSync(join(folder, 'config.json')) && existsSync(join(folder, 'checkpoints'));

/** A run or a model file as the user named it. */
export interface Weights {
  /** The safetensors file. */
  readonly file: string;
  /** The run that it belongs to. */
  readonly run?: string;
}

/** The model file behind RUN|WEIGHTS. Throws E_NOT_FOUND, or E_RUN for a folder that is no run. */
export async function findWeights(given: string): Promise<Weights> {
  const info = statSync(given, { throwIfNoEntry: false });
  if (!info) {
    throw new DlcourseError({
      code: 'E_NOT_FOUND',
      class: 'notFound',
      where: given,
      problem: 'expected a run folder or a model file, got nothing of that name',
      hint: 'give a folder such as runs/resnet20-stickers-1, or a .safetensors file',
    });
  }
  if (info.isDirectory()) {
    if (!isRun(given)) {
      throw new DlcourseError({
        code: 'E_RUN',
        class: 'notFound',
        where: given,
        problem: 'expected a run folder with config.json and checkpoints, got another folder',
        hint: 'give a folder that dlcourse train has made, or a .safetensors file',
      });
    }
    const { weightsOfRun } = await import('../src/train/run.js');
    return { file: await weightsOfRun(given), run: given };
  }
  const folders = [dirname(given), dirname(dirname(given))];
  const run = folders.find(isRun);
  return { file: given, ...(run ? { run } : {}) };
}

/** Without a name: the newest finished run below ./runs, else the weights that the package carries. */
export async function defaultWeights(runs = runsFolder): Promise<Weights> {
  const newest = finishedRuns(runs)[0];
  if (newest) return findWeights(newest);
  const folder = join(packageRoot, 'datasets', 'weights');
  const names = existsSync(folder) ? readdirSync(folder).filter(name => name.endsWith('.safetensors')) : [];
  const [first] = names.sort();
  if (first) return { file: join(folder, first) };
  throw new DlcourseError({
    code: 'E_NO_WEIGHTS',
    class: 'notFound',
    where: '--weights',
    problem: `expected a finished run below ${runs}, got none`,
    hint: "train one with 'dlcourse train', or give --weights RUN|FILE",
  });
}

/** Run folders that hold a report, the newest first. */
export function finishedRuns(runs: string): string[] {
  if (!statSync(runs, { throwIfNoEntry: false })?.isDirectory()) return [];
  return readdirSync(runs)
    .map(name => join(runs, name))
    .flatMap(folder => {
      const report = statSync(join(folder, 'report.json'), { throwIfNoEntry: false });
      return report && existsSync(join(folder, 'model.safetensors')) ? [{ folder, at: report.mtimeMs }] : [];
    })
    .sort((a, b) => b.at - a.at)
    .map(({ folder }) => folder);
}

/** A path as short as it can be written from here, safe to print. */
export function shown(path: string): string {
  const near = relative('', path);
  return printable(near !== '' && near.length < path.length ? near : path);
}

/** Before the first picture: only the decoders that are wanted, for this process is ours. */
export async function openDecoders(formats: readonly ImageFormat[] = []): Promise<void> {
  const { baseFormats, restrictSharp } = await import('../src/data/image.js');
  restrictSharp([...baseFormats, ...formats]);
}

/** Throws CheckFailed when `top1` is below the gate (or not a number). */
export function checkAccuracy(result: object, where: string, wanted: number | undefined, top1: number): void {
  if (wanted !== undefined && !(top1 >= wanted)) throw new CheckFailed(result, where, wanted, top1);
}

/** Throws E_EXISTS where a file to be written is there already and nobody said --force. */
export function refuseExisting(file: string, force = false): void {
  if (force || !existsSync(file)) return;
  throw new DlcourseError({
    code: 'E_EXISTS',
    class: 'usage',
    where: file,
    problem: 'expected a new file, got one that exists',
    hint: 'choose another name, or replace it with --force',
  });
}
