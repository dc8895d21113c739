// The generations of a checkpoint: several complete files in a folder, the newest found by its step, never by a pointer.

import { join } from 'node:path';
import { DlcourseError } from '../errors.js';
import { removeStaleTemporaries } from './durable.js';
import { type FileSystem, nodeFileSystem, readError, systemCode, writeError } from './filesystem.js';
import { type Metadata, openSafetensors, type TensorSource, writeSafetensors } from './safetensors.js';

/** One checkpoint file: `checkpoint-<step>.safetensors`. */
export interface Generation {
  path: string;
  /** How many optimizer steps it had seen. */
  step: number;
}

/** A checkpoint that does not verify, and why. */
export interface DamagedGeneration extends Generation {
  error: DlcourseError;
}

export interface NewestGeneration {
  /** The newest that verifies; undefined if there is none. */
  generation: Generation | undefined;
  /** The newer ones that do not verify, newest first. */
  damaged: DamagedGeneration[];
}

const namePattern = /^checkpoint-([0-9]{1,15})\.safetensors$/;

/** `checkpoint-<step>.safetensors`, the step padded so that file listings are in order. */
export function generationName(step: number): string {
  if (!Number.isSafeInteger(step) || step < 0 || step >= 1e15) {
    throw new RangeError(`generationName: expected a step from 0 to 10^15 - 1, got ${step}`);
  }
  return `checkpoint-${String(step).padStart(8, '0')}.safetensors`;
}

/** The checkpoints in `folder` by name alone, newest first. Errors: `E_NOT_FOUND`, `E_READ`. */
export async function listGenerations(folder: string, fs: FileSystem = nodeFileSystem): Promise<Generation[]> {
  const names = await fs.readdir(folder).catch(error => {
    throw readError(folder, error);
  });
  const steps = new Map(names.map(name => [name, namePattern.exec(name)?.[1]]));
  return [...steps]
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .map(([name, step]) => ({ path: join(folder, name), step: Number(step) }))
    .sort((a, b) => b.step - a.step || (a.path < b.path ? 1 : -1));
}

/**
 * The newest checkpoint in `folder` of which every byte verifies, and the newer ones that do not.
 *
 * Errors: `E_NOT_FOUND`, `E_READ` for the folder itself, and errors that say nothing about a file (too many open
 * files): falling back to an older checkpoint then would lose work.
 */
export async function newestCheckpoint(folder: string, fs: FileSystem = nodeFileSystem): Promise<NewestGeneration> {
  const damaged: DamagedGeneration[] = [];
  for (const generation of await listGenerations(folder, fs)) {
    const error = await verifyCheckpoint(generation.path, fs);
    if (!error) return { generation, damaged };
    damaged.push({ ...generation, error });
  }
  return { generation: undefined, damaged };
}

/** Reads the whole file; returns what is wrong with it, or undefined if every byte is as it was written. */
export async function verifyCheckpoint(
  path: string,
  fs: FileSystem = nodeFileSystem,
): Promise<DlcourseError | undefined> {
  try {
    const file = await openSafetensors(path, { requireChecksums: true, fs });
    try {
      await file.verify();
    } finally {
      await file.close().catch(() => {});
    }
    return undefined;
  } catch (error) {
    if (error instanceof DlcourseError && tellsOfTheFile(error)) return error;
    throw error;
  }
}

function tellsOfTheFile(error: DlcourseError): boolean {
  if (error.class === 'refusedFile' || error.class === 'integrity') return true;
  const cause = (error.cause as { code?: string } | undefined)?.code;
  return error.code === 'E_NOT_FOUND' || (error.code === 'E_READ' && !['EMFILE', 'ENFILE', 'ENOMEM'].includes(cause!));
}

/**
 * The checkpoints of one run: saves them durably and keeps the newest `keep` that are known to be good.
 *
 * A checkpoint counts as good once this object wrote it or verified it; each file is verified at most once. Damaged
 * ones never count towards `keep`, so that at every moment at least one good generation is left (two after the second
 * save).
 */
export class Generations {
  readonly keep: number;
  private readonly fs: FileSystem;
  private readonly good = new Set<string>();

