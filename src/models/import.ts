// Weights of other programs as a model of ours: recognised, renamed, and with what `predict` needs.

import type { Preprocessing } from '../data/preprocessing.js';
import { DlcourseError } from '../errors.js';
import { type Layout, preparations } from '../io/layouts/layout.js';
import { openWeights, type WeightsFile } from '../io/weights-file.js';
import { Store } from '../runtime/program.js';
import { buildNetwork, findNetwork } from '../zoo/zoo.js';
import { classNames, usualList } from './class-names.js';
import { FORMAT, hasCard, type LoadedModel } from './file.js';
import type { ForeignTensor } from './foreign.js';
import { type Hints, presentName, type Recognised, recognise } from './recognise.js';
import { fromDisk } from './weights.js';

export interface ImportOptions extends Hints {
  /** The container to take where a file has several, such as `state_dict_ema`. */
  readonly part?: string | undefined;
  /** Names of the classes: a list's name or a text file; by default from the number of classes and the form. */
  readonly classes?: string | undefined;
  /** How pictures are prepared; by default as the layout's weights were trained. */
  readonly preprocess?: keyof typeof preparations | undefined;
  /** Shorter side before the crop, and side of the crop, in pixels. */
  readonly resize?: number | undefined;
  readonly crop?: number | undefined;
  readonly interpolation?: 'linear' | 'cubic' | undefined;
  /** What was decided, in words. */
  readonly onNotice?: ((line: string) => void) | undefined;
}

export interface ImportedModel extends LoadedModel {
  readonly recognised: Pick<Recognised, 'network' | 'form' | 'layout' | 'classes' | 'auxiliary'>;
  /** What stood before the names, such as `state_dict.module.`. */
  readonly prefix: string;
}

/**
 * Reads the weights of a network that another program trained, from one file or several shards, whatever their kind.
 *
 * Errors: those of openWeights, recognise and classNames; `E_OURS` for a model of this program.
 */
export async function importModel(paths: readonly string[], options: ImportOptions = {}): Promise<ImportedModel> {
  if (options.model !== undefined) await findNetwork(options.model);
  for (const path of paths) if (await hasCard(path)) throw ours(path);
  const file = await openWeights(paths, options);
  try {
    return await importFrom(file, options);
  } finally {
    await file.close();
  }
}

async function importFrom(file: WeightsFile, options: ImportOptions): Promise<ImportedModel> {
  const { path, prefix } = file;
  const notice = options.onNotice ?? (() => {});
  const shapes = new Map([...file.tensors].map(([name, { shape }]) => [name, shape]));
  const recognised = await recognise(shapes, options, path);
  const { network, form, layout, classes, auxiliary } = recognised;
  notice(`${path}: ${network} (form ${form}) in the names of ${layout.layout}, ${classes} classes`);
  if (file.others.length > 0) {
    notice(`${path}: took '${prefix.slice(0, -1)}'; --part can take ${file.others.map(o => `'${o}'`).join(' or ')}`);
  }
  const { input } = (await findNetwork(network)).forms[form]!;
  const preprocessing = preprocessingOf(layout, input, options, path);
  const list = usualList(classes, form);
  const chosen = options.classes ?? list;
  if (options.classes === undefined && list)
    notice(`${path}: classes are named as those of ${list}: --classes changes it`);
  const names = chosen ? await classNames(chosen, classes) : Array.from({ length: classes }, (_, i) => String(i));
  if (!chosen) notice(`${path}: classes have numbers for names: --classes names them`);
  // The data set itself is known for pictures of its own size only.
  const data = chosen === list && list !== 'imagenet' ? list : undefined;

  const { height, width, channels } = preprocessing;
  const usual = height === input[0] && width === input[1] && channels === input[2];
  const model = usual
    ? recognised.model
    : await buildNetwork(network, [height, width, channels], classes, { form, auxiliary });
  const store = new Store();
  const keys = new Map([...file.tensors.keys()].map(key => [presentName(key, layout), key]));
  for (const tensor of recognised.tensors) {
    const { spec } = tensor;
    store.define(spec.name, spec.shape);
    const values = withoutBackground(await file.float32(keys.get(tensor.name)!), tensor);
    store.write(spec.name, fromDisk(values, spec.shape, spec.layout));
  }
  const card = { format: FORMAT, model: model.config, classes: names, preprocessing, ...(data ? { data } : {}) };
  return { model, card, store, recognised: { network, form, layout, classes, auxiliary }, prefix };
}

const withoutBackground = (values: Float32Array, { background, shape }: ForeignTensor): Float32Array =>
  background ? values.slice(values.length / shape[0]!) : values;

/** How pictures become the input: as published for the layout, but for what the user asked for. */
function preprocessingOf(
  { preprocessing: published }: Layout,
  input: readonly [number, number, number],
  options: ImportOptions,
  where: string,
): Preprocessing {
  const crop = options.crop ?? published?.crop ?? input[0];
  const resize = options.resize ?? (published ? Math.round((published.resize * crop) / published.crop) : crop);
  if (resize < crop) {
    throw new DlcourseError({
      code: 'E_OPTION',
      class: 'usage',
      where: '--resize',
      problem: `expected at least the ${crop} pixels of the crop, got ${resize}`,
      hint: 'give --crop too',
    });
  }
  const channels = input[2] === 1 ? 1 : 3;
  const { mean, std } = preparations[options.preprocess ?? 'torch'];
  const chosen = options.preprocess === undefined && published ? published : { mean, std };
  if (!published && options.preprocess === undefined) {
    options.onNotice?.(`${where}: nothing is known of how pictures were prepared, 'torch' is taken: see --preprocess`);
  }
  return {
    height: crop,
    width: crop,
    channels,
    fit: 'crop',
    cropFraction: crop / resize,
    interpolation: options.interpolation ?? published?.interpolation ?? 'linear',
    mean: [...chosen.mean].slice(0, channels),
    std: [...chosen.std].slice(0, channels),
  };
}

const ours = (where: string): DlcourseError =>
  new DlcourseError({
    code: 'E_OURS',
    class: 'usage',
    where,
    problem: 'expected weights of another program, got a model of dlcourse',
    hint: 'eval, predict, train --init and export take it as it is',
  });
