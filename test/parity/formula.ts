// Numbers that Python and TypeScript make alike, to the last bit, from a key and an index (see formula.py).

import { elements } from '../../src/graph/graph.js';

// Not looked up in the loop: in the sandbox of the tests a global costs a hundred times as much.
const { imul } = Math;

/** offset + scale · u, u uniform in [−1, 1): FNV-1a of the key, plus the index, mixed by MurmurHash3's finaliser. */
function hashed(key: string, count: number, scale: number, offset: number): Float32Array {
  let seed = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(key)) seed = imul(seed ^ byte, 0x01000193);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let z = seed + i;
    z = imul(z ^ (z >>> 16), 0x85ebca6b);
    z = imul(z ^ (z >>> 13), 0xc2b2ae35);
    const u = ((z ^ (z >>> 16)) >>> 0) / 2 ** 31 - 1;
    out[i] = offset + u * scale;
  }
  return out;
}

/** A tensor of a state_dict: fan-in scaled weights, norms near the identity. */
export function value(key: string, shape: readonly number[]): Float32Array {
  const count = elements(shape);
  if (shape.length > 1) return hashed(key, count, Math.sqrt(6 / (count / shape[0]!)), 0);
  if (key.endsWith('running_var')) return hashed(key, count, 0.5, 1);
  if (key.endsWith('weight')) return hashed(key, count, 0.25, 1);
  return hashed(key, count, 0.25, 0);
}

/** Input n×h×w×c of unit variance. */
export const images = (count: number, input: readonly number[]): Float32Array =>
  hashed('images', count * elements(input), Math.sqrt(3), 0);

export const labels = (count: number, classes: number): Int32Array =>
  Int32Array.from({ length: count }, (_, i) => (7 * i + 3) % classes);
