// Which sample comes when: keyed by (seed, epoch), so that no generator state needs saving.

import { generator } from '../layers/initializers.js';

/** A permutation of 0 … length − 1 for one epoch (Fisher & Yates; Durstenfeld 1964). */
export function epochOrder(length: number, seed: number, epoch: number): Int32Array {
  const order = Int32Array.from({ length }, (_, i) => i);
  const random = generator(seed, `order/${epoch}`);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const other = order[j]!;
    order[j] = order[i]!;
    order[i] = other;
  }
  return order;
}
