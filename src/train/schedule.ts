// Learning-rate schedules: a factor of the base rate for each step, a pure function of position.

import { unknownName } from '../errors.js';

export const scheduleNames = [
  'constant',
  'step',
  'multi_step',
  'linear',
  'polynomial',
  'exponential',
  'cosine',
  'one_cycle',
  'triangular',
] as const;
export type ScheduleName = (typeof scheduleNames)[number];

export interface ScheduleOptions {
  readonly name: ScheduleName;
  /** Epochs of linear warm-up before the schedule proper; 0 for none. */
  readonly warmup: number;
  /** `step`: epochs between reductions. */
  readonly stepEpochs: number;
  /** `multi_step`: epochs at which the rate falls. */
  readonly milestones: readonly number[];
  /** `step`, `multi_step`: factor of each reduction; `exponential`: factor at the end. */
  readonly gamma: number;
  /** `polynomial`: exponent of the share that is left. */
  readonly power: number;
  /** `one_cycle`, `triangular`: share of all steps in which the rate rises. */
  readonly rise: number;
  /** `triangular`: factors at the beginning and at the end. */
  readonly first: number;
  readonly last: number;
}

export const defaultSchedule: ScheduleOptions = {
  name: 'one_cycle',
  warmup: 0,
  stepEpochs: 30,
  milestones: [],
  gamma: 0.1,
  power: 1,
  rise: 0.3,
  first: 0.04,
  last: 0,
};

/** Throws E_SCHEDULE with the nearest name. */
export function scheduleNamed(name: string): ScheduleName {
  if ((scheduleNames as readonly string[]).includes(name)) return name as ScheduleName;
  throw unknownName(
    { code: 'E_SCHEDULE', class: 'usage', where: 'schedule' },
    'the name of a schedule',
    name,
    scheduleNames,
  );
}

const cosine = (from: number, to: number, t: number): number => to + ((from - to) / 2) * (1 + Math.cos(Math.PI * t));

/**
 * Factor of the base learning rate at `step` (0-based) of `total` steps, `perEpoch` of them an epoch.
 *
 * - `constant`: 1
 * - `step`: gamma^⌊epoch / stepEpochs⌋; `multi_step`: gamma^(milestones passed)
 * - `linear`: from 1 to 0; `polynomial`: (share that is left)^power; `exponential`: gamma^(share that is done)
 * - `cosine`: half a cosine from 1 to 0 (Loshchilov & Hutter 2016, without restarts)
 * - `one_cycle`: from 1/25 up to 1 in the first `rise` of the steps, down to 1/250,000, both by cosine
 *   (Smith & Topin 2017, in PyTorch's form)
 * - `triangular`: from `first` up to 1 in the first `rise` of the steps, down to `last`, both in straight lines
 *   (Smith 2015)
 */
export function scheduleFactor(options: ScheduleOptions, step: number, total: number, perEpoch: number): number {
  const warmupSteps = options.warmup * perEpoch;
  if (step < warmupSteps) return (step + 1) / (warmupSteps + 1);
  const epoch = step / perEpoch;
  const done = (step - warmupSteps) / Math.max(1, total - warmupSteps);
  switch (options.name) {
    case 'constant':
      return 1;
    case 'step':
      return options.gamma ** Math.floor(Math.floor(epoch) / options.stepEpochs);
    case 'multi_step':
      return options.gamma ** options.milestones.filter(m => epoch >= m).length;
    case 'linear':
      return 1 - done;
    case 'polynomial':
      return (1 - done) ** options.power;
    case 'exponential':
      return options.gamma ** done;
    case 'cosine':
      return cosine(1, 0, done);
    case 'one_cycle': {
      const peak = options.rise * total - 1;
      if (step <= peak) return cosine(1 / 25, 1, step / Math.max(peak, 1));
      return cosine(1, 1 / 250_000, (step - peak) / Math.max(1, total - 1 - peak));
    }
    case 'triangular': {
      const { rise, first, last } = options;
      return done < rise ? first + ((1 - first) * done) / rise : 1 - ((1 - last) * (done - rise)) / (1 - rise);
    }
  }
}
