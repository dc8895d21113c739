// dlcourse bench: the documented keys, the roofline, and what --compare makes of an earlier run.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type Bench, compare, readBench } from '../../cli/bench/compare.js';
import { type KernelBench, type KernelRow, placeOf } from '../../cli/bench/kernels.js';
import type { ModelBench } from '../../cli/bench/model.js';
import { bytesOf, type ProfileRow } from '../../cli/bench/profile.js';
import { fixed, Graph, rows } from '../../src/graph/graph.js';
import { add, assign } from '../../src/ops/arithmetic.js';
import { Program, Store } from '../../src/runtime/program.js';
import { dlcourse } from './dlcourse.js';
import { scratchFolder } from './scratch.js';

const cwd = scratchFolder();

const run = async (line: string) => {
  const ended = await dlcourse(line.split(' '), { cwd });
  expect(ended).toMatchObject({ status: 0, stderr: '' });
  return ended.stdout;
};

const row = (name: string, milliseconds: number): ProfileRow => ({
  ...{
    name,
    milliseconds,
    steps: 1,
    share: 0.5,
    bytes: 8,
    percentOfRoofline: 50,
    millisecondsBeyond: milliseconds / 2,
  },
});

const model: ModelBench = {
  ...{ model: 'lenet5', form: 'cifar', mode: 'infer', input: [28, 28, 1], batchSize: 8, isa: 'scalar', threads: 1 },
  exact: false,
  ...{ imagesPerSecond: 100, medianImagesPerSecond: 90, percentOfPeak: 40, peakGflops: 80, multiplyAdds: 416_520 },
  ...{ checkpointActivations: false, memoryBytes: 2 ** 21, peakMemoryBytes: 2 ** 26, arenaBytes: 2 ** 20 },
  latency: { medianMilliseconds: 2, p95Milliseconds: 3, runs: 100 },
};

const kernels: KernelBench = {
  ...{ isa: 'scalar', threads: 1, exact: false, batchSize: 4, peakGflops: 8, bandwidthGBps: 10 },
  kernels: [
    { op: 'conv2d', shape: '4x8x8x16 3x3 16', gflops: 4, percentOfPeak: 50 },
    { op: 'linear', shape: '9x1x1x9 1x1 9', gflops: 6, percentOfPeak: 75 },
  ].map(k => ({ ...k, pass: 'forward', intensity: 8, percentOfRoofline: k.percentOfPeak }) as KernelRow),
};

describe('bench --model', () => {
  test('prints the documented keys, and every step beside the roofline', async () => {
    const line = 'bench --model lenet5 --batch-size 4 --repeats 2 --threads 2 --json --profile';
    const found: ModelBench = JSON.parse(await run(line));
    expect(found).toMatchObject({ model: 'lenet5', form: 'cifar', mode: 'train', batchSize: 4, threads: 2 });
    for (const key of ['imagesPerSecond', 'percentOfPeak', 'memoryBytes', 'peakMemoryBytes'] as const)
      expect(found[key]).toBeGreaterThan(0);
    const { ops, layers, steps, total, roofline, bandwidthGBps } = found.profile!;
    expect(ops.map(o => o.name)).toEqual(expect.arrayContaining(['conv2d 5×5', 'conv2d_grad_weight 5×5']));
    for (const list of [ops, layers, steps]) {
      expect(list.reduce((sum, r) => sum + r.milliseconds, 0)).toBeCloseTo(total, 6);
      expect(list.map(r => r.millisecondsBeyond)).toEqual(list.map(r => r.millisecondsBeyond).sort((a, b) => b - a));
    }
    let allowed = 0;
    for (const { milliseconds, gflops = 0, bytes, percentOfRoofline } of steps) {
      const least = Math.max((gflops * milliseconds) / found.peakGflops, bytes / bandwidthGBps / 1e6);
      expect((percentOfRoofline / 100) * milliseconds).toBeCloseTo(least, 9);
      allowed += least;
    }
    expect(roofline).toBeCloseTo(allowed, 6);
  });

  test('--form measures the input of its paper', async () => {
    const line = 'bench --model squeezenet1_1 --form imagenet --mode infer --batch-size 1 --repeats 1 --json';
    expect(JSON.parse(await run(line))).toMatchObject({ form: 'imagenet', input: [224, 224, 3] });
  });

  test('--mode infer also measures one image alone', async () => {
    const line = 'bench --model lenet5 --mode infer --batch-size 8 --repeats 3 --threads 1 --isa scalar --json';
    const { mode, batchSize, isa, imagesPerSecond, latency } = JSON.parse(await run(line));
    expect({ mode, batchSize, isa }).toEqual({ mode: 'infer', batchSize: 8, isa: 'scalar' });
    expect(imagesPerSecond).toBeGreaterThan(0);
    expect(latency.runs).toBeGreaterThanOrEqual(3);
    expect(latency.medianMilliseconds).toBeGreaterThan(0);
    expect(latency.p95Milliseconds).toBeGreaterThanOrEqual(latency.medianMilliseconds);
  });

  test('a step moves what it reads, what it writes, and what it updates both ways', () => {
    const graph = new Graph();
    const [a, b] = [graph.feed('a', rows([4, 4, 8])), graph.feed('b', rows([4, 4, 8]))];
    graph.outputs.set('sum', add([a, b])[0]!);
    graph.outputs.set('double', add([a, a])[0]!);
    graph.segment = 'commit';
    assign([graph.fromStore('w', fixed([10])), graph.feed('v', fixed([10]))]);
    const store = new Store();
    store.define('w', [10]);
    const { plan } = new Program(graph, { batch: 2, store, threads: 1 });
    const image = 2 * 4 * 4 * 8 * 4;
    expect(bytesOf(plan)).toEqual([3 * image, 2 * image, 3 * 40]);
  });
});

