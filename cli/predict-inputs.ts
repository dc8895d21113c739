// From .npy files to rows that a model can be shown.

import { DlcourseError } from '../src/errors.js';
import type { LoadedModel } from '../src/models/file.js';
import type { Source } from '../src/train/inputs.js';

/** Rows of an array, and what to call them. */
export interface Rows {
  readonly source: Source;
  readonly nameOf: (row: number) => string;
}

/**
 * A .npy file: n×(input of the model), or n×c×h×w for images; a missing n counts as 1. Bytes are pixels, and are
 * normalised as the model's card says; all other types are values that are normalised already.
 * Throws E_SHAPE for another shape, or one that can be read in both orders.
 */
export async function tensorSource(path: string, { model, card }: LoadedModel): Promise<Rows> {
  const { npyToFloat32, readNpy } = await import('../src/io/npy.js');
  const { ArraySource, ImageSource } = await import('../src/train/inputs.js');
  const { PackedSplit } = await import('../src/data/dataset.js');
  const { noPreprocessing } = await import('../src/models/pictures.js');
  const array = await readNpy(path);
  const input = model.inputShape();
  const given = array.shape.length === input.length ? [1, ...array.shape] : array.shape;
  const [count = 0, ...row] = given;
  const channelsFirst = input.length === 3 ? [input[2]!, input[0]!, input[1]!] : input;
  const last = row.join() === input.join();
  const first = row.join() === channelsFirst.join();
  if (count < 1 || !(last || first)) throw wrongShape(path, input, array.shape);
  // Where all sides have one length, nothing tells the channels.
  if (last && first && input.length === 3 && input[2]! > 1) throw bothOrders(path, array.shape);
  const nameOf = (i: number): string => `${path}[${i}]`;
  if (array.descr === '|u1') {
    const { preprocessing } = card;
    if (!preprocessing) throw noPreprocessing(path);
    const pixels = last ? array.data : channelsLast(array.data, new Uint8Array(array.data.length), count, input);
    const { height, width, channels } = preprocessing;
    const split = new PackedSplit({ height, width, channels }, new Int32Array(count), pixels, String);
    return { source: new ImageSource(split, preprocessing), nameOf };
  }
  const values = npyToFloat32(array);
  const x = last ? values : channelsLast(values, new Float32Array(values.length), count, input);
  return { source: new ArraySource(x, input, new Int32Array(count)), nameOf };
}

/** n×c×h×w to n×h×w×c, into `out`. */
function channelsLast<T extends Uint8Array | Float32Array>(
  values: T,
  out: T,
  count: number,
  [h, w, c]: readonly number[],
): T {
  const pixels = h! * w!;
  for (let n = 0; n < count; n++) {
    for (let channel = 0; channel < c!; channel++) {
      for (let p = 0; p < pixels; p++) {
        out[(n * pixels + p) * c! + channel] = values[(n * c! + channel) * pixels + p]!;
      }
    }
  }
  return out;
}

const wrongShape = (where: string, input: readonly number[], got: readonly number[]): DlcourseError =>
  new DlcourseError({
    code: 'E_SHAPE',
    class: 'data',
    where,
    problem: `expected an array of n×${input.join('×')}, got ${got.join('×') || 'a scalar'}`,
    hint: 'reshape it, or choose other weights',
  });

const bothOrders = (where: string, got: readonly number[]): DlcourseError =>
  new DlcourseError({
    code: 'E_SHAPE',
    class: 'data',
    where,
    problem: `expected an array that can be read in one order, got ${got.join('×')}, where channels may stand first or last`,
    hint: "give it to the library's predict(), which takes n×h×w×c",
  });
