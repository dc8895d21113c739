// Where the reference files of these tests lie; fixtures/make.py makes them.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export function fixturePath(name: string): string {
  return fileURLToPath(new URL(`../../../test/io/fixtures/${name}`, import.meta.url));
}

export function fixture(name: string): Uint8Array {
  return new Uint8Array(readFileSync(fixturePath(name)));
}

/** The numbers of `fixtures/make.py`: x ← 1664525 x + 1013904223 mod 2³². */
export function* randomWords(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state;
  }
}

/** The error that `action` throws or rejects with; fails the test if there is none. */
export async function errorOf(
  action: () => unknown,
): Promise<Error & { code?: string; class?: string; hint?: string }> {
  try {
    await action();
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected an error, got none');
}
