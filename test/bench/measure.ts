// How contenders are compared: in rounds, each contender one trial a round, each trial a process of its own.

import { DlcourseError } from '../../src/errors.js';
import {
  type Contender,
  DISTURBED,
  type Figures,
  type Layout,
  median,
  type TrialAnswer,
  type TrialRequest,
} from './results.js';

/** What all contenders of a comparison are asked for. */
export type Task = Omit<TrialRequest, 'contender' | 'layout' | 'file'>;

export type Failure = { readonly error: string };

/** Answers requests, `export` among them: it writes `file` for onnxruntime. */
export type Ask = (
  request: Omit<TrialRequest, 'contender'> & { contender: Contender | 'export' },
) => Promise<TrialAnswer | Failure>;

export interface Rounds {
  readonly entrants: readonly Contender[];
  readonly trials: number;
  /** dlcourse's: all contenders must have as many. */
  readonly parameters: number;
  /** Where onnxruntime's model may be written. */
  readonly file: string;
  readonly ask: Ask;
  /** Before each trial. */
  readonly before?: (contender: Contender, round: number) => Promise<void>;
  /** After each trial, with what is known by then; `complete` when a round has ended. */
  readonly after?: (figures: Readonly<Partial<Record<Contender, Figures>>>, complete: boolean) => void;
}

/**
 * A contender that fails is recorded with its error, and the others go on.
 * Throws E_PARAMETERS (class mismatch) where a contender has another number of parameters: it runs another network.
 */
export async function measure(task: Task, rounds: Rounds): Promise<Partial<Record<Contender, Figures>>> {
  const { entrants, trials, parameters, file, ask, before, after } = rounds;
  const figures: Partial<Record<Contender, Figures>> = {};
  const check = (contender: string, found: number | undefined): void => {
    if (found === undefined || found === parameters) return;
    throw new DlcourseError({
      code: 'E_PARAMETERS',
      class: 'mismatch',
      where: `${task.network} (${task.form})`,
      problem: `expected ${parameters} parameters as in dlcourse's, got ${found} in ${contender}'s`,
      hint: 'see test/parity/references',
    });
  };
  for (let round = 0; round < trials; round++) {
    for (const contender of entrants) {
      const known = figures[contender];
      if (known && 'error' in known) continue;
      await before?.(contender, round);
      if (contender === 'onnxruntime' && !known) {
        const exported = await ask({ ...task, contender: 'export', file });
        if ('error' in exported) {
          figures[contender] = exported;
          continue;
        }
        check(contender, exported.parameters);
      }
      const layout = layoutOf(contender, figures);
      const answer = await undisturbed(() => ask({ ...task, contender, file, ...(layout ? { layout } : {}) }));
      // Figures of earlier rounds stay.
      if ('error' in answer) figures[contender] ??= { error: answer.error };
      else {
        check(contender, answer.parameters);
        figures[contender] = {
          version: answer.version,
          ...(layout ? { layout } : {}),
          seconds: [...(known?.seconds ?? []), answer.seconds],
          memoryBytes: [...(known?.memoryBytes ?? []), answer.memoryBytes],
          ...(answer.disturbed === undefined ? {} : { disturbed: [...(known?.disturbed ?? []), answer.disturbed] }),
        };
      }
      after?.(figures, contender === entrants.at(-1));
    }
  }
  return figures;
}

/** How often a trial is made again that something else on the machine disturbed. */
const AGAIN = 3;

/** The answer that was disturbed least, and the first that was hardly disturbed at all. */
async function undisturbed(trial: () => Promise<TrialAnswer | Failure>): Promise<TrialAnswer | Failure> {
  let least = await trial();
  for (let i = 0; i < AGAIN && !('error' in least) && (least.disturbed ?? 0) > DISTURBED; i++) {
    const again = await trial();
    if ('error' in again || again.disturbed! < least.disturbed!) least = again;
  }
  return least;
}

/** torch.compile has the layout that is faster without it, and keeps that of its first trial. */
function layoutOf(contender: Contender, figures: Partial<Record<Contender, Figures>>): Layout | undefined {
  const known = figures[contender];
  if (known && 'layout' in known) return known.layout;
  const seconds = (other: Contender): number => {
    const found = figures[other];
    return found && 'seconds' in found ? median(found.seconds) : Number.POSITIVE_INFINITY;
  };
  if (contender === 'torch') return 'nchw';
  if (contender === 'torch_channels_last') return 'nhwc';
  if (contender === 'torch_compile') return seconds('torch') < seconds('torch_channels_last') ? 'nchw' : 'nhwc';
  return undefined;
}
