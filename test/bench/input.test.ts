// The table of how long steps wait for pictures.

import { expect, test } from '@jest/globals';
import { type InputRow, inputTable, readInputRows } from './input-rows.js';

const row: InputRow = {
  ...{ pictures: 'files', network: 'resnet20', input: '32×32', cpu: 'Some CPU', isa: 'avx2', threads: 2 },
  ...{ fromMemory: { imagesPerSecond: 534.86, waited: 0.0009 }, date: '2026-11-01', version: 'abc' },
};

test('a row tells both ways, a machine has a table', () => {
  const both = { ...row, fromFiles: { imagesPerSecond: 329.3, waited: 0.25 }, decoded: 956.3 };
  expect(inputTable([row, both, { ...row, threads: 1 }]).split('\n')).toEqual([
    '### Some CPU, avx2, 2 threads',
    '',
    expect.stringMatching(/^\| pictures .* images\/s \| waited .* images\/s \| waited .* alone/),
    expect.any(String),
    '| files | `resnet20` | 32×32 | 535 | 0.1 % | – | – | – | 2026-11-01 | `abc` |',
    '| files | `resnet20` | 32×32 | 535 | 0.1 % | 329 | 25.0 % | 956 | 2026-11-01 | `abc` |',
    '',
    '### Some CPU, avx2, 1 threads',
    '',
    expect.any(String),
    expect.any(String),
    '| files | `resnet20` | 32×32 | 535 | 0.1 % | – | – | – | 2026-11-01 | `abc` |',
  ]);
});

test('what is recorded are speeds and shares', () => {
  for (const { fromMemory, fromFiles } of readInputRows()) {
    for (const { imagesPerSecond, waited } of [fromMemory, ...(fromFiles ? [fromFiles] : [])]) {
      expect(imagesPerSecond).toBeGreaterThan(0);
      expect(waited).toBeGreaterThanOrEqual(0);
      expect(waited).toBeLessThan(1);
    }
  }
});
