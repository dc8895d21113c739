// From pictures and .npy files to rows that a model can be shown.

import type { ImageFormat } from '../src/data/image.js';
import { DlcourseError } from '../src/errors.js';
import type { LoadedModel } from '../src/models/file.js';
import type { Source } from '../src/train/inputs.js';

export interface Rows {
  /** Rows of one kind enter the same program. */
  readonly kind: 'pixels' | 'values';
  readonly source: Source;
  readonly nameOf: (row: number) => string;
}

/** Pictures, decoded as the model's card says; `fail` is told of those that cannot be, undefined when none can. */
export async function imageSource(
  files: readonly string[],
  { card }: LoadedModel,
  weights: string,
  formats: readonly ImageFormat[],
  fail: (file: string, error: unknown) => void,
): Promise<Rows | undefined> {
  const { loadImage } = await import('../src/data/image.js');
  const { preprocessing } = card;
  if (!preprocessing) throw arraysOnly(weights);
  const decoded = await Promise.all(
    files.map(file =>
      loadImage(file, preprocessing, formats).then(
        pixels => ({ file, pixels }),
        error => ({ file, error }),
      ),
    ),
  );
  const good: { file: string; pixels: Uint8Array }[] = [];
  for (const one of decoded) {
    if ('pixels' in one) good.push(one);
    else fail(one.file, one.error);
  }
  if (good.length === 0) return undefined;
  const source = await pixelSource(Buffer.concat(good.map(g => g.pixels)), good.length, preprocessing);
  return { kind: 'pixels', source, nameOf: row => good[row]!.file };
}

type Preprocessing = NonNullable<LoadedModel['card']['preprocessing']>;

async function pixelSource(pixels: Uint8Array, count: number, preprocessing: Preprocessing): Promise<Source> {
  const { PackedSplit } = await import('../src/data/dataset.js');
  const { ImageSource } = await import('../src/train/inputs.js');
  const { height, width, channels } = preprocessing;
  const split = new PackedSplit({ height, width, channels }, new Int32Array(count), pixels, String);
  return new ImageSource(split, preprocessing);
}

/**
 * A .npy file. Bytes are pixels, n×h×w×c, and are normalised as the model's card says; all other types are values that
 * are normalised already, n×(input of the model), or n×c×h×w for images. A missing n counts as 1.
 */
export async function tensorSource(path: string, { model, card }: LoadedModel): Promise<Rows> {
  const { npyToFloat32, readNpy } = await import('../src/io/npy.js');
  const { ArraySource } = await import('../src/train/inputs.js');
  const array = await readNpy(path);
  const input = model.inputShape();
  const given = array.shape.length === input.length ? [1, ...array.shape] : array.shape;
  const [count = 0, ...row] = given;
  const nameOf = (i: number): string => `${path}[${i}]`;
  const fits = (shape: readonly number[]): boolean => shape.join() === row.join();
  const channelsFirst = input.length === 3 ? [input[2]!, input[0]!, input[1]!] : undefined;
  if (count < 1) throw wrongShape(path, input, array.shape);
  if (array.descr === '|u1') {
    if (!fits(input)) throw wrongShape(path, input, array.shape);
    if (!card.preprocessing) throw arraysOnly(path);
    return { kind: 'pixels', source: await pixelSource(array.data, count, card.preprocessing), nameOf };
  }
  const values = npyToFloat32(array);
  let x: Float32Array;
  if (fits(input)) x = values;
  else if (channelsFirst && fits(channelsFirst)) x = channelsLast(values, count, input);
  else throw wrongShape(path, input, array.shape);
  return { kind: 'values', source: new ArraySource(x, input, new Int32Array(count)), nameOf };
}

/** n×c×h×w to n×h×w×c. */
function channelsLast(values: Float32Array, count: number, [h, w, c]: readonly number[]): Float32Array {
  const pixels = h! * w!;
  const out = new Float32Array(values.length);
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

const arraysOnly = (where: string): DlcourseError =>
  new DlcourseError({
    code: 'E_NO_PREPROCESSING',
    class: 'mismatch',
    where,
    problem: 'expected a model of images, got one that was trained on plain arrays',
    hint: 'give it rows with --tensor',
  });
