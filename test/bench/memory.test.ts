// The table of the memory that trainings state and take.

import { expect, test } from '@jest/globals';
import { type MemoryRow, memoryTable, readMemoryRows } from './memory-rows.js';

const MIB = 2 ** 20;
const row: MemoryRow = {
  ...{ cpu: 'Some CPU', isa: 'avx2', threads: 2, network: 'vgg16_bn', form: 'cifar', input: [32, 32, 3], batch: 64 },
  ...{ checkpointActivations: false, stated: 1500 * MIB, engine: 1498.6 * MIB, process: 1600 * MIB, seconds: 1.2345 },
  ...{ date: '2026-11-01', version: 'abc' },
};

test('a machine has a table, in the usual order, with and without checkpoints', () => {
  const less = { ...row, checkpointActivations: true, stated: 800 * MIB };
  expect(memoryTable([row, less, { ...row, network: 'resnet18' }]).split('\n')).toEqual([
    '### Some CPU, avx2, 2 threads',
    '',
    expect.stringMatching(/^\| network .* stated, MiB .* process, MiB \| stated ÷ process .* version \|$/),
    expect.any(String),
    '| `resnet18` | 64 × 32×32 | all | 1,500 | 1,499 | 1,600 | 0.94 | 1,230 | 2026-11-01 | `abc` |',
    '| `vgg16_bn` | 64 × 32×32 | all | 1,500 | 1,499 | 1,600 | 0.94 | 1,230 | 2026-11-01 | `abc` |',
    '| `vgg16_bn` | 64 × 32×32 | checkpoints | 800 | 1,499 | 1,600 | 0.50 | 1,230 | 2026-11-01 | `abc` |',
  ]);
});

test('what is recorded is what was stated, at least what the engine took', () => {
  for (const { stated, engine, process, seconds } of readMemoryRows()) {
    expect(stated).toBeGreaterThanOrEqual(engine);
    expect(process).toBeGreaterThan(0);
    expect(seconds).toBeGreaterThan(0);
  }
});
