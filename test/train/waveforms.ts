// A worked 1-D example: sequences of 64 samples of one channel, a small convolution network, three classes.

import { batchNorm, conv1d, globalAvgPool, linear, Model, relu, seq } from '../../src/layers/index.js';
import { generator } from '../../src/layers/initializers.js';
import type { Arrays } from '../../src/train/learner.js';

const LENGTH = 64;

/** One period, phase 0 ≤ p < 1: sine, square, sawtooth. */
const waves = [(p: number) => Math.sin(2 * Math.PI * p), (p: number) => (p < 0.5 ? 1 : -1), (p: number) => 2 * p - 1];

/** n×64×1 waves of random phase, 2 to 6 periods, with uniform noise of ±0.4; y says which wave. */
export function waveforms(n: number, key: string): Arrays {
  const random = generator(1, key);
  const x = new Float32Array(n * LENGTH);
  const y = Int32Array.from({ length: n }, (_, i) => i % waves.length);
  for (let i = 0; i < n; i++) {
    const [phase, periods] = [random(), 2 + 4 * random()];
    for (let t = 0; t < LENGTH; t++) {
      x[i * LENGTH + t] = waves[y[i]!]!((phase + (periods * t) / LENGTH) % 1) + 0.8 * (random() - 0.5);
    }
  }
  return { x, y };
}

/** n×64×1 → n×32×16 → n×16×32 → n×32 → n×3: 3,267 parameters. */
export const sequenceNetwork = (): Model =>
  Model.from(
    [LENGTH, 1],
    seq({
      conv1: conv1d(16, 7, { stride: 2, bias: false }),
      bn1: batchNorm(),
      relu1: relu(),
      conv2: conv1d(32, 6, { stride: 2, padding: [2, 2], bias: false }),
      bn2: batchNorm(),
      relu2: relu(),
      mean: globalAvgPool(),
      fc: linear(3),
    }),
    'waveforms',
  );
