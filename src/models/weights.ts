// State between the store and files: initial values, and the order of dimensions on disk.

import { DlcourseError } from '../errors.js';
import type { TensorSource } from '../io/safetensors.js';
import { initialValues } from '../layers/initializers.js';
import type { DiskLayout, StateSpec } from '../layers/layer.js';
import type { Store } from '../runtime/program.js';

/** Defines tensors that the store does not have yet, with their initial values for `seed`. */
export function defineState(store: Store, specs: readonly StateSpec[], seed: number): void {
  for (const spec of specs) {
    if (store.has(spec.name)) continue;
    store.define(spec.name, spec.shape);
    const { initializer } = spec;
    if (initializer.kind === 'constant' && initializer.value === 0) continue;
    const length = spec.shape.reduce((p, d) => p * d, 1);
    store.write(spec.name, initialValues(initializer, length, seed, spec.name));
  }
}

/** Shape on disk, which is PyTorch's: convolutions [oc, ic/groups, kh, kw] (1-D: [oc, ic/groups, k]), linear [out, in]. */
export function diskShape(shape: readonly number[], layout: DiskLayout): number[] {
  const [kh, kw, ic, oc] = shape as readonly [number, number, number, number];
  if (layout === 'conv') return [oc, ic, kh, kw];
  if (layout === 'linear') return [oc, ic];
  return [...shape];
}

/** From the engine's order of dimensions to that on disk. */
export function toDisk(data: Float32Array, shape: readonly number[], layout: DiskLayout): Float32Array {
  return layout === 'same' ? data : transpose(data, shape, true);
}

/** The inverse of `toDisk`. */
export function fromDisk(data: Float32Array, shape: readonly number[], layout: DiskLayout): Float32Array {
  return layout === 'same' ? data : transpose(data, shape, false);
}

/** HWIO to OIHW and back: [taps, ic, oc] against [oc, ic, taps]. */
function transpose(data: Float32Array, shape: readonly number[], forward: boolean): Float32Array {
  const [kh, kw, ic, oc] = shape as readonly [number, number, number, number];
  const taps = kh * kw;
  const out = new Float32Array(data.length);
  for (let t = 0; t < taps; t++) {
    for (let i = 0; i < ic; i++) {
      for (let o = 0; o < oc; o++) {
        const engine = (t * ic + i) * oc + o;
        const disk = (o * ic + i) * taps + t;
        if (forward) out[disk] = data[engine]!;
        else out[engine] = data[disk]!;
      }
    }
  }
  return out;
}

/** Tensors of the store as they are written to files. */
export function readState(store: Store, specs: readonly StateSpec[], rename = (name: string) => name): TensorSource[] {
  return specs.map(spec => ({
    name: rename(spec.name),
    dtype: 'F32',
    shape: diskShape(spec.shape, spec.layout),
    data: toDisk(store.read(spec.name) as Float32Array, spec.shape, spec.layout),
  }));
}

/**
 * Writes tensors of a file into the store.
 * @param find a tensor by name: its shape on disk and its values, or undefined
 * Throws E_WEIGHTS (class mismatch) that lists what is missing or has another shape.
 */
export async function writeState(
  store: Store,
  specs: readonly StateSpec[],
  find: (name: string) => Promise<{ shape: readonly number[]; data: Float32Array } | undefined>,
  where: string,
): Promise<void> {
  const wrong: string[] = [];
  for (const spec of specs) {
    const found = await find(spec.name);
    const expected = diskShape(spec.shape, spec.layout);
    if (!found) wrong.push(`${spec.name} is missing`);
    else if (found.shape.join() !== expected.join()) {
      wrong.push(`${spec.name} is ${found.shape.join('×')} instead of ${expected.join('×')}`);
    } else store.write(spec.name, fromDisk(found.data, spec.shape, spec.layout));
  }
  if (wrong.length === 0) return;
  const shown = wrong.slice(0, 5).join(', ');
  throw new DlcourseError({
    code: 'E_WEIGHTS',
    class: 'mismatch',
    where,
    problem: `expected the tensors of this model, but ${shown}${wrong.length > 5 ? `, and ${wrong.length - 5} more` : ''}`,
    hint: 'give the model that these weights were trained in',
  });
}
