// Where the time of the compared networks' training steps goes: docs/profiles.json, and its table.

import type { ProfileRow } from '../../cli/bench/profile.js';
import type { Form } from '../../src/zoo/zoo.js';
import type { Input } from '../parity/pair.js';
import { table } from '../tools/markdown.js';
import { byMachine, type Machine, machineName, rowsFile, type Stamp } from './rows.js';
import { usualOrder } from './subjects.js';

/** The steps of one kind: `conv2d 3×3`. */
export type Part = Pick<ProfileRow, 'name' | 'share' | 'percentOfRoofline' | 'percentOfPeak'>;

/** One network's training step on one machine. */
export interface NetworkProfile extends Machine, Stamp {
  readonly network: string;
  readonly form: Form;
  readonly input: Input;
  readonly batch: number;
  readonly peakGflops: number;
  readonly bandwidthGBps: number;
  /** Of the best times of the plan's steps, and what the roofline allows for them. */
  readonly milliseconds: number;
  readonly roofline: number;
  /** Longest first. */
  readonly parts: readonly Part[];
}

/** Of the same network, input and machine, the last profile stays. */
export const { read: readProfiles, keep: keepProfile } = rowsFile<NetworkProfile>('profiles.json', p =>
  [machineName(p), p.network, p.input.join('x'), p.batch].join(' '),
);

/** A network's parts above this share of its time are named. */
const NAMED = 0.04;

const percent = (value: number): string => `${value.toFixed(0)} %`;

/** `conv2d 3×3 31 % (142)`: the share, and percent of the peak, or of the roofline for what computes little. */
const partText = ({ name, share, percentOfPeak, percentOfRoofline }: Part): string =>
  `${name} ${percent(100 * share)} (${(percentOfPeak ?? percentOfRoofline).toFixed(0)}${percentOfPeak === undefined ? ' of roofline' : ''})`;

export function profileTable(profiles: readonly NetworkProfile[]): string {
  const head = ['network', 'input', 'step, ms', 'roofline', 'where it goes', 'GB/s', 'day', 'version'];
  return byMachine(profiles, rows =>
    table(
      head,
      usualOrder(rows).map(({ network, input, batch, milliseconds, roofline, parts, bandwidthGBps, date, version }) => [
        `\`${network}\``,
        `${batch} × ${input.slice(0, 2).join('×')}`,
        Number(milliseconds.toPrecision(3)).toString(),
        percent((100 * roofline) / milliseconds),
        parts
          .filter(p => p.share >= NAMED)
          .map(partText)
          .join(', '),
        bandwidthGBps.toFixed(0),
        date,
        `\`${version}\``,
      ]),
    ),
  );
}
