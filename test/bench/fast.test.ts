// The table of trainings by the fast recipe.

import { expect, test } from '@jest/globals';
import { type FastRun, fastTable, readFastRuns } from './fast-runs.js';

const run = (given: Partial<FastRun>): FastRun => ({
  ...{ program: 'dlcourse', version: 'abc', cpu: 'Some CPU', isa: 'avx2', threads: 2, seed: 1, epochs: 4 },
  ...{ seconds: [30, 30, 30, 60], top1: 0.94, date: '2026-11-01' },
  ...given,
});

test('runs are told one by one, and whole ones of a program by their mean', () => {
  const torch = run({ program: 'PyTorch, NHWC', version: '2.14.1', seconds: [60, 60] });
  const { top1: _, ...unfinished } = torch;
  const slower = run({ seed: 2, top1: 0.95, seconds: [60, 60, 60, 60] });
  const shared = run({ seed: 3, top1: 0.96, seconds: [900, 900, 900, 900], shared: true });
  const lines = fastTable([slower, run({}), shared, unfinished]).split('\n');
  expect(lines).toEqual([
    '### Some CPU, avx2, 2 threads',
    '',
    '| program | seed | epochs trained | s an epoch | minutes in all | test accuracy | day | version |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    '| dlcourse | 1 | 4 of 4 | 38 | 2.5 | 94.00 % | 2026-11-01 | `abc` |',
    '| dlcourse | 2 | 4 of 4 | 60 | 4.0 | 95.00 % | 2026-11-01 | `abc` |',
    '| dlcourse | 3 | 4 of 4 | – | – | 96.00 % | 2026-11-01 | `abc` |',
    '| **dlcourse** | **mean of 3** |  | **49** | **3.3** | **95.00 %** |  |  |',
    '| PyTorch, NHWC | 1 | 2 of 4 | 60 | 4.0 | – | 2026-11-01 | `2.14.1` |',
  ]);
  expect(fastTable([run({}), run({ isa: 'avx512' })]).match(/^### /gm)).toHaveLength(2);
});

test('what is recorded has a time for each epoch', () => {
  for (const one of readFastRuns()) {
    expect(one.seconds.length).toBe(one.top1 === undefined ? one.seconds.length : one.epochs);
    expect(one.seconds.every(s => s > 0)).toBe(true);
  }
});
