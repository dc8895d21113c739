// Where the time of the compared networks' training steps goes: docs/profiles.json, and its table.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProfileRow } from '../../cli/bench/profile.js';
import { packageRoot } from '../../src/native.js';
import type { Form } from '../../src/zoo/zoo.js';
import type { Input } from '../parity/pair.js';
import { table } from '../tools/markdown.js';
import { groupsOf, type Machine, writeRows } from './results.js';
import { usualOrder } from './subjects.js';

/** The steps of one kind: `conv2d 3×3`. */
export type Part = Pick<ProfileRow, 'name' | 'share' | 'percentOfRoofline' | 'percentOfPeak'>;

/** One network's training step on one machine. */
export interface NetworkProfile extends Machine {
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
  readonly date: string;
  readonly version: string;
}

const path = join(packageRoot(), 'docs', 'profiles.json');

export const readProfiles = (): NetworkProfile[] => JSON.parse(readFileSync(path, 'utf8')) as NetworkProfile[];

const identity = (p: NetworkProfile): string =>
  [p.cpu, p.isa, p.threads, p.network, p.input.join('x'), p.batch].join(' ');

/** Adds a profile; an earlier one of the same network, input and machine makes way. */
export function keepProfile(found: NetworkProfile): void {
  const all = [...readProfiles().filter(p => identity(p) !== identity(found)), found];
  all.sort((a, b) => (identity(a) < identity(b) ? -1 : 1));
  writeRows(path, all);
}

/** A network's parts above this share of its time are named. */
const NAMED = 0.04;

const percent = (value: number): string => `${value.toFixed(0)} %`;

/** `conv2d 3×3 31 % (142)`: the share, and percent of the peak, or of the roofline for what computes little. */
const partText = ({ name, share, percentOfPeak, percentOfRoofline }: Part): string =>
  `${name} ${percent(100 * share)} (${(percentOfPeak ?? percentOfRoofline).toFixed(0)}${percentOfPeak === undefined ? ' of roofline' : ''})`;

export function profileTable(profiles: readonly NetworkProfile[]): string {
  if (profiles.length === 0) return 'Nothing has been measured yet.';
  return groupsOf(profiles)
    .map(({ name, rows }) => {
      const lines = usualOrder(rows).map(({ network, input, batch, milliseconds, roofline, parts, version }) => [
        ...[
          `\`${network}\``,
          `${batch} × ${input.slice(0, 2).join('×')}`,
          Number(milliseconds.toPrecision(3)).toString(),
        ],
        ...[
          percent((100 * roofline) / milliseconds),
          parts
            .filter(p => p.share >= NAMED)
            .map(partText)
            .join(', '),
        ],
        `\`${version}\``,
      ]);
      const head = ['network', 'input', 'step, ms', 'roofline', 'where it goes', 'version'];
      return `### ${name}\n\n${table(head, lines)}`;
    })
    .join('\n\n');
}
