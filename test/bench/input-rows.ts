// How long training steps wait for their pictures: what was measured, and its table.

import { table } from '../tools/markdown.js';
import { byMachine, type Machine, machineName, rowsFile, type Stamp } from './rows.js';

/** Of the training steps of one epoch. */
export interface Pace {
  readonly imagesPerSecond: number;
  /** Share of the steps' time in which they waited for pictures. */
  readonly waited: number;
}

/** One kind of pictures, from memory and, where they are files, decoded as they are needed. */
export interface InputRow extends Machine, Stamp {
  readonly pictures: string;
  readonly network: string;
  readonly input: string;
  readonly fromMemory: Pace;
  readonly fromFiles?: Pace;
  /** Pictures a second that are decoded while nothing is trained. */
  readonly decoded?: number;
}

/** Of the same pictures, network and machine, the last row stays. */
export const { read: readInputRows, keep: keepInputRow } = rowsFile<InputRow>('input.json', r =>
  [machineName(r), r.pictures, r.network].join(' '),
);

const rate = (value: number): string => String(Number(value.toPrecision(3)));
const share = (value: number): string => `${(100 * value).toFixed(1)} %`;

export function inputTable(rows: readonly InputRow[]): string {
  const [memory, files] = ['memory', 'files'].map(where => [`from ${where}, images/s`, 'waited']);
  const head = ['pictures', 'network', 'input', ...memory!, ...files!, 'decoded alone, images/s', 'day', 'version'];
  return byMachine(rows, here =>
    table(
      head,
      here.map(({ pictures, network, input, fromMemory, fromFiles, decoded, date, version }) => [
        ...[pictures, `\`${network}\``, input, rate(fromMemory.imagesPerSecond), share(fromMemory.waited)],
        ...(fromFiles ? [rate(fromFiles.imagesPerSecond), share(fromFiles.waited)] : ['–', '–']),
        ...[decoded === undefined ? '–' : rate(decoded), date, `\`${version}\``],
      ]),
    ),
  );
}
