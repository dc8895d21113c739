// Speed of single ops: convolutions of the usual networks in their three passes, and a matrix product.

import { fixed, Graph, rows, type Value } from '../../src/graph/graph.js';
import { native } from '../../src/native.js';
import { conv2d, conv2dGradInput, conv2dGradWeight } from '../../src/ops/conv2d.js';
import { type Data, Program, Store } from '../../src/runtime/program.js';
import { noise, Peak } from './timing.js';

/** A convolution of stride 1 that keeps the size; a linear layer is one of 1×1 on images of one pixel. */
interface Subject {
  readonly op: 'conv2d' | 'depthwise' | 'linear';
  readonly size: number;
  readonly kernel: number;
  readonly channels: number;
  /** Rows, where they are not those of --batch-size. */
  readonly batch?: number;
}

const widths = [
  [64, 32],
  [128, 16],
  [256, 8],
  [16, 32],
  [32, 16],
  [512, 4],
] as const;

/** What is measured. */
const subjects: readonly Subject[] = [
  ...[3, 1].flatMap(kernel => widths.map(([channels, size]) => ({ op: 'conv2d', size, kernel, channels }) as const)),
  { op: 'depthwise', size: 32, kernel: 3, channels: 64 },
  { op: 'linear', size: 1, kernel: 1, channels: 1024, batch: 1024 },
];

export const passes = ['forward', 'input_gradient', 'weight_gradient'] as const;
export type Pass = (typeof passes)[number];

export interface KernelRow {
  op: Subject['op'];
  pass: Pass;
  /** `64x32x32x64 3x3 64`: the input n×h×w×c, the kernel, the output channels. */
  shape: string;
  gflops: number;
  percentOfPeak: number;
}

/** What `bench --kernels --json` prints. */
export interface KernelBench {
  isa: string;
  threads: number;
  exact: boolean;
  batchSize: number;
  peakGflops: number;
  kernels: KernelRow[];
}

export interface KernelBenchOptions {
  readonly batchSize: number;
  readonly threads: number;
  readonly repeats: number;
  readonly exact: boolean;
  /** Instruction set; by default the best of the machine. */
  readonly isa?: string;
  readonly onRow?: (done: number, total: number) => void;
}

export async function benchKernels(options: KernelBenchOptions): Promise<KernelBench> {
  const { batchSize, threads, repeats, exact, isa = native().info().isa, onRow } = options;
  const peak = new Peak(threads, isa);
  const measured: Omit<KernelRow, 'percentOfPeak'>[] = [];
  for (const subject of subjects) {
    for (const pass of passes) {
      await peak.measure();
      const n = subject.batch ?? batchSize;
      const { op, size, kernel, channels } = subject;
      const perOutput = kernel ** 2 * (op === 'depthwise' ? 1 : channels);
      const flops = 2 * n * size ** 2 * channels * perOutput;
      const seconds = await time(subject, pass, { batchSize: n, threads, repeats, exact, isa });
      const shape = `${[n, size, size, channels].join('x')} ${kernel}x${kernel} ${channels}`;
      measured.push({ op, pass, shape, gflops: flops / seconds / 1e9 });
      onRow?.(measured.length, subjects.length * passes.length);
    }
  }
  await peak.measure();
  return {
    isa,
    threads,
    exact,
    batchSize,
    peakGflops: peak.gflops,
    kernels: measured.map(row => ({ ...row, percentOfPeak: peak.percent(row.gflops) })),
  };
}

/** Seconds of the op alone, the best of some repeats. */
async function time(subject: Subject, pass: Pass, options: KernelBenchOptions & { isa: string }): Promise<number> {
  const { batchSize: n, threads, repeats, exact, isa } = options;
  const { op, size, kernel, channels } = subject;
  const image = [size, size, channels];
  const weight = [kernel, kernel, op === 'depthwise' ? 1 : channels, channels];
  const border = (kernel - 1) / 2;
  const window = { pad: [border, border, border, border], groups: op === 'depthwise' ? channels : 1 };

  const graph = new Graph();
  const x = graph.feed('x', rows(image));
  let y: Value;
  if (pass === 'weight_gradient') {
    const dy = graph.feed('dy', rows(image));
    y = conv2dGradWeight([x, dy], { ...window, kernel: [kernel, kernel] })[0]!;
  } else {
    const w = graph.fromStore('w', fixed(weight));
    y = (pass === 'forward' ? conv2d([x, w], window) : conv2dGradInput([x, w], { ...window, size: [size, size] }))[0]!;
  }
  graph.outputs.set('y', y);

  const store = new Store();
  store.define('w', weight);
  const weights = noise(weight.reduce((p, d) => p * d, 1));
  const program = new Program(graph, { batch: n, store, threads, isa, exact });
  const data = noise(n * size ** 2 * channels);
  const feeds: Record<string, Data> = { x: data, dy: data };
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i <= repeats; i++) {
    // As in training, weights are new in every run: packing them is part of the time.
    store.write('w', weights);
    const { nanoseconds } = await program.run(feeds, n, { timed: true });
    const seconds = nanoseconds!.reduce((a, b) => a + b, 0) / 1e9;
    if (i > 0) best = Math.min(best, seconds);
  }
  program.dispose();
  store.dispose();
  return best;
}
