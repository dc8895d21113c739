// What is known of dlcourse beside its peers: docs/benchmarks.json, and what is made of it.

import type { Model } from '../../src/layers/index.js';
import { isLearned } from '../../src/layers/layer.js';
import type { Form } from '../../src/zoo/zoo.js';
import type { Input } from '../parity/pair.js';
import { type Machine, machineName, rowsFile } from './rows.js';

export const contenders = ['dlcourse', 'torch', 'torch_channels_last', 'torch_compile', 'onnxruntime'] as const;
export type Contender = (typeof contenders)[number];

/** A training step, inference, and inference of one image. */
export const modes = ['train', 'infer', 'latency'] as const;
export type Mode = (typeof modes)[number];

export type Layout = 'nchw' | 'nhwc';

/** What a trial is asked for; it is one argument, as JSON. */
export interface TrialRequest {
  readonly contender: Contender;
  readonly network: string;
  readonly form: Form;
  /** [h, w, c] */
  readonly input: Input;
  readonly classes: number;
  readonly batch: number;
  readonly mode: Mode;
  readonly threads: number;
  /** dlcourse's instruction set; others are held by their environment. */
  readonly isa: string;
  /** How long to measure at least, after two steps of warm-up. */
  readonly seconds: number;
  /** Order of PyTorch's dimensions. */
  readonly layout?: Layout;
  /** onnxruntime's model. */
  readonly file?: string;
}

export interface TrialAnswer {
  /** Median of the steps. */
  readonly seconds: number;
  /** Peak of the process above what it took when the libraries were loaded. */
  readonly memoryBytes: number;
  /** Seconds that its threads waited for a processor, by the seconds measured; where the system counts it. */
  readonly disturbed?: number;
  readonly version: string;
  readonly parameters?: number;
}

/** What a contender needed in each trial, or why it could not. */
export type Figures =
  | {
      readonly version: string;
      readonly layout?: Layout;
      /** Median of the steps of each trial. */
      readonly seconds: readonly number[];
      readonly memoryBytes: readonly number[];
      readonly disturbed?: readonly number[];
    }
  | { readonly error: string };

/** One network, input and mode on one machine and instruction set. */
export interface Comparison extends Machine {
  readonly network: string;
  readonly form: Form;
  readonly mode: Mode;
  readonly input: Input;
  readonly batch: number;
  /** That learn, auxiliary classifiers among them. */
  readonly parameters: number;
  /** Of the forward pass for one image. */
  readonly multiplyAdds: number;
  /** FMA peak of the threads, measured between the trials. */
  readonly peakGflops: number;
  readonly date: string;
  readonly commit: string;
  readonly node: string;
  readonly figures: Readonly<Partial<Record<Contender, Figures>>>;
}

/** A trial that is disturbed more says little. */
export const DISTURBED = 0.1;

/** What a comparison is told apart by; one of the same replaces it. */
export const identity = (
  c: Pick<Comparison, 'cpu' | 'isa' | 'held' | 'threads' | 'network' | 'form' | 'mode' | 'input' | 'batch'>,
): string => [machineName(c), c.network, c.form, c.mode, c.input.join('x'), c.batch].join(' ');

export const { read: readComparisons, keep: keepComparison } = rowsFile<Comparison>('benchmarks.json', identity);

/** How many numbers of a model learn. */
export const parametersOf = (model: Model): number =>
  model.state.filter(isLearned).reduce((sum, { shape }) => sum + shape.reduce((product, d) => product * d, 1), 0);

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle) - 1]!) / 2;
}

/** Seconds, memory and layout of a contender, as medians over the trials. */
export interface Result {
  readonly contender: Contender;
  readonly layout?: Layout;
  readonly seconds: number;
  readonly memoryBytes: number;
  /** Between the slowest and the fastest trial, by the median. */
  readonly spread: number;
}

export function resultOf({ figures }: Comparison, contender: Contender): Result | undefined {
  const found = figures[contender];
  if (!found || 'error' in found || found.seconds.length === 0) return undefined;
  const seconds = median(found.seconds);
  const spread = (Math.max(...found.seconds) - Math.min(...found.seconds)) / seconds;
  const layout = found.layout ? { layout: found.layout } : {};
  return { contender, seconds, memoryBytes: median(found.memoryBytes), spread, ...layout };
}

const fastest = (results: readonly (Result | undefined)[]): Result | undefined =>
  results.filter(r => r !== undefined).sort((a, b) => a.seconds - b.seconds)[0];

/** The faster of PyTorch's layouts without compilation. */
export const eager = (c: Comparison): Result | undefined =>
  fastest([resultOf(c, 'torch'), resultOf(c, 'torch_channels_last')]);

/** The fastest of PyTorch's ways; unknown where its compiler was left out. */
export const best = (c: Comparison): Result | undefined =>
  c.figures.torch_compile && fastest([eager(c), resultOf(c, 'torch_compile')]);

/** How many times faster than `other` dlcourse is. */
export function speedup(c: Comparison, other: Result | undefined): number | undefined {
  const own = resultOf(c, 'dlcourse');
  return own && other && other.seconds / own.seconds;
}

/** dlcourse's memory by that of `other`. */
export function memoryShare(c: Comparison, other: Result | undefined): number | undefined {
  const own = resultOf(c, 'dlcourse');
  return own && other && own.memoryBytes / other.memoryBytes;
}

export function geometricMean(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter(v => v !== undefined);
  if (known.length === 0) return undefined;
  return Math.exp(known.reduce((sum, v) => sum + Math.log(v), 0) / known.length);
}

/** dlcourse's share of the FMA peak; a training step counts as three times the forward pass. */
export function shareOfPeak(c: Comparison): number | undefined {
  const own = resultOf(c, 'dlcourse');
  const flops = 2 * c.multiplyAdds * c.batch * (c.mode === 'train' ? 3 : 1);
  return own && flops / own.seconds / 1e9 / c.peakGflops;
}
