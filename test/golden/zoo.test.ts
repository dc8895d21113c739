// Networks of the zoo against PyTorch: logits, and losses of three steps, with weights that both sides make from a formula.
// zoo.json holds PyTorch's answers; `npm run golden` makes it.

import { describe, expect, test } from '@jest/globals';
import { allNetworks } from '../../src/zoo/zoo.js';
import { value } from '../parity/formula.js';
import { CLASSES, readGolden, uncovered } from '../parity/golden.js';
import { filled, logits, relative, tensorsOf, train, trainable } from '../parity/pair.js';
import { FACTOR, LOGITS, STEPS } from '../parity/results.js';

const golden = readGolden();

describe.each(golden)('$network ($form)', pair => {
  test.each([
    ['exactly', true],
    ["with Winograd's transforms", false],
  ])('agrees with PyTorch, %s', async (_, exact) => {
    const model = await trainable(pair, pair.input, CLASSES);
    const store = await filled(tensorsOf(model, pair), value);
    try {
      expect(relative(await logits(model, store, 2, exact), pair.logits)).toBeLessThanOrEqual(LOGITS);
      if (!pair.steps) return;
      const { losses, lr, error } = pair.steps;
      expect(relative(await train(model, store, CLASSES, lr, exact), losses)).toBeLessThanOrEqual(
        Math.max(STEPS, FACTOR * error),
      );
    } finally {
      store.dispose();
    }
  });
});

test('every paper and form has an answer', async () => {
  const missing = uncovered(await allNetworks(), golden).map(
    ({ network, form }) => `${network} (${form}): add a reference to test/parity/references, then npm run golden`,
  );
  expect(missing).toEqual([]);
});
