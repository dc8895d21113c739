// Speed of single ops: convolutions of the usual networks in their passes, and a matrix product.

import { fixed, Graph, rows, type Value } from '../../src/graph/graph.js';
import { native } from '../../src/native.js';
import { conv2d, conv2dGradInput, conv2dGradWeight, outputSize } from '../../src/ops/conv2d.js';
import { type Data, Program, Store } from '../../src/runtime/program.js';
import { bytesOf } from './profile.js';
import { noise, Peak, rooflineTime } from './timing.js';

export const passes = ['forward', 'input_gradient', 'weight_gradient'] as const;
export type Pass = (typeof passes)[number];

/** A convolution padded by half its kernel; a linear layer is one of 1×1 on images of one pixel. */
interface Subject {
  readonly op: 'conv2d' | 'grouped' | 'depthwise' | 'linear';
  readonly size: number;
  readonly kernel: number;
  readonly channels: number;
  /** As many as `channels` unless said otherwise. */
  readonly outputs?: number;
  readonly stride?: number;
  readonly groups?: number;
  /** Rows, where they are not those of --batch-size. */
  readonly batch?: number;
  /** Where not all are needed. */
  readonly passes?: readonly Pass[];
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
  { op: 'conv2d', size: 32, kernel: 3, channels: 64, outputs: 128, stride: 2 },
  // A first layer: nobody wants the gradient of pictures.
  {
    ...{ op: 'conv2d', size: 224, kernel: 7, channels: 3, outputs: 64, stride: 2, batch: 8 },
    passes: ['forward', 'weight_gradient'],
  },
  { op: 'grouped', size: 32, kernel: 3, channels: 128, groups: 32 },
  { op: 'depthwise', size: 32, kernel: 3, channels: 64 },
  { op: 'depthwise', size: 32, kernel: 3, channels: 64, stride: 2 },
  { op: 'depthwise', size: 32, kernel: 5, channels: 64 },
  { op: 'linear', size: 1, kernel: 1, channels: 1024, batch: 1024 },
];

/** `32x32x64 3x3 64`, without the batch. */
const imageOf = ({ size, kernel, channels, outputs = channels, stride = 1, groups = 1 }: Subject): string =>
  [
    `${size}x${size}x${channels} ${kernel}x${kernel} ${outputs}`,
    ...(stride > 1 ? [`stride ${stride}`] : []),
    ...(groups > 1 ? [`groups ${groups}`] : []),
  ].join(' ');

/** Place of a kernel among those that are measured, whatever the batch; after them where it is none. */
export function placeOf({ op, shape }: Pick<KernelRow, 'op' | 'shape'>): number {
  const image = shape.slice(shape.indexOf('x') + 1);
  const place = subjects.findIndex(s => s.op === op && imageOf(s) === image);
  return place < 0 ? subjects.length : place;
}

export interface KernelRow {
  op: Subject['op'];
  pass: Pass;
  /** `64x32x32x64 3x3 64`: the input n×h×w×c, the kernel, the output channels; then `stride 2`, `groups 32`. */
  shape: string;
  gflops: number;
  percentOfPeak: number;
  /** Operations for each byte of operands read and results written, each once (arithmetic intensity). */
  intensity: number;
  /** Above 100 where operands lie in a cache, or with Winograd. */
  percentOfRoofline: number;
}

