// Resampling of 8-bit pictures, to the byte as Pillow 13 does it (src/libImaging/Resample.c), because published weights
// were trained and measured on what Pillow makes.
//
// Two passes, one a direction, with bytes between them. A kernel that shrinks widens with the ratio. Its weights are
// normalised over the pixels that exist (a border is left out of the mean, not repeated) and rounded to multiples of
// 2^-22, so that both passes are sums of integers: exact, and the same on every machine. The
// addon computes them.

import { native } from '../native.js';
import type { ImageShape } from './dataset.js';
import type { Interpolation } from './preprocessing.js';

/** Interleaved bytes, row by row; 1 or 3 channels. */
export interface Picture extends ImageShape {
  readonly data: Uint8Array;
}

export interface Size {
  readonly height: number;
  readonly width: number;
}

/** A rectangle of pixels. */
export interface Window extends Size {
  readonly left: number;
  readonly top: number;
}

const kernels: Record<Exclude<Interpolation, 'nearest'>, { radius: number; at: (x: number) => number }> = {
  linear: { radius: 1, at: x => Math.max(0, 1 - Math.abs(x)) },
  cubic: { radius: 2, at: x => keys(Math.abs(x)) },
  lanczos3: { radius: 3, at: x => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** Keys' cubic convolution with a = −1/2 (1981). */
function keys(x: number): number {
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

/**
 * Scales a picture to `height × width` and returns what lies in `window` of the result (all of it by default). Only
 * that part is computed; its pixels do not depend on the window. A side that keeps its length is not resampled.
 */
export function resize(
  picture: Picture,
  { height, width }: Size,
  kernel: Interpolation,
  window: Window = { left: 0, top: 0, width, height },
): Picture {
  const { left, top } = window;
  if (kernel === 'nearest') {
    return pick(
      picture,
      nearest(picture.height, height, top, window.height),
      nearest(picture.width, width, left, window.width),
    );
  }
  const x = axisOf(picture.width, width, kernel, left, window.width);
  const y = axisOf(picture.height, height, kernel, top, window.height);
  if (verticalFirst(picture, height, width)) {
    return across(down(picture, y, 0, x.begin, x.end - x.begin), x, x.begin, 0, window.height);
  }
  return down(across(picture, x, 0, y.begin, y.end - y.begin), y, y.begin, 0, window.width);
}

/** Pillow's choice since version 13; before, the horizontal pass always came first. It shows in some last bits. */
function verticalFirst(from: Picture, height: number, width: number): boolean {
  return height < from.height && from.height - height > 2 * (from.width - width);
}

/** A rectangle of a picture: a copy. */
export function crop(picture: Picture, { left, top, width, height }: Window): Picture {
  const { channels } = picture;
  const data = new Uint8Array(height * width * channels);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * picture.width + left) * channels;
    data.set(picture.data.subarray(from, from + width * channels), y * width * channels);
  }
  return { height, width, channels, data };
}

/** Left and right exchanged. */
export function mirror({ height, width, channels, data }: Picture): Picture {
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) {
        out[(y * width + x) * channels + c] = data[(y * width + width - 1 - x) * channels + c];
      }
    }
  }
  return { height, width, channels, data: out };
}

/** Bits of a weight behind the point: the sums fit into 32 bits, as a kernel's weights add to 1. */
const precision = 22;

/** For each pixel of the result: the first pixel it is made of, how many, and their weights, in equal shares. */
interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array;
}

/** One direction: the pixels of the picture that are needed, and how they are mixed; not at all without `taps`. */
interface Axis {
  readonly begin: number;
  readonly end: number;
  readonly taps?: Taps;
}

/** For `length` pixels from `offset` on, when `from` pixels become `to`. */
function axisOf(from: number, to: number, kernel: keyof typeof kernels, offset: number, length: number): Axis {
  if (from === to) return { begin: offset, end: offset + length };
  const taps = tapsOf(from, to, kernel, offset, length);
  return { begin: taps.first[0], end: taps.first[length - 1] + taps.count[length - 1], taps };
}

/** The taps of `length` pixels from `begin` on, when `from` pixels become `to`. */
function tapsOf(from: number, to: number, kernel: keyof typeof kernels, begin: number, length: number): Taps {
  const { radius, at } = kernels[kernel];
  const scale = from / to;
  const widening = Math.max(1, scale);
  const support = radius * widening;
  const stride = 2 * Math.ceil(support) + 1;
  const first = new Int32Array(length);
  const count = new Int32Array(length);
  const weights = new Int32Array(length * stride);
  const row = new Float64Array(stride);
  const narrowing = 1 / widening;
  for (let i = 0; i < length; i++) {
    const centre = (begin + i + 0.5) * scale;
    first[i] = Math.max(0, Math.trunc(centre - support + 0.5));
    count[i] = Math.min(from, Math.trunc(centre + support + 0.5)) - first[i];
    let sum = 0;
    for (let k = 0; k < count[i]; k++) {
      row[k] = at((k + first[i] - centre + 0.5) * narrowing);
      sum += row[k];
    }
    for (let k = 0; k < count[i]; k++) {
      const weight = sum === 0 ? row[k] : row[k] / sum;
      weights[i * stride + k] = Math.trunc((weight < 0 ? -0.5 : 0.5) + weight * 2 ** precision);
    }
  }
  return { first, count, weights };
}

/** Scales `rows` rows from `top` on of a picture whose first column is number `origin`. */
function across(picture: Picture, { begin, end, taps }: Axis, origin: number, top: number, rows: number): Picture {
  if (!taps) return crop(picture, { left: begin - origin, top, width: end - begin, height: rows });
  const { channels } = picture;
  const { first, count, weights } = taps;
  const line = picture.width * channels;
  const data = new Uint8Array(rows * first.length * channels);
  const pass = { vertical: false, line, size: rows, channels, origin, first, count, weights };
  native().resample(picture.data.subarray(top * line), data, pass);
  return { height: rows, width: first.length, channels, data };
}

/** Scales `columns` columns from `left` on of a picture whose first row is number `origin`. */
function down(picture: Picture, { begin, end, taps }: Axis, origin: number, left: number, columns: number): Picture {
  if (!taps) return crop(picture, { left, top: begin - origin, width: columns, height: end - begin });
  const { channels } = picture;
  const { first, count, weights } = taps;
  const size = columns * channels;
  const data = new Uint8Array(first.length * size);
  const pass = { vertical: true, line: picture.width * channels, size, channels, origin, first, count, weights };
  native().resample(picture.data.subarray(left * channels), data, pass);
  return { height: first.length, width: columns, channels, data };
}

/** The pixel that each of `length` pixels from `begin` on is taken from. Positions are added up, as Pillow does. */
function nearest(from: number, to: number, begin: number, length: number): Int32Array {
  const scale = from / to;
  const pixels = new Int32Array(length);
  let at = scale * 0.5;
  for (let i = 0; i < begin + length; i++, at += scale) if (i >= begin) pixels[i - begin] = Math.min(from - 1, at);
  return pixels;
}

function pick({ width, channels, data }: Picture, rows: Int32Array, columns: Int32Array): Picture {
  const out = new Uint8Array(rows.length * columns.length * channels);
  let o = 0;
  for (const y of rows) {
    for (const x of columns) {
      for (let c = 0; c < channels; c++) out[o++] = data[(y * width + x) * channels + c];
    }
  }
  return { height: rows.length, width: columns.length, channels, data: out };
}
