// The training loop: steps, epochs, evaluation, early stopping. Between two events the training stands at a step's
// boundary: whoever consumes them may save there.

import type { Evaluation } from './metrics.js';
import type { StepReport, Training } from './training.js';

/** One epoch in the history: the same for the same seed, on any number of threads, resumed or not. */
export interface EpochRecord {
  /** 1-based. */
  readonly epoch: number;
  readonly step: number;
  readonly lr: number;
  readonly train: { readonly loss: number; readonly accuracy: number };
  readonly test?: { readonly loss: number; readonly top1: number; readonly top5: number };
}

export type LoopEvent =
  | { readonly kind: 'step'; readonly report: StepReport }
  | { readonly kind: 'epoch'; readonly record: EpochRecord; readonly evaluation?: Evaluation; readonly best: boolean };

export interface LoopOptions {
  /** Epochs so far; grows. */
  readonly history: EpochRecord[];
  readonly patience: number;
  /** Epochs from one evaluation to the next; the last epoch has one anyway. Default 1. */
  readonly testEvery?: number;
  readonly evaluate: boolean;
  /** Stops an evaluation that is under way: the loop then ends before its epoch is recorded. */
  readonly signal?: AbortSignal;
}

/** The epoch with the least test loss; undefined without test data. */
export function bestEpoch(history: readonly EpochRecord[]): EpochRecord | undefined {
  let best: EpochRecord | undefined;
  for (const record of history) if (record.test && (!best || record.test.loss < best.test!.loss)) best = record;
  return best;
}

/**
 * Trains from where `training` stands to the end, or until test loss has not improved for `patience` epochs.
 * A checkpoint of a training whose last epoch is complete continues at the next one.
 */
export async function* trainLoop(training: Training, options: LoopOptions): AsyncGenerator<LoopEvent> {
  const { history, patience, testEvery = 1 } = options;
  // Asked before each epoch, so that a resumed training stops where the uninterrupted one did.
  const patient = (): boolean => {
    const best = bestEpoch(history);
    return patience === 0 || !best || history.at(-1)!.epoch - best.epoch < patience;
  };
  while ((!training.done || training.epochDone) && patient()) {
    while (!training.epochDone) yield { kind: 'step', report: await training.step() };
    const { epoch, step, lossSum, hits, samples } = training.position;
    let evaluation: Evaluation | undefined;
    try {
      const due = (epoch + 1) % testEvery === 0 || training.done;
      if (options.evaluate && due) evaluation = await training.evaluate(undefined, undefined, options.signal);
    } catch (error) {
      if (options.signal?.aborted) return;
      throw error;
    }
    const record: EpochRecord = {
      epoch: epoch + 1,
      step,
      lr: training.learningRate(step - 1),
      train: { loss: lossSum / samples, accuracy: hits / samples },
      ...(evaluation ? { test: { loss: evaluation.loss, top1: evaluation.top1, top5: evaluation.top5 } } : {}),
    };
    history.push(record);
    training.endEpoch();
    yield { kind: 'epoch', record, ...(evaluation ? { evaluation } : {}), best: bestEpoch(history) === record };
  }
}