describe('bench --kernels', () => {
  test('each kernel in its passes, beside the peak and the roofline', async () => {
    const line = 'bench --kernels --batch-size 1 --repeats 1 --threads 2 --exact --json';
    const found: KernelBench = JSON.parse(await run(line));
    expect(found).toMatchObject({ threads: 2, batchSize: 1, exact: true });
    const { kernels, peakGflops, bandwidthGBps } = found;
    const shapes = (op: string) => [...new Set(kernels.filter(k => k.op === op).map(k => k.shape))];
    expect(shapes('conv2d')).toEqual(
      expect.arrayContaining(['1x32x32x64 3x3 64', '1x32x32x64 3x3 128 stride 2', '8x224x224x3 7x7 64 stride 2']),
    );
    expect(shapes('grouped')).toEqual(['1x32x32x128 3x3 128 groups 32']);
    expect(shapes('depthwise')).toEqual([...['1x32x32x64 3x3 64', '1x32x32x64 3x3 64 stride 2', '1x32x32x64 5x5 64']]);
    expect(kernels.filter(k => k.shape.includes('7x7')).map(k => k.pass)).toEqual(['forward', 'weight_gradient']);
    for (const [place, { gflops, percentOfPeak, percentOfRoofline }] of kernels.entries()) {
      expect(percentOfPeak).toBeCloseTo((100 * gflops) / peakGflops, 6);
      expect(percentOfRoofline).toBeGreaterThanOrEqual(percentOfPeak * (1 - 1e-9));
      expect(placeOf(kernels[place]!)).toBeGreaterThanOrEqual(placeOf(kernels[Math.max(0, place - 1)]!));
    }
    const [depthwise] = kernels.filter(k => k.op === 'depthwise');
    // Two operations a weight and output, beside an input and an output of 32×32×64 and the weights of 3×3×64.
    const intensity = (2 * 32 * 32 * 64 * 9) / (4 * (2 * 32 * 32 * 64 + 9 * 64));
    expect(depthwise!.intensity).toBeCloseTo(intensity, 9);
    const attainable = Math.min(peakGflops, intensity * bandwidthGBps);
    expect(depthwise!.percentOfRoofline).toBeCloseTo((100 * depthwise!.gflops) / attainable, 6);
  });
});

test('bench says how it was measured', async () => {
  const line =
    'bench --model lenet5 --batch-size 4 --repeats 2 --threads 2 --isa scalar --exact --checkpoint-activations';
  expect(await run(line)).toMatch(
    /^lenet5, training, 4 × 28×28×1, scalar, 2 threads, exact, activations checkpointed\n/,
  );
});

