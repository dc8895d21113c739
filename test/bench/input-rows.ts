// How long training steps wait for their pictures: what was measured, and its table.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/native.js';
import { table } from '../tools/markdown.js';
import { groupsOf, type Machine } from './results.js';

/** Of the training steps of one epoch. */
export interface Pace {
  readonly imagesPerSecond: number;
  /** Share of the steps' time in which they waited for pictures. */
  readonly waited: number;
}

/** One kind of pictures, from memory and, where they are files, decoded as they are needed. */
export interface InputRow extends Machine {
  readonly pictures: string;
  readonly network: string;
  readonly input: string;
  readonly fromMemory: Pace;
  readonly fromFiles?: Pace;
  /** Pictures a second that are decoded while nothing is trained. */
  readonly decoded?: number;
  readonly date: string;
  readonly version: string;
}

const path = join(packageRoot(), 'docs', 'input.json');

export const readInputRows = (): InputRow[] => JSON.parse(readFileSync(path, 'utf8')) as InputRow[];

const identity = (r: InputRow): string => JSON.stringify([r.pictures, r.network, r.cpu, r.isa, r.threads]);

/** Adds a row; an earlier one of the same pictures, network and machine makes way. */
export function keepInputRow(row: InputRow): void {
  const rows = [...readInputRows().filter(r => identity(r) !== identity(row)), row];
  writeFileSync(path, `${JSON.stringify(rows, null, 2)}\n`);
}

const rate = (value: number): string => String(Number(value.toPrecision(3)));
const share = (value: number): string => `${(100 * value).toFixed(1)} %`;

export function inputTable(rows: readonly InputRow[]): string {
  if (rows.length === 0) return 'Nothing has been measured yet.';
  return groupsOf(rows)
    .map(({ name, rows: here }) => {
      const lines = here.map(({ pictures, network, input, fromMemory, fromFiles, decoded, date, version }) => [
        ...[pictures, `\`${network}\``, input, rate(fromMemory.imagesPerSecond), share(fromMemory.waited)],
        ...(fromFiles ? [rate(fromFiles.imagesPerSecond), share(fromFiles.waited)] : ['–', '–']),
        ...[decoded === undefined ? '–' : rate(decoded), date, `\`${version}\``],
      ]);
      const head = [
        'pictures',
        'network',
        'input',
        'from memory, images/s',
        'waited',
        'from files, images/s',
        'waited',
      ];
      return `### ${name}\n\n${table([...head, 'decoded alone, images/s', 'day', 'version'], lines)}`;
    })
    .join('\n\n');
}
