// What measurements have in common: a file of rows in docs/, the machine, the version, a table for each machine.

import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { native } from '../../src/native.js';
import { packageRoot } from '../../src/package.js';
import { currentCommit } from '../tools/commit.js';

/** What something was measured on. */
export interface Machine {
  readonly cpu: string;
  readonly isa: string;
  /** The processor has a better instruction set than `isa`. */
  readonly held?: true;
  readonly threads: number;
}

/** This machine. */
export const machine = (threads: number, isa = native().info().isa): Machine => ({
  ...{ cpu: cpus()[0]!.model.trim(), isa },
  ...(isa === native().info().isas.at(-1) ? {} : { held: true }),
  threads,
});

export const machineName = ({ cpu, isa, held, threads }: Machine): string =>
  `${cpu}, ${held ? 'held to ' : ''}${isa}, ${threads} threads`;

/** When something was measured, and which version. */
export interface Stamp {
  readonly date: string;
  readonly version: string;
}

export const today = (): string => new Date().toISOString().slice(0, 10);
export const stamp = (): Stamp => ({ date: today(), version: currentCommit() });

/** Enough of a measured number. */
export const digits = (value: number): number => Number(value.toPrecision(4));

export interface RowsFile<T> {
  read(): T[];
  /** Adds a row; an earlier one of the same identity makes way. */
  keep(row: T): void;
}

/** A file in docs/ (or another folder) with rows that `identity` tells apart, sorted by it. */
export function rowsFile<T>(
  name: string,
  identity: (row: T) => string,
  folder: string = join(packageRoot, 'docs'),
): RowsFile<T> {
  const path = join(folder, name);
  const read = (): T[] => JSON.parse(readFileSync(path, 'utf8')) as T[];
  return {
    read,
    keep: row => {
      const rows = [...read().filter(other => identity(other) !== identity(row)), row];
      writeRows(
        path,
        rows.sort((a, b) => (identity(a) < identity(b) ? -1 : 1)),
      );
    },
  };
}

/** JSON with a line for each row, so that a measurement changes one line. */
export function writeRows(path: string, rows: readonly unknown[]): void {
  writeFileSync(path, `[\n${rows.map(row => `  ${JSON.stringify(row)}`).join(',\n')}\n]\n`);
}

/** What was measured on one machine, instruction set and number of threads. */
export interface Group<T> {
  /** Of all three. */
  readonly name: string;
  readonly rows: readonly T[];
}

export function groupsOf<T extends Machine>(rows: readonly T[]): Group<T>[] {
  const groups = new Map<string, T[]>();
  for (const row of rows) groups.set(machineName(row), [...(groups.get(machineName(row)) ?? []), row]);
  return [...groups].map(([name, list]) => ({ name, rows: list }));
}

/** A section for each machine. */
export const byMachine = <T extends Machine>(rows: readonly T[], section: (rows: readonly T[]) => string): string =>
  rows.length === 0
    ? 'Nothing has been measured yet.'
    : groupsOf(rows)
        .map(group => `### ${group.name}\n\n${section(group.rows)}`)
        .join('\n\n');