/** What `bench --kernels --json` prints. */
export interface KernelBench {
  isa: string;
  threads: number;
  exact: boolean;
  batchSize: number;
  peakGflops: number;
  /** Of the memory, in GB/s, measured after the kernels. */
  bandwidthGBps: number;
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
  const all = subjects.flatMap(subject => (subject.passes ?? passes).map(pass => ({ subject, pass })));
  const measured: Omit<KernelRow, 'percentOfPeak' | 'percentOfRoofline'>[] = [];
  for (const { subject, pass } of all) {
    await peak.measure();
    const n = subject.batch ?? batchSize;
    const { op, size, kernel, channels, outputs = channels, stride = 1 } = subject;
    const flops = 2 * n * outputSizeOf(size, kernel, stride) ** 2 * outputs * kernel ** 2 * perGroup(subject);
    const { nanoseconds, bytes } = await time(subject, pass, { batchSize: n, threads, repeats, exact, isa });
    const shape = `${n}x${imageOf(subject)}`;
    measured.push({ op, pass, shape, gflops: flops / nanoseconds, intensity: flops / bytes });
    onRow?.(measured.length, all.length);
  }
  await peak.measure();
  const bandwidthGBps = await native().bandwidth(isa, threads, 0.3);
  return {
    isa,
    threads,
    exact,
    batchSize,
    peakGflops: peak.gflops,
    bandwidthGBps,
    kernels: measured.map(row => ({ ...row, ...percentages(row, peak.gflops, bandwidthGBps) })),
  };
}

/** Of the peak, and of the roofline: the peak, or what the bandwidth lets through, whichever is lower. */
export const percentages = (
  { gflops, intensity }: Pick<KernelRow, 'gflops' | 'intensity'>,
  peakGflops: number,
  bandwidthGBps: number,
): Pick<KernelRow, 'percentOfPeak' | 'percentOfRoofline'> => ({
  percentOfPeak: (100 * gflops) / peakGflops,
  percentOfRoofline: 100 * gflops * rooflineTime(1, 1 / intensity, peakGflops, bandwidthGBps),
});

const outputSizeOf = (size: number, kernel: number, stride: number): number =>
  outputSize(size, kernel, stride, kernel - 1, 1);

const groupsOf = ({ op, channels, groups = 1 }: Subject): number => (op === 'depthwise' ? channels : groups);
const perGroup = (subject: Subject): number => subject.channels / groupsOf(subject);

/** Nanoseconds of the op alone, the best of some repeats, and the bytes that it must move. */
async function time(
  subject: Subject,
  pass: Pass,
  options: KernelBenchOptions & { isa: string },
): Promise<{ nanoseconds: number; bytes: number }> {
  const { batchSize: n, threads, repeats, exact, isa } = options;
  const { size, kernel, channels, outputs = channels, stride = 1 } = subject;
  const image = [size, size, channels];
  const side = outputSizeOf(size, kernel, stride);
  const result = [side, side, outputs];
  const weight = [kernel, kernel, perGroup(subject), outputs];
  const border = (kernel - 1) / 2;
  const pad = [border, border, border, border];
  const window = { stride: [stride, stride], pad, groups: groupsOf(subject) };

  const graph = new Graph();
  let y: Value;
  if (pass === 'weight_gradient') {
    const [x, dy] = [graph.feed('x', rows(image)), graph.feed('dy', rows(result))];
    y = conv2dGradWeight([x, dy], { ...window, kernel: [kernel, kernel] })[0]!;
  } else {
    const w = graph.fromStore('w', fixed(weight));
    y =
      pass === 'forward'
        ? conv2d([graph.feed('x', rows(image)), w], window)[0]!
        : conv2dGradInput([graph.feed('dy', rows(result)), w], { ...window, size: [size, size] })[0]!;
  }
  graph.outputs.set('y', y);

  const store = new Store();
  store.define('w', weight);
  const product = (shape: readonly number[]): number => shape.reduce((p, d) => p * d, 1);
  const weights = noise(product(weight));
  const program = new Program(graph, { batch: n, store, threads, isa, exact });
  const feeds: Record<string, Data> = { x: noise(n * product(image)), dy: noise(n * product(result)) };
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i <= repeats; i++) {
    // As in training, weights are new in every run: packing them is part of the time.
    store.write('w', weights);
    const { nanoseconds } = await program.run(feeds, n, { timed: true });
    const sum = nanoseconds!.reduce((a, b) => a + b, 0);
    if (i > 0) best = Math.min(best, sum);
  }
  const bytes = bytesOf(program.plan).reduce((a, b) => a + b, 0);
  program.dispose();
  store.dispose();
  return { nanoseconds: best, bytes };
}
