// What is kept of runs of the kernel benchmark, and its table.

import { expect, test } from '@jest/globals';
import type { KernelBench, KernelRow } from '../../cli/bench/kernels.js';
import { bestOf, type KernelResult, kernelTable, readKernelResults } from './kernel-rows.js';

const row = (given: Partial<KernelRow>): KernelRow => ({
  ...{ op: 'conv2d', pass: 'forward', shape: '64x32x32x64 3x3 64', gflops: 150, intensity: 100 },
  ...{ percentOfPeak: 75, percentOfRoofline: 75, ...given },
});
const depthwise = row({ op: 'depthwise', gflops: 15, intensity: 2 });

const bench = (kernels: KernelRow[], given: Partial<KernelBench> = {}): KernelBench => ({
  ...{ isa: 'avx2', threads: 2, exact: false, batchSize: 64, peakGflops: 190, bandwidthGBps: 10, kernels, ...given },
});

test('the best of each kernel counts, beside the best peak and bandwidth', () => {
  const gradient = row({ pass: 'weight_gradient', gflops: 100 });
  const faster = [row({ gflops: 140 }), { ...gradient, gflops: 120 }, { ...depthwise, gflops: 16 }];
  const runs = [bench([row({}), gradient, depthwise], { peakGflops: 200 }), bench(faster, { bandwidthGBps: 12.5 })];
  const same = { exact: false, peakGflops: 200, bandwidthGBps: 12.5 };
  expect(bestOf(runs)).toEqual([
    {
      ...{ op: 'conv2d', shape: '64x32x32x64 3x3 64', ...same },
      passes: {
        forward: { gflops: 150, percentOfPeak: 75, percentOfRoofline: 75 },
        weight_gradient: { gflops: 120, percentOfPeak: 60, percentOfRoofline: 60 },
      },
    },
    {
      ...{ op: 'depthwise', shape: '64x32x32x64 3x3 64', ...same },
      passes: { forward: { gflops: 16, percentOfPeak: 8, percentOfRoofline: 64 } },
    },
  ]);
});

test('of exact runs, only windows that Winograd could have computed', () => {
  const shapes = ['64x32x32x64 3x3 64', '64x32x32x64 1x1 64', '64x32x32x64 3x3 128 stride 2'];
  const kernels = [...shapes.map(shape => row({ shape })), depthwise];
  expect(bestOf([bench(kernels, { exact: true })])).toMatchObject([{ op: 'conv2d', shape: shapes[0], exact: true }]);
});

test('the table has a line for each kernel, direct convolution beside Winograd', () => {
  const [conv, narrow] = bestOf([bench([row({}), depthwise])]);
  const where = { cpu: 'Some CPU', isa: 'avx2', threads: 2, date: '2026-11-01', version: 'abc' };
  const results = [narrow, { ...conv, exact: true }, conv].map(k => ({ ...where, ...k }) as KernelResult);
  expect(kernelTable(results).split('\n')).toEqual([
    '### Some CPU, avx2, 2 threads',
    '',
    '| kernel | shape | forward | input gradient | weight gradient | day | version |',
    expect.any(String),
    '| conv2d | 64×32×32×64 3×3 64 | 79 % | – | – | 2026-11-01 | `abc` |',
    '| conv2d, exact | 64×32×32×64 3×3 64 | 79 % | – | – | 2026-11-01 | `abc` |',
    '| depthwise | 64×32×32×64 3×3 64 | 8 % (75 of roofline) | – | – | 2026-11-01 | `abc` |',
  ]);
});

test('what is recorded are speeds below the peak that Winograd can reach', () => {
  for (const { passes } of readKernelResults()) {
    for (const { gflops, percentOfPeak, percentOfRoofline } of Object.values(passes)) {
      expect(gflops).toBeGreaterThan(0);
      expect(percentOfPeak).toBeLessThan(400);
      expect(percentOfRoofline).toBeGreaterThanOrEqual(percentOfPeak * 0.999);
    }
  }
});