describe('bench --compare', () => {
  const figures = (tables: ReturnType<typeof compare>, what: string) => tables.find(t => t.what === what)!.rows;

  test('measures what the file says, and shows old, new and ratio', async () => {
    writeFileSync(join(cwd, 'old.json'), JSON.stringify(model));
    const found = JSON.parse(await run('bench --compare old.json --repeats 3 --json'));
    expect(found).toMatchObject({ mode: 'infer', batchSize: 8, isa: 'scalar', threads: 1, input: [28, 28, 1] });
    const [speed] = found.comparison[0].rows;
    expect(speed).toEqual({
      ...{ name: 'images/s', old: 100, new: found.imagesPerSecond, ratio: found.imagesPerSecond / 100 },
    });
    const shown = await run('bench --compare old.json --repeats 3');
    expect(shown).toMatch(/^lenet5, infer: scalar, 1 thread before, scalar, 1 thread now; a ratio above 1 is better\n/);
    expect(shown).toMatch(/\nimages\/s +100\.000 /);
  });

  test('a ratio above 1 is faster, and smaller of memory', () => {
    const now = {
      ...model,
      imagesPerSecond: 150,
      arenaBytes: 2 ** 19,
      latency: { ...model.latency!, medianMilliseconds: 1 },
    };
    const ratios = Object.fromEntries(figures(compare('old.json', model, now), 'figure').map(r => [r.name, r.ratio]));
    expect(ratios).toEqual({
      ...{ 'images/s': 1.5, 'images/s, median': 1, 'one image, ms': 2, 'peak memory, MiB': 1 },
      ...{ 'intermediate values, MiB': 2, 'FMA peak, GFLOP/s': 1 },
    });
  });

  test('steps are known by op, layer and shape; the largest difference of time comes first', () => {
    const profiled = (steps: ProfileRow[]): ModelBench => ({
      ...model,
      profile: { total: 9, roofline: 5, bandwidthGBps: 10, ops: [], layers: [], steps },
    });
    const old = profiled([row('relu a 1×2 #0', 1), row('conv2d b 1×2 #1', 4), row('gone c 1 #2', 2)]);
    const now = profiled([row('conv2d b 1×2 #0', 1), row('relu a 1×2 #1', 0.25), row('relu a 1×2 #2', 0.25)]);
    expect(figures(compare('old.json', old, now), 'step')).toEqual([
      { name: 'conv2d b 1×2', old: 4, new: 1, ratio: 4 },
      { name: 'gone c 1', old: 2, new: null, ratio: null },
      { name: 'relu a 1×2', old: 1, new: 0.5, ratio: 2 },
    ]);
  });

  test('kernels: the largest factor comes first', () => {
    const now = { ...kernels, kernels: kernels.kernels.map((k, i) => ({ ...k, gflops: [5, 3][i]! })) };
    expect(figures(compare('old.json', kernels, now), 'kernel')).toEqual([
      { name: 'linear forward 9x1x1x9 1x1 9', old: 6, new: 3, ratio: 0.5 },
      { name: 'conv2d forward 4x8x8x16 3x3 16', old: 4, new: 5, ratio: 1.25 },
    ]);
  });

  test.each<[string, Bench]>([
    ['another model', { ...model, model: 'lenet' }],
    ['another mode', { ...model, mode: 'train' }],
    ['another batch size', { ...model, batchSize: 4 }],
    ['another input', { ...model, input: [32, 32, 1] }],
    ['kernels', kernels],
  ])('%s is refused', (_, old) => {
    expect(() => compare('old.json', old, model)).toThrow(
      expect.objectContaining({ code: 'E_MISMATCH', exitStatus: 78, message: expect.stringContaining('old.json: ') }),
    );
  });

  test.each<[string, unknown]>([
    ['a list', []],
    ['another object', { error: { code: 'E_ISA' } }],
    ['no figures', { ...model, imagesPerSecond: null }],
    ['odd kernels', { ...kernels, kernels: [{ op: 'conv2d' }] }],
    ['half a profile', { ...model, profile: { steps: [] } }],
  ])('a file with %s is refused', (_, content) => {
    const file = join(cwd, 'odd.json');
    writeFileSync(file, JSON.stringify(content));
    expect(() => readBench(file)).toThrow(expect.objectContaining({ code: 'E_BENCH', exitStatus: 67 }));
  });
});
