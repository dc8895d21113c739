// Cells are data: another table is another cell. And NASNet's scheduled drop path.

import { expect, test } from '@jest/globals';
import { Model } from '../../src/layers/index.js';
import { type Cell, writeCell } from '../../src/zoo/cells.js';
import { buildNetwork, findNetwork, smallestSide } from '../../src/zoo/zoo.js';

const options = { width: 4, stride: 2, halved: true, epsilon: 1e-5, dropPath: 0 } as const;

const written = (cell: Cell, stride: 1 | 2 = 2, dropPath = 0): Model =>
  Model.fromInputs({ input: [6, 6, 4], previous: [12, 12, 6] }, ({ input, previous }) =>
    writeCell(cell, input!, previous, { ...options, stride, dropPath }),
  );

test('a cell of any table has its width for every state that it yields, at half the resolution', () => {
  const model = written({ sums: [['identity', 0, 'max_pool3', 1]], yields: [0, 1, 2] });
  expect(model.outputShape()).toEqual([3, 3, 12]);
  // 1×1 convolutions with norms: the input 4·4 + 8, what came before 6·2 + 6·2 + 8, the strided identity 4·4 + 8, and
  // the two states that are yielded at half their resolution 4·2 + 4·2 + 8 each.
  expect(model.parameters).toBe(24 + 32 + 24 + 2 * 24);
});

test('sums of later states keep the resolution, and operations have their weights', () => {
  const model = written({
    sums: [
      ['separable3', 0, 'separable5', 1],
      ['avg_pool3', 2, 'separable7', 2],
    ],
    yields: [3],
  });
  expect(model.outputShape()).toEqual([3, 3, 4]);
  const separable = (taps: number): number => 2 * (4 * taps + 16 + 8);
  expect(model.parameters).toBe(24 + 32 + separable(9) + separable(25) + separable(49));
});

test('every branch but the identity is dropped as a whole', () => {
  const model = written(
    {
      sums: [
        ['identity', 0, 'max_pool3', 1],
        ['separable3', 2, 'identity', 2],
      ],
      yields: [3],
    },
    1,
    0.3,
  );
  const drops = model.config.layers.filter(l => l.kind === 'dropout');
  expect(drops.map(l => l.path)).toEqual(['sum0.right.drop', 'sum1.left.drop']);
  expect(drops.map(l => l.config)).toEqual(Array(2).fill({ rate: 0.3, per: 'sample', schedule: 'linear' }));
});

test("NASNet's drop path grows with the depth of a cell", async () => {
  const model = await buildNetwork('nasnet_a_cifar', [32, 32, 3], 10);
  const drops = model.config.layers.filter(l => l.kind === 'dropout');
  // 8 branches in each of 18 normal cells, 9 in each of 2 reductions.
  expect(drops).toHaveLength(18 * 8 + 2 * 9);
  const rates = [...new Set(drops.map(l => l.config['rate'] as number))];
  expect(rates).toHaveLength(20);
  rates.forEach((rate, i) => {
    expect(rate).toBeCloseTo((0.4 * (i + 1)) / 20, 12);
  });
});

test("NASNet's tensors do not depend on the size of pictures; a grid of one pixel cannot be halved", async () => {
  const network = await findNetwork('nasnet_a_mobile');
  const parameters = { form: 'imagenet', classes: 10, auxiliary: false } as const;
  const least = smallestSide(network, parameters)!;
  const state = async (side: number) => (await buildNetwork('nasnet_a_mobile', [side, side, 3], 10)).state;
  expect(await state(Math.max(least, 65))).toEqual(await state(224));
  expect(Model.from([least, least, 3], network.write(parameters)).state).toEqual(await state(224));
});
