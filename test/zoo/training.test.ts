// Networks with a course of training of their own learn one batch by heart: auxiliary classifiers, scheduled drop path.

import { expect, test } from '@jest/globals';
import { generator } from '../../src/layers/initializers.js';
import { Store } from '../../src/runtime/program.js';
import { ArraySource } from '../../src/train/inputs.js';
import { makeRecipe } from '../../src/train/recipe.js';
import { Training } from '../../src/train/training.js';
import { buildNetwork } from '../../src/zoo/zoo.js';

const BATCH = 4;
const STEPS = 20;

test.each([
  ['googlenet', 8],
  ['nasnet_a_cifar', 12],
  ['dpn26', 8],
])(
  '%s learns one batch',
  async (name, side) => {
    const input = [side, side, 3] as const;
    const model = await buildNetwork(name, input, 10, { form: 'cifar', auxiliary: true });
    const random = generator(1, name);
    const x = Float32Array.from({ length: BATCH * side * side * 3 }, () => 2 * random() - 1);
    const training = new Training({
      model,
      store: new Store(),
      recipe: makeRecipe({ epochs: STEPS, batchSize: BATCH, optimizer: 'sgd', lr: 0.025, seed: 1 }),
      train: new ArraySource(
        x,
        input,
        Int32Array.from({ length: BATCH }, (_, i) => i),
      ),
    });
    const losses: number[] = [];
    while (!training.done) {
      losses.push((await training.step()).loss);
      training.endEpoch();
    }
    expect(losses).toHaveLength(STEPS);
    // The main loss begins near log 10, and that of an auxiliary classifier adds 0.4 of its own.
    expect(losses[0]).toBeGreaterThan(2);
    // Scheduled drop path makes single losses jump.
    const last = losses.slice(-5);
    expect(last.reduce((sum, loss) => sum + loss, 0) / last.length).toBeLessThan(losses[0]! / 2);
  },
  180_000,
);
