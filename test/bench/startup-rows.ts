// How long commands take from the shell: docs/startup.json, and its tables.

import type { Input } from '../parity/pair.js';
import { table } from '../tools/markdown.js';
import { byMachine, type Machine, machineName, rowsFile, type Stamp } from './rows.js';

/** Of one command's trials, in milliseconds. */
export interface CommandTimes {
  readonly command: string;
  readonly median: number;
  readonly best: number;
  readonly p95: number;
}

/** One picture's prediction by one network on one machine, and the commands beside it. */
export interface StartupRow extends Machine, Stamp {
  readonly network: string;
  readonly input: Input;
  /** Size and format. */
  readonly picture: string;
  readonly trials: number;
  readonly node: string;
  readonly commands: readonly CommandTimes[];
}

/** Of the same network, picture and machine, the last row stays. */
export const { read: readStartupRows, keep: keepStartupRow } = rowsFile<StartupRow>('startup.json', r =>
  [machineName(r), r.network, r.input.join('x'), r.picture].join(' '),
);

/** The figures of one row. */
export const timesTable = (commands: readonly CommandTimes[]): string =>
  table(
    ['command', 'median ms', 'best', '95 %'],
    commands.map(({ command, median, best, p95 }) => [command, ...[median, best, p95].map(ms => ms.toFixed(0))]),
  );

export const startupTable = (rows: readonly StartupRow[]): string =>
  byMachine(rows, here =>
    here
      .map(({ network, input, picture, trials, node, commands, date, version }) => {
        const what = `\`${network}\` at ${input.slice(0, 2).join('×')}, a picture of ${picture}`;
        return `${what}; ${trials} trials, Node.js ${node}; ${date}, \`${version}\`:\n\n${timesTable(commands)}`;
      })
      .join('\n\n'),
  );
