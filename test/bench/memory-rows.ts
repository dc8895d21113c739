// The memory that trainings state beside what they take: docs/memory.json, and its table.

import type { Form } from '../../src/zoo/zoo.js';
import type { Input } from '../parity/pair.js';
import { number, table } from '../tools/markdown.js';
import { byMachine, type Machine, machineName, rowsFile, type Stamp } from './rows.js';
import { usualOrder } from './subjects.js';

/** What one training needs, in bytes. */
export interface MemoryTrial {
  /** As planned, before it starts. */
  readonly stated: number;
  /** What the engine's buffers took at most. */
  readonly engine: number;
  /** What the process took at most, above what it took before the network was built. */
  readonly process: number;
  /** Of its quickest step. */
  readonly seconds: number;
}

/** The training of one network on one machine. */
export interface MemoryRow extends MemoryTrial, Machine, Stamp {
  readonly network: string;
  readonly form: Form;
  readonly input: Input;
  readonly batch: number;
  readonly checkpointActivations: boolean;
}

/** Of the same network, input, machine and way of training, the last row stays. */
export const { read: readMemoryRows, keep: keepMemoryRow } = rowsFile<MemoryRow>('memory.json', r =>
  [machineName(r), r.network, r.input.join('x'), r.batch, r.checkpointActivations].join(' '),
);

const mebibytes = (bytes: number): string => number(Math.round(bytes / 2 ** 20));
const milliseconds = (seconds: number): string => number(Number((1000 * seconds).toPrecision(3)));

const head = ['network', 'input', 'activations', 'stated, MiB', 'engine, MiB', 'process, MiB', 'stated ÷ process'];

export const memoryTable = (rows: readonly MemoryRow[]): string =>
  byMachine(rows, here =>
    table(
      [...head, 'step, ms', 'day', 'version'],
      usualOrder(here).map(r => [
        `\`${r.network}\``,
        `${r.batch} × ${r.input.slice(0, 2).join('×')}`,
        r.checkpointActivations ? 'checkpoints' : 'all',
        ...[r.stated, r.engine, r.process].map(mebibytes),
        (r.stated / r.process).toFixed(2),
        milliseconds(r.seconds),
        ...[r.date, `\`${r.version}\``],
      ]),
    ),
  );
