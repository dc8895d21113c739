// Repeated measurements: the best counts, since whatever else the machine does can only make a run slower. And what a
// machine allows.

import { native } from '../../src/native.js';

export interface Times {
  /** Seconds. */
  readonly best: number;
  readonly median: number;
  /** 95 % of the measurements took at most this long. */
  readonly p95: number;
}

export function summarise(seconds: readonly number[]): Times {
  const sorted = [...seconds].sort((a, b) => a - b);
  const { length } = sorted;
  return { best: sorted[0]!, median: sorted[Math.floor(length / 2)]!, p95: sorted[Math.ceil(0.95 * length) - 1]! };
}

/** The FMA peak, measured again and again between other measurements; the highest counts. */
export class Peak {
  gflops = 0;

  constructor(
    readonly threads: number,
    readonly isa?: string,
  ) {}

  async measure(seconds = 0.05): Promise<void> {
    this.gflops = Math.max(this.gflops, await native().peak(this.isa, this.threads, seconds));
  }

  /** Share of the peak that `gflops` are, in percent. */
  percent(gflops: number): number {
    return (100 * gflops) / this.gflops;
  }
}

/**
 * Nanoseconds that the roofline allows (Williams et al. 2009): for the arithmetic at the FMA peak, or for moving the
 * operands at the memory's bandwidth, whichever takes longer. GFLOP/s and GB/s are operations and bytes a nanosecond.
 */
export const rooflineTime = (flops: number, bytes: number, gflops: number, bandwidthGBps: number): number =>
  Math.max(flops / gflops, bytes / bandwidthGBps);

/** Numbers that look like activations, the same in every run. */
export function noise(length: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
