// A model as a file: one safetensors file with weights under their paths, and a card that says what the model is.

import { type CropCount, cropCounts } from '../data/crops.js';
import type { Preprocessing } from '../data/preprocessing.js';
import { DlcourseError } from '../errors.js';
import { float32ToFloat16 } from '../io/half.js';
import {
  openSafetensors,
  type SafetensorsFile,
  type TensorSource,
  toFloat32,
  writeSafetensors,
} from '../io/safetensors.js';
import { weightsKind } from '../io/weights-file.js';
// Through the index, so that every kind of layer is known.
import { Model, type ModelConfig } from '../layers/index.js';
import { Store } from '../runtime/program.js';
import { readState, writeState } from './weights.js';

/** Version of the files that this program writes; it reads all versions up to this one. */
export const FORMAT = 1;

/** What a model is, beside its weights. Everything that `predict` needs travels with it. */
export interface ModelCard {
  readonly format: number;
  readonly model: ModelConfig;
  readonly classes: readonly string[];
  /** Absent for models of plain arrays. */
  readonly preprocessing?: Preprocessing;
  /** Crops of each picture whose answers are averaged, where nothing else is asked for; 1 when absent. */
  readonly crops?: CropCount;
  /** Name of the data set that it was trained on. */
  readonly data?: string;
}

const CARD = 'dlcourse.card';

/** A model with its weights in a store. */
export interface LoadedModel {
  readonly model: Model;
  readonly card: ModelCard;
  readonly store: Store;
}

/**
 * Writes a model. Durable: when the promise resolves, the file is there whole.
 * @param options.half store weights as 16-bit floats (statistics too): half the size, about 3 decimal digits
 * @param options.average write the moving averages instead of the trained tensors
 */
export async function saveModel(
  path: string,
  { model, card, store }: LoadedModel,
  options: { half?: boolean; average?: boolean } = {},
): Promise<void> {
  const specs = options.average ? model.state.map(s => ({ ...s, name: `ema/${s.name}` })) : model.state;
  const tensors = readState(store, specs, name => (options.average ? name.slice('ema/'.length) : name));
  await writeSafetensors(path, options.half ? tensors.map(halved) : tensors, [[CARD, JSON.stringify(card)]]);
}

const halved = (tensor: TensorSource): TensorSource => ({
  ...tensor,
  dtype: 'F16',
  data: float32ToFloat16(tensor.data as Float32Array),
});

/**
 * Reads a model: a file that `saveModel` or a training wrote, or weights of another program whose network is recognised
 * (see importModel, which takes what cannot be). Damage is an error that names the file; see openSafetensors,
 * openPytorch. Throws E_MODEL_FILE for a card that is none.
 * @param options.onNotice is told what foreign weights were taken for
 */
export async function loadModel(
  path: string,
  options: { onNotice?: (line: string) => void } = {},
): Promise<LoadedModel> {
  const foreign = async (): Promise<LoadedModel> => (await import('./import.js')).importModel([path], options);
  if ((await weightsKind(path)) === 'pytorch') return foreign();
  const file = await openSafetensors(path);
  try {
    if (!file.metadata.has(CARD)) return await foreign();
    const card = readCard(file, path);
    const model = Model.fromConfig(card.model);
    const store = new Store();
    for (const spec of model.state) store.define(spec.name, spec.shape);
    await writeState(store, model.state, tensorFinder(file), path);
    return { model, card, store };
  } finally {
    await file.close();
  }
}

/** Whether a file of weights is a model of this program. Errors: those of openSafetensors. */
export async function hasCard(path: string): Promise<boolean> {
  if ((await weightsKind(path)) !== 'safetensors') return false;
  const file = await openSafetensors(path);
  await file.close();
  return file.metadata.has(CARD);
}

/** Finds tensors of a file as 32-bit floats. */
export const tensorFinder =
  (file: SafetensorsFile) =>
  async (name: string): Promise<{ shape: readonly number[]; data: Float32Array } | undefined> => {
    if (!file.tensors.has(name)) return undefined;
    const tensor = await file.tensor(name);
    const data = toFloat32(tensor);
    return data && { shape: tensor.shape, data };
  };

export const cardEntry = (card: ModelCard): [string, string] => [CARD, JSON.stringify(card)];

export function readCard(file: SafetensorsFile, path: string): ModelCard {
  const text = file.metadata.get(CARD);
  if (text === undefined) {
    throw refused(
      path,
      'a model written by dlcourse',
      'tensors without a model card',
      'give a run folder or a model file',
    );
  }
  const card = parseJson(text, path) as ModelCard;
  if (!Number.isInteger(card?.format) || card.format < 1) throw refused(path, 'a format number', String(card?.format));
  if (card.format > FORMAT) {
    throw refused(path, `format ${FORMAT} or older`, `format ${card.format}`, 'install a newer dlcourse');
  }
  checkConfig(card.model, path);
  const names = card.classes;
  if (!Array.isArray(names) || !names.every(n => typeof n === 'string'))
    throw refused(path, 'class names', typeof names);
  if (card.crops !== undefined && !cropCounts.includes(card.crops))
    throw refused(path, `crops ${cropCounts.join(', ')}`, String(card.crops));
  return card;
}

/** The shape of the JSON; what it means is checked by Model.fromConfig. */
function checkConfig(config: ModelConfig, path: string): void {
  const numbers = (v: unknown): boolean => Array.isArray(v) && v.every(n => Number.isSafeInteger(n) && n >= 0);
  const ok =
    typeof config === 'object' &&
    config !== null &&
    typeof config.name === 'string' &&
    Array.isArray(config.inputs) &&
    config.inputs.length > 0 &&
    config.inputs.every(i => typeof i?.name === 'string' && numbers(i.shape)) &&
    Array.isArray(config.layers) &&
    config.layers.length <= 1_000_000 &&
    config.layers.every(
      l =>
        typeof l?.path === 'string' &&
        typeof l.kind === 'string' &&
        typeof l.config === 'object' &&
        l.config !== null &&
        numbers(l.inputs) &&
        Number.isSafeInteger(l.id),
    ) &&
    typeof config.outputs === 'object' &&
    config.outputs !== null &&
    Object.values(config.outputs).length > 0 &&
    Object.values(config.outputs).every(id => Number.isSafeInteger(id)) &&
    (config.outputWeights === undefined ||
      (typeof config.outputWeights === 'object' &&
        config.outputWeights !== null &&
        Object.values(config.outputWeights).every(weight => typeof weight === 'number')));
  if (!ok) throw refused(path, 'the description of a model', 'something else');
}

export function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw refused(path, 'JSON', 'something else');
  }
}

export const refused = (path: string, expected: string, got: string, hint?: string): DlcourseError =>
  new DlcourseError({
    code: 'E_MODEL_FILE',
    class: 'refusedFile',
    where: path,
    problem: `expected ${expected}, got ${got}`,
    ...(hint ? { hint } : {}),
  });
