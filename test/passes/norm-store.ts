// A store for the tests of passes that move norms: the parameters of one of 8 channels, and weights of 3×3 to 16.

import { Store } from '../../src/runtime/program.js';

const numbers = (length: number, of: (i: number) => number): Float32Array =>
  Float32Array.from({ length }, (_, i) => of(i));

export function store(): Store {
  const all = new Store();
  for (const [name, shape, values] of [
    ['mean', [8], numbers(8, i => i / 8 - 0.4)],
    ['variance', [8], numbers(8, i => 0.3 + i / 4)],
    ['gamma', [8], numbers(8, i => 1.5 - i / 3)],
    ['beta', [8], numbers(8, i => Math.sin(i))],
    ['w', [3, 3, 8, 16], numbers(9 * 8 * 16, i => Math.sin(i * 1.7))],
  ] as const) {
    all.define(name, shape);
    all.write(name, values);
  }
  return all;
}
