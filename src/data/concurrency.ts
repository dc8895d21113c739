// Keeps a bounded number of decodes under way: enough for the cores, few enough for the memory.

import { availableParallelism } from 'node:os';

/** Pictures decoded at once: two more than cores, so that a core never waits for the event loop. */
export const decodeWidth = availableParallelism() + 2;

/**
 * Runs `work(0) … work(count − 1)`, `width` at a time, in order of start. The first failure stops the start of more
 * and is thrown once those under way have ended.
 */
export async function forEachConcurrently(
  count: number,
  work: (index: number) => Promise<void>,
  options: { width?: number; signal?: AbortSignal } = {},
): Promise<void> {
  const { width = decodeWidth, signal } = options;
  let next = 0;
  let failed = false;
  const lane = async () => {
    while (next < count && !failed) {
      signal?.throwIfAborted();
      await work(next++);
    }
  };
  const lanes = Array.from({ length: Math.min(width, count) }, () =>
    lane().catch(error => {
      failed = true;
      throw error;
    }),
  );
  const results = await Promise.allSettled(lanes);
  const failure = results.find(r => r.status === 'rejected');
  if (failure) throw failure.reason;
}
