// A first convolution whose filters are the principal components of small patches of the training images.

import { DlcourseError } from '../errors.js';
import type { StateSpec } from '../layers/layer.js';
import type { Model } from '../layers/model.js';
import { defineState } from '../models/weights.js';
import type { Store } from '../runtime/program.js';
import type { ImageSource } from './inputs.js';

/** Pictures whose patches are looked at, and what is added to each variance (Jordan 2024, section 3.2). */
const PICTURES = 5000;
const EPSILON = 5e-4;

/**
 * The weights of the convolution that whitens: it alone reads the model's input, by an even number of filters, at most
 * two for each number in a patch. Throws E_WHITEN where the model begins otherwise.
 */
export function whitenedTensor(model: Model): StateSpec {
  const readers = model.config.layers.filter(layer => layer.inputs.includes(0));
  const [first] = readers;
  const spec = first && model.state.find(s => s.name === `${first.path}.weight`);
  const [kh, kw, channels, filters] = (spec?.shape ?? []) as number[];
  const most = 2 * kh! * kw! * channels!;
  const fits = readers.length === 1 && first!.kind === 'conv2d' && first!.config['groups'] === 1;
  if (spec && fits && filters! % 2 === 0 && filters! <= most) return spec;
  throw new DlcourseError({
    code: 'E_WHITEN',
    class: 'usage',
    where: model.name,
    problem: `expected a first convolution of an even number of filters${fits ? `, at most ${most}` : ''}, got ${
      fits ? filters : (first?.kind ?? 'none')
    }`,
    hint: 'train it without whitening',
  });
}

/**
 * Sets the weights of the model's first convolution, before a training: the eigenvectors v of the second moments of the
 * patches of normalised training images, those of the largest eigenvalues λ first, as v/√(λ + 0.0005), then all of them
 * with the other sign (Jordan 2024, section 3.2; Page 2018).
 */
export async function whiten(model: Model, store: Store, source: ImageSource, seed: number): Promise<void> {
  const spec = whitenedTensor(model);
  defineState(store, model.state, seed);
  const [kh, kw, channels, filters] = spec.shape as readonly [number, number, number, number];
  const moments = await patchMoments(source, kh, kw);
  const { EigenvalueDecomposition } = await import('ml-matrix');
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(moments, { assumeSymmetric: true });
  const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[b]! - realEigenvalues[a]!);
  const weights = new Float32Array(kh * kw * channels * filters);
  for (let f = 0; f < filters / 2; f++) {
    const scale = 1 / Math.sqrt(realEigenvalues[order[f]!]! + EPSILON);
    for (let k = 0; k < kh * kw * channels; k++) {
      const weight = eigenvectorMatrix.get(k, order[f]!) * scale;
      weights[k * filters + f] = weight;
      weights[k * filters + f + filters / 2] = -weight;
    }
  }
  store.write(spec.name, weights);
}

/** E[p pᵀ] over all kh×kw patches p (rows, columns, channels) of normalised pictures spread evenly over the source. */
async function patchMoments({ split, preprocessing }: ImageSource, kh: number, kw: number): Promise<number[][]> {
  const { height, width, channels } = split.image;
  const count = Math.min(PICTURES, split.length);
  const size = kh * kw * channels;
  const sums = new Float64Array(size * size);
  const pixels = new Uint8Array(height * width * channels);
  const picture = new Float64Array(pixels.length);
  const patch = new Float64Array(size);
  for (let i = 0; i < count; i++) {
    await split.read([Math.floor((i * split.length) / count)], pixels);
    for (let k = 0; k < pixels.length; k++) {
      picture[k] = (pixels[k]! / 255 - preprocessing.mean[k % channels]!) / preprocessing.std[k % channels]!;
    }
    for (let y = 0; y + kh <= height; y++) {
      for (let x = 0; x + kw <= width; x++) {
        for (let row = 0; row < kh; row++) {
          const from = ((y + row) * width + x) * channels;
          patch.set(picture.subarray(from, from + kw * channels), row * kw * channels);
        }
        for (let a = 0; a < size; a++) for (let b = 0; b <= a; b++) sums[a * size + b]! += patch[a]! * patch[b]!;
      }
    }
  }
  const patches = count * (height - kh + 1) * (width - kw + 1);
  return Array.from({ length: size }, (_, a) =>
    Array.from({ length: size }, (_, b) => sums[Math.max(a, b) * size + Math.min(a, b)]! / patches),
  );
}