  /** `keep`: at least 2, so that a damaged newest one leaves another. `fs` is for tests. */
  constructor(
    readonly folder: string,
    options: { keep?: number; fs?: FileSystem } = {},
  ) {
    this.keep = options.keep ?? 2;
    this.fs = options.fs ?? nodeFileSystem;
    if (!Number.isInteger(this.keep) || this.keep < 2) {
      throw new RangeError(`Generations: expected to keep at least 2, got ${this.keep}`);
    }
  }

  /** See {@link newestCheckpoint}; what verifies is remembered. */
  async newest(): Promise<NewestGeneration> {
    const result = await newestCheckpoint(this.folder, this.fs);
    if (result.generation) this.good.add(result.generation.path);
    return result;
  }

  /**
   * Saves one checkpoint; it is on disk when the promise resolves. Then older ones are removed (see {@link prune}).
   * Errors: `E_SAFETENSORS_WRITE`; `E_WRITE` naming this file, with all earlier generations as they were, or naming an
   * older one that could not be removed, with this one saved.
   */
  async save(step: number, tensors: Iterable<TensorSource>, metadata: Metadata): Promise<Generation> {
    const path = join(this.folder, generationName(step));
    await writeSafetensors(path, tensors, metadata, { fs: this.fs });
    this.good.add(path);
    await this.prune();
    return { path, step };
  }

  /**
   * Removes the checkpoints that are older than the newest `keep` good ones, and temporary files of killed processes.
   * Newer damaged ones stay as evidence until a save of the same step replaces them. Returns what was removed.
   */
  async prune(): Promise<Generation[]> {
    const generations = await listGenerations(this.folder, this.fs);
    const removed: Generation[] = [];
    let kept = 0;
    for (const generation of generations) {
      if (kept === this.keep) removed.push(generation);
      else if (await this.isGood(generation.path)) kept++;
    }
    await this.remove(removed);
    await removeStaleTemporaries(this.folder, this.fs);
    return removed;
  }

  /**
   * Removes the checkpoints after `step`: for a run that goes on from an earlier one and must not find these again.
   * Refused (`E_NO_CHECKPOINT`, class integrity) if no good one would be left.
   */
  async removeAfter(step: number): Promise<Generation[]> {
    const generations = await listGenerations(this.folder, this.fs);
    const removed = generations.filter(generation => generation.step > step);
    this.good.clear(); // what is about to be removed may be the last good one: look again
    let left = 0;
    for (const generation of generations) {
      if (generation.step <= step && (await this.isGood(generation.path))) left++;
      if (left > 0) break;
    }
    if (left === 0) {
      throw new DlcourseError({
        code: 'E_NO_CHECKPOINT',
        class: 'integrity',
        where: this.folder,
        problem: `expected an intact checkpoint of step ${step} or earlier, got none`,
        hint: 'go on from a later checkpoint',
      });
    }
    await this.remove(removed);
    return removed;
  }

  private async remove(generations: readonly Generation[]): Promise<void> {
    for (const { path } of generations) {
      await this.fs.unlink(path).catch(error => {
        if (systemCode(error) !== 'ENOENT') throw writeError(path, 'remove this checkpoint', error);
      });
      this.good.delete(path);
    }
  }

  private async isGood(path: string): Promise<boolean> {
    if (!this.good.has(path) && !(await verifyCheckpoint(path, this.fs))) this.good.add(path);
    return this.good.has(path);
  }
}

/** The run folder's newest intact checkpoint. Errors: `E_NO_CHECKPOINT`, with what is damaged; see {@link newestCheckpoint}. */
export async function requireCheckpoint(
  folder: string,
  fs: FileSystem = nodeFileSystem,
): Promise<NewestGeneration & { generation: Generation }> {
  const { generation, damaged } = await newestCheckpoint(folder, fs);
  if (generation) return { generation, damaged };
  const first = damaged[0];
  throw new DlcourseError({
    code: 'E_NO_CHECKPOINT',
    class: first ? 'integrity' : 'notFound',
    where: folder,
    problem: `expected an intact checkpoint, got ${first ? `${damaged.length} damaged (${first.error.message})` : 'none'}`,
    hint: first ? 'start the training again' : 'give the folder of a run that has saved a checkpoint',
    cause: first?.error,
  });
}
