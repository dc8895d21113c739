// How near kernels come to what the machine allows: docs/kernels.json, and its table.

import { type KernelBench, type KernelRow, type Pass, passes, percentages, placeOf } from '../../cli/bench/kernels.js';
import { table } from '../tools/markdown.js';
import { byMachine, digits, type Machine, machineName, rowsFile, type Stamp } from './rows.js';

/** One pass of a kernel. */
export type KernelFigures = Pick<KernelRow, 'gflops' | 'percentOfPeak' | 'percentOfRoofline'>;

/** One kernel on one machine. */
export interface KernelResult extends Machine, Stamp, Pick<KernelRow, 'op' | 'shape'> {
  /** Without Winograd. */
  readonly exact: boolean;
  readonly peakGflops: number;
  readonly bandwidthGBps: number;
  readonly passes: Readonly<Partial<Record<Pass, KernelFigures>>>;
}

/** Of the same kernel and machine, the last row stays. */
export const { read: readKernelResults, keep: keepKernelResult } = rowsFile<KernelResult>('kernels.json', k =>
  [machineName(k), k.op, k.shape, k.exact].join(' '),
);

/** Whether it is another kernel without Winograd, whose windows are 3×3 of stride 1 and whose groups are not narrow. */
const changedByExact = ({ op, shape }: KernelRow): boolean =>
  op === 'conv2d' && shape.includes(' 3x3 ') && !shape.includes('stride');

export type BestKernel = Omit<KernelResult, keyof Machine | keyof Stamp>;

/**
 * The best of some runs of the benchmark: of each kernel, and of the peak and the bandwidth that it is compared with.
 * Of exact runs only the kernels that are others.
 */
export function bestOf(runs: readonly KernelBench[]): BestKernel[] {
  const { exact, kernels } = runs[0]!;
  const most = (value: (run: KernelBench) => number): number => Math.max(...runs.map(value));
  const [peakGflops, bandwidthGBps] = [most(r => r.peakGflops), most(r => r.bandwidthGBps)];
  const found = new Map<string, BestKernel>();
  for (const [i, row] of kernels.entries()) {
    if (exact && !changedByExact(row)) continue;
    const { op, shape, pass, intensity } = row;
    const gflops = most(r => r.kernels[i]!.gflops);
    const { percentOfPeak, percentOfRoofline } = percentages({ gflops, intensity }, peakGflops, bandwidthGBps);
    const figures = {
      ...{ gflops: digits(gflops), percentOfPeak: digits(percentOfPeak) },
      percentOfRoofline: digits(percentOfRoofline),
    };
    const key = `${op} ${shape}`;
    found.set(key, {
      ...{ op, shape, exact, peakGflops: digits(peakGflops), bandwidthGBps: digits(bandwidthGBps) },
      passes: { ...found.get(key)?.passes, [pass]: figures },
    });
  }
  return [...found.values()];
}

/** `12 % (95 of roofline)` where the memory binds. */
function cell(figures: KernelFigures | undefined): string {
  if (!figures) return '–';
  const [peak, roofline] = [figures.percentOfPeak, figures.percentOfRoofline].map(n => n.toFixed(0));
  return peak === roofline ? `${peak} %` : `${peak} % (${roofline} of roofline)`;
}

export const kernelTable = (results: readonly KernelResult[]): string =>
  byMachine(results, here =>
    table(
      ['kernel', 'shape', ...passes.map(pass => pass.replace('_', ' ')), 'day', 'version'],
      [...here]
        .sort((a, b) => placeOf(a) - placeOf(b) || Number(a.exact) - Number(b.exact))
        .map(k => [
          `${k.op}${k.exact ? ', exact' : ''}`,
          k.shape.replaceAll(/(?<=\d)x(?=\d)/g, '×'),
          ...passes.map(pass => cell(k.passes[pass])),
          ...[k.date, `\`${k.version}\``],
        ]),
    ),
  );
