// The table of trainings: what is recorded, and how it is shown.

import { describe, expect, test } from '@jest/globals';
import { allNetworks } from '../../src/zoo/zoo.js';
import { type TrainingEntry, trainingTable, withEntry } from './training-runs.js';

const entry: TrainingEntry = {
  network: 'resnet20',
  form: 'cifar',
  input: [32, 32, 3],
  data: 'stickers',
  settings: { epochs: 12, exemptNorms: true, lr: 0.05 },
  epochs: 12,
  batchSize: 64,
  seed: 1,
  testImages: 1000,
  top1: 0.9321,
  params: 269_722,
  multiplyAdds: 40_551_040,
  peakMemoryBytes: 300 * 2 ** 20,
  date: '2026-01-02',
  isa: 'avx2',
  commit: 'abc1234',
};

describe('the table of trainings', () => {
  test('a training of the same network, data and settings replaces the earlier one', () => {
    const again = { ...entry, top1: 0.95 };
    const longer = { ...entry, settings: { ...entry.settings, epochs: 30 }, epochs: 30 };
    expect(withEntry([entry], again)).toEqual([again]);
    expect(withEntry([entry], longer)).toEqual([entry, longer]);
  });

  test('a row has the figures and the flags to type, in the order of the networks', async () => {
    const speed = { imagesPerSecond: 1234.56, threads: 2, peakGflops: 176.4 };
    const other = { ...entry, network: 'lenet5', settings: {}, date: '2026-01-05' };
    const lines = trainingTable([{ ...entry, speed }, other], await allNetworks()).split('\n');
    expect(lines[2]).toMatch(/^\| LeNet \| `lenet5` \|/);
    expect(lines[3]).toBe(
      '| ResNet | `resnet20` | stickers, 32×32×3 | 12 | 93.21 % | 269,722 | 40.55 | 1,235 | 170 % | 300 MiB | `--exempt-norms --lr 0.05` |',
    );
    expect(lines.at(-1)).toContain('2026-01-02 to 2026-01-05 with avx2');
    expect(lines.at(-1)).toContain('2 threads, FMA peak 176 GFLOP/s');
  });
});
