// A training as one file: tensors, position, recipe, model, history. What is in it is enough to go on, byte for byte.

import { DlcourseError } from '../errors.js';
import type { Generation, Generations } from '../io/generations.js';
import { openSafetensors } from '../io/safetensors.js';
import { cardEntry, type ModelCard, parseJson, readCard, refused, tensorFinder } from '../models/file.js';
import { readState, writeState } from '../models/weights.js';
import type { Store } from '../runtime/program.js';
import type { EpochRecord } from './loop.js';
import type { Recipe } from './recipe.js';
import type { Position, Training } from './training.js';

/** What decides the numbers of a training besides its tensors. No wall-clock time: the same training, the same bytes. */
export interface TrainingRecord {
  readonly recipe: Recipe;
  readonly position: Position;
  readonly history: readonly EpochRecord[];
  /** Name of the network in the zoo, if it is from there, and its form. */
  readonly network?: { readonly name: string; readonly form: string };
  readonly data: DataIdentity;
  /** Instruction set in which the last steps were computed. */
  readonly isa: string;
}

/** How the data were opened, and a digest of what was there. */
export interface DataIdentity {
  readonly source: string;
  readonly name: string;
  readonly fingerprint: string;
  readonly trainImages: number;
  readonly testImages: number;
}

const RECORD = 'dlcourse.training';

/** Writes the next generation; resolves when it is on the disk whole. */
export async function saveCheckpoint(
  generations: Generations,
  training: Training,
  store: Store,
  card: ModelCard,
  record: TrainingRecord,
): Promise<Generation> {
  return generations.save(training.position.step, readState(store, training.state), [
    cardEntry(card),
    [RECORD, JSON.stringify(record)],
  ]);
}

/** The card and the record of a checkpoint. Throws E_MODEL_FILE when the file is no checkpoint. */
export async function readCheckpoint(path: string): Promise<{ card: ModelCard; record: TrainingRecord }> {
  const file = await openSafetensors(path, { requireChecksums: true });
  try {
    const text = file.metadata.get(RECORD);
    if (text === undefined) throw refused(path, 'a checkpoint', 'a model without its training');
    return { card: readCard(file, path), record: parseJson(text, path) as TrainingRecord };
  } finally {
    await file.close();
  }
}

/** Puts the tensors and the position of a checkpoint into a training of the same model and recipe. */
export async function restoreCheckpoint(
  path: string,
  training: Training,
  store: Store,
  position: Position,
): Promise<void> {
  // The position first: what the optimizer keeps depends on what is trained there.
  training.position = position;
  const file = await openSafetensors(path, { requireChecksums: true });
  try {
    await writeState(store, training.state, tensorFinder(file), path);
  } finally {
    await file.close();
  }
}

/** Throws E_DATA_CHANGED when a run is resumed on other data than it began with. */
export function checkSameData(where: string, before: DataIdentity, now: DataIdentity): void {
  if (before.fingerprint === now.fingerprint) return;
  throw new DlcourseError({
    code: 'E_DATA_CHANGED',
    class: 'mismatch',
    where,
    problem:
      `expected the data that the run began with (${before.trainImages} + ${before.testImages} images), ` +
      `got others (${now.trainImages} + ${now.testImages})`,
    hint: 'restore the data, or start a new run with --init and these weights',
  });
}
