// The comparison of learning curves with and without Winograd's algorithm.

import { expect, test } from '@jest/globals';
import { curvesTable, type LearningCurve, withCurve } from './learning-curves.js';

const curve = (seed: number, exact: boolean, trainLoss: number[]): LearningCurve => ({
  ...{ network: 'resnet20', data: 'cifar10', seed, exact, settings: {}, trainLoss },
  ...{ testLoss: trainLoss.map(v => v + 1), top1: trainLoss.map(v => v / 10), isa: 'avx2', commit: 'abc1234' },
});

test('the means of both ways, how far they are apart, and the larger range of seeds', () => {
  const curves = [curve(1, false, [2, 1]), curve(1, true, [3, 1]), curve(2, false, [4, 1.5]), curve(2, true, [3, 1])];
  const lines = curvesTable(curves).split('\n');
  expect(lines[2]).toBe('| training loss | 1 | 3.0000 | 3.0000 | 0.0000 | 2.0000 |');
  expect(lines[3]).toBe('| training loss | 2 | 1.2500 | 1.0000 | 0.2500 | 0.5000 |');
  expect(lines[4]).toBe('| test loss | 1 | 4.0000 | 4.0000 | 0.0000 | 2.0000 |');
  expect(lines[7]).toBe('| test accuracy | 2 | 12.50 % | 10.00 % | 2.50 % | 5.00 % |');
  expect(lines.at(-1)).toBe('`resnet20` on cifar10, seeds 1, 2 with Winograd, 1, 2 direct, avx2, version `abc1234`.');
});

test('a curve replaces that of its seed and way, and one of another task is refused', () => {
  const curves = withCurve(withCurve([], curve(2, false, [2])), curve(1, true, [3]));
  expect(withCurve(curves, curve(2, false, [4])).map(c => c.trainLoss)).toEqual([[3], [4]]);
  const other = { ...curve(3, false, [1]), settings: { lr: 0.2 } };
  expect(() => withCurve(curves, other)).toThrow(expect.objectContaining({ code: 'E_RUN' }));
});
