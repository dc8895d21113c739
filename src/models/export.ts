// A model of ours as a file that other programs load: in their names and shapes.

import { DlcourseError } from '../errors.js';
import type { Layout, LayoutName } from '../io/layouts/layout.js';
import { layouts } from '../io/layouts/list.js';
import { writePytorch } from '../io/pytorch-writer.js';
import { type TensorSource, writeSafetensors } from '../io/safetensors.js';
import type { Model } from '../layers/model.js';
import { buildNetwork, type Form, findNetwork, networkNames } from '../zoo/zoo.js';
import type { LoadedModel } from './file.js';
import { type ForeignTensor, foreignTensors } from './foreign.js';
import { toDisk } from './weights.js';

export const exportFormats = ['pytorch', 'safetensors'] as const;
export type ExportFormat = (typeof exportFormats)[number];

export interface ExportOptions {
  readonly format: ExportFormat;
  /** Whose names; by default the first that the network has, torchvision's before others', at last our own. */
  readonly layout?: LayoutName | undefined;
}

export interface Exported {
  readonly layout: LayoutName;
  readonly form?: Form;
  /** Tensors written, counters of batches among them. */
  readonly tensors: number;
  /** A background class stands before the others: it can never be the answer. */
  readonly background: boolean;
}

/**
 * Writes a model's weights for another program, durably. Each norm gets the counter `num_batches_tracked` that PyTorch
 * asks for with strict=True; it is 0.
 *
 * Errors: `E_LAYOUT` (the layout does not have this network; `mismatch` where the model is none of the zoo),
 * `E_PYTORCH_WRITE`, `E_WRITE`.
 */
export async function exportModel(path: string, loaded: LoadedModel, options: ExportOptions): Promise<Exported> {
  const { layout, form } = await layoutFor(loaded.model, options.layout, path);
  const foreign = foreignTensors(loaded.model, layout);
  const tensors = foreign.flatMap(tensor => sources(loaded, tensor));
  if (options.format === 'pytorch') await writePytorch(path, tensors);
  else await writeSafetensors(path, tensors, [['format', 'pt']]);
  const background = foreign.some(tensor => tensor.background);
  return { layout: layout.layout, ...(form ? { form } : {}), tensors: tensors.length, background };
}

function sources({ store }: LoadedModel, { name, shape, spec, background }: ForeignTensor): TensorSource[] {
  const values = toDisk(store.read(spec.name) as Float32Array, spec.shape, spec.layout);
  const data = background ? withBackground(values, shape, spec.role === 'bias') : values;
  const tensor: TensorSource = { name, dtype: 'F32', shape, data };
  if (spec.role !== 'statistic' || !name.endsWith('.running_var')) return [tensor];
  const counter = name.replace(/running_var$/, 'num_batches_tracked');
  return [tensor, { name: counter, dtype: 'I64', shape: [], data: new BigInt64Array(1) }];
}

/** A first row for the background class: no weights, and a bias so low that its probability is 0. */
function withBackground(values: Float32Array, shape: readonly number[], isBias: boolean): Float32Array {
  const row = values.length / (shape[0]! - 1);
  const data = new Float32Array(values.length + row);
  data.set(values, row);
  return isBias ? data.fill(-1e4, 0, row) : data;
}

/** The layout to write, and the form where the model is a network of the zoo. */
async function layoutFor(
  model: Model,
  asked: LayoutName | undefined,
  where: string,
): Promise<{ layout: Layout; form?: Form }> {
  const own: Layout = { layout: 'dlcourse', networks: [model.name], form: 'imagenet', rules: [] };
  const form = await formOf(model);
  if (asked === 'dlcourse') return { layout: own, ...(form ? { form } : {}) };
  const fitting = form ? layouts.filter(l => l.form === form && l.networks.includes(model.name)) : [];
  const layout = fitting.find(l => asked === undefined || l.layout === asked);
  // A head of its own has no background class.
  const isPublished = form && (await findNetwork(model.name)).forms[form]?.classes === model.outputShape()[0];
  if (layout && form) return { layout: isPublished ? layout : { ...layout, background: false }, form };
  if (asked === undefined) return { layout: own, ...(form ? { form } : {}) };
  const names = [...new Set(fitting.map(l => l.layout)), 'dlcourse'];
  throw new DlcourseError({
    code: 'E_LAYOUT',
    class: 'mismatch',
    where,
    problem: form
      ? `expected a layout that has ${model.name} (form ${form}), got ${asked}`
      : `expected a network of the zoo as it is built there, got another model ('${model.name}')`,
    hint: `there is ${names.join(', ')}`,
  });
}

/** The form whose tensors the model has; undefined where it is no network of the zoo, or was changed. */
async function formOf(model: Model): Promise<Form | undefined> {
  if (!networkNames.includes(model.name)) return undefined;
  const network = await findNetwork(model.name);
  const input = model.inputShape();
  const [classes] = model.outputShape();
  if (input.length !== 3 || classes === undefined) return undefined;
  const tensors = (m: Model): string => m.state.map(s => `${s.name} ${s.shape}`).join();
  const kinds = (m: Model): string => m.config.layers.map(l => `${l.kind} ${JSON.stringify(l.config)}`).join();
  const fitting: { form: Form; same: boolean }[] = [];
  for (const form of Object.keys(network.forms) as Form[]) {
    for (const auxiliary of [false, true]) {
      const built = await buildNetwork(model.name, input as [number, number, number], classes, {
        form,
        auxiliary,
      }).catch(() => undefined);
      if (built && tensors(built) === tensors(model)) fitting.push({ form, same: kinds(built) === kinds(model) });
    }
  }
  // Two forms can have the same tensors: then what the layers do decides.
  return (fitting.find(f => f.same) ?? fitting[0])?.form;
}
