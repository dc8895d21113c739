// The addon called wrongly in every way: errors with a code, never a crash.

import { describe, expect, test } from '@jest/globals';
import { fixed, Graph, rows } from '../../src/graph/graph.js';
import { type Native, native } from '../../src/native.js';
import { assign } from '../../src/ops/arithmetic.js';
import { softmax } from '../../src/ops/loss.js';
import { buildPlan } from '../../src/plan/build.js';
import { bind, disturbed, oddValues, ownError, places, request, smallPlan, withPlace } from './plans.js';

const addon = native();

/** Handles of each kind, alive and disposed of. */
function handles(): unknown[] {
  const [alive, gone] = [bind(addon), bind(addon)];
  for (const handle of [gone.executable, gone.store, gone.arena]) addon.dispose(handle);
  return [alive.store, alive.arena, alive.executable, gone.store, gone.arena, gone.executable];
}

/** What came out of a call: fails the test unless that is a value, or an error with a code. */
async function outcome(verb: keyof Native, args: readonly unknown[]): Promise<string> {
  try {
    await (addon[verb] as (...args: readonly unknown[]) => unknown)(...args);
    return 'done';
  } catch (error) {
    if (error === ownError) return 'own';
    const { code, message } = error as { code?: unknown; message: string };
    // What JavaScript itself says when a value cannot be looked at.
    if (/proxy that has been revoked/.test(message)) return 'own';
    if (typeof code === 'string' && /^E_[A-Z]+$/.test(code) && code !== 'E_INTERNAL' && message.length > 0) return code;
    throw new Error(`${verb}: an error without code: ${String(error)}`, { cause: error });
  }
}

/** A right call of each verb. They may be repeated. */
function rightCalls(): Record<
  Exclude<keyof Native, 'peak' | 'bandwidth' | 'info' | 'ops' | 'createStore' | 'createArena'>,
  () => unknown[]
> {
  const { plan, store, arena, executable } = bind(addon);
  let names = 0;
  return {
    defineState: () => [store, `s${names++}`, 'f32', [2, 3]],
    aliasState: () => [store, `s${names++}`, 'b'],
    readState: () => [store, 'b'],
    writeState: () => [store, 'b', new Float32Array(5)],
    requirements: () => [plan, undefined],
    compile: () => [plan, store, arena, { threads: 2, isa: 'scalar' }],
    run: () => [executable, request()],
    cancel: () => [bind(addon).executable],
    resume: () => [executable],
    progress: () => [executable],
    dispose: () => [addon.createStore()],
    resample: () => [
      new Uint8Array(30),
      new Uint8Array(12),
      {
        ...{ vertical: false, line: 15, size: 2, channels: 3, origin: 0 },
        ...{ first: Int32Array.of(0, 1), count: Int32Array.of(2, 4), weights: new Int32Array(8) },
      },
    ],
  };
}

const verbs = Object.keys(rightCalls()) as (keyof ReturnType<typeof rightCalls>)[];

describe('arguments', () => {
  test.each(verbs)('%s takes every kind of value in every place', async verb => {
    const right = rightCalls()[verb];
    expect(await outcome(verb, right())).toBe('done');
    const seen = new Set<string>();
    for (const path of places(right())) {
      if (path.length === 0) continue;
      // The handles change with each call: a disposed one must not be met again.
      for (const odd of oddValues(handles())) seen.add(await outcome(verb, withPlace(right(), path, odd) as unknown[]));
    }
    for (let count = 0; count < right().length; count++) seen.add(await outcome(verb, right().slice(0, count)));
    expect(seen).toContain('E_ARGUMENT');
    expect(await outcome(verb, rightCalls()[verb]())).toBe('done');
  });

  test.each(['peak', 'bandwidth'] as const)('%s is measured for a bounded time', async verb => {
    for (const odd of oddValues(handles()).filter(v => typeof v !== 'number')) {
      expect(await outcome(verb, ['scalar', odd, 1e-3])).not.toBe('done');
      expect(await outcome(verb, ['scalar', 1, odd])).not.toBe('done');
    }
    for (const seconds of [0, -1, Number.NaN, 61, Number.POSITIVE_INFINITY]) {
      expect(await outcome(verb, ['scalar', 1, seconds])).toBe('E_ARGUMENT');
    }
    expect(await outcome(verb, ['scalar', 1, 1e-3])).toBe('done');
  });

  test('a disposed handle says so, one of another kind does not pass, and disposing twice is no error', async () => {
    const { plan, store, arena, executable } = bind(addon);
    expect(await outcome('readState', [arena, 'b'])).toBe('E_ARGUMENT');
    expect(await outcome('run', [store, request()])).toBe('E_ARGUMENT');
    expect(await outcome('compile', [plan, arena, store, { threads: 1 }])).toBe('E_ARGUMENT');
    for (const handle of [store, arena, executable, store]) addon.dispose(handle);
    expect(await outcome('readState', [store, 'b'])).toBe('E_DISPOSED');
    expect(await outcome('run', [executable, request()])).toBe('E_DISPOSED');
  });

  test('more memory than there is, is refused', async () => {
    const store = addon.createStore();
    for (const shape of [[2 ** 50], [2 ** 31, 2 ** 31], [2 ** 53 - 1, 4]]) {
      expect(await outcome('defineState', [store, 'huge', 'f32', shape])).toMatch(/E_(MEMORY|ARGUMENT|PLAN)/);
    }
    expect(await outcome('defineState', [store, 'huge', 'f32', [2]])).toBe('done');
    expect(
      await outcome('compile', [
        { ...smallPlan(addon), arenaBytes: 2 ** 52 },
        bind(addon).store,
        addon.createArena(),
        { threads: 1 },
      ]),
    ).toBe('E_MEMORY');
  });

  test('plans that were tampered with are refused, or run without harm', async () => {
    const plan = smallPlan(addon);
    const seen = new Map<string, number>();
    for (let seed = 0; seed < 1500; seed++) {
      const { store, arena } = bind(addon);
      const wrong = disturbed(plan, seed);
      let result: string;
      try {
        const executable = addon.compile(wrong, store, arena, { threads: 2 });
        result = await outcome('run', [executable, request()]);
      } catch (error) {
        result = String((error as { code?: string }).code);
        expect(result).toMatch(/^E_(ARGUMENT|PLAN|STATE|MEMORY)$/);
      }
      seen.set(result, (seen.get(result) ?? 0) + 1);
    }
    expect(seen.get('done')).toBeGreaterThan(50);
    expect(seen.get('E_PLAN')).toBeGreaterThan(300);
  });
});

describe('buffers', () => {
  const once = async (feeds: Record<string, unknown>): Promise<string> =>
    outcome('run', [bind(addon).executable, { ...request(), feeds: { ...request().feeds, ...feeds } }]);

  test('what a feed does after the call changes nothing', async () => {
    const { executable } = bind(addon, 1);
    const still = { ...request(), segments: [0] };
    const right = await addon.run(executable, still);
    const late = { ...request(), segments: [0] };
    const running = addon.run(executable, late);
    late.feeds.x.fill(Number.NaN);
    structuredClone(late.feeds.next.buffer, { transfer: [late.feeds.next.buffer] });
    expect((await running).results).toEqual(right.results);
  });

  test('a feed of another length, kind or state is refused', async () => {
    const x = new Float32Array(144);
    expect(await once({ x })).toBe('done');
    for (const wrong of [
      x.subarray(1),
      new Float32Array(192),
      new Int32Array(144),
      Array.from(x),
      x.buffer,
      undefined,
    ]) {
      expect(await once({ x: wrong })).toBe('E_ARGUMENT');
    }
    structuredClone(x.buffer, { transfer: [x.buffer] });
    expect(await once({ x })).toBe('E_ARGUMENT');
  });

  test('a getter that fails leaves nothing taken', async () => {
    const { executable } = bind(addon);
    for (const key of ['counts', 'segments', 'feeds', 'timed'] as const) {
      const bad = Object.defineProperty(request(), key, {
        get: () => {
          throw ownError;
        },
      });
      for (let i = 0; i < 3; i++) expect(await outcome('run', [executable, bad])).toBe('own');
    }
    expect(await outcome('run', [executable, request()])).toBe('done');
  });
});

describe('runs', () => {
  test('a third run at a time, and state that a run uses, are E_BUSY; then all is free', async () => {
    const { executable, store } = bind(addon);
    const running = [addon.run(executable, request()), addon.run(executable, request())];
    const third = await outcome('run', [executable, request()]);
    const read = await outcome('readState', [store, 'b']);
    await Promise.all(running);
    // Both may have ended before the third call only if runs are faster than calls.
    expect(['E_BUSY', 'done']).toContain(third);
    expect(['E_BUSY', 'done']).toContain(read);
    expect(await outcome('run', [executable, request()])).toBe('done');
    expect([...addon.readState(store, 'b')]).toEqual([2, 2, 2, 2, 2]);
  });

  test('a guard of 0 keeps the state', async () => {
    const { executable, store } = bind(addon);
    const stop = request();
    stop.feeds.go[0] = 0;
    expect((await addon.run(executable, stop)).complete).toBe(false);
    expect([...addon.readState(store, 'b')]).toEqual([0, 0, 0, 0, 0]);
  });

  test('a cancelled plan runs again after resume', async () => {
    const { executable, store } = bind(addon);
    addon.cancel(executable);
    expect(await outcome('run', [executable, request()])).toBe('E_CANCELLED');
    expect([...addon.readState(store, 'b')]).toEqual([0, 0, 0, 0, 0]);
    addon.resume(executable);
    expect(await outcome('run', [executable, request()])).toBe('done');
  });

  test('a commit is done whole or not at all, whenever the run is cancelled', async () => {
    const graph = new Graph();
    const x = graph.feed('x', rows([64]));
    graph.outputs.set('y', softmax([x])[0]!);
    graph.segment = 'commit';
    const next = graph.feed('next', fixed([1024]));
    const names = Array.from({ length: 300 }, (_, i) => `s${i}`);
    for (const name of names) assign([graph.fromStore(name, fixed([1024])), next]);
    const store = addon.createStore();
    for (const name of names) addon.defineState(store, name, 'f32', [1024]);
    const executable = addon.compile(buildPlan(graph, [64], addon).wire, store, addon.createArena(), { threads: 1 });
    const seen = new Set<string>();
    for (let run = 1; run <= 400; run++) {
      const feeds = { x: new Float32Array(64 * 64), next: new Float32Array(1024).fill(run) };
      const running = outcome('run', [executable, { counts: [64], segments: [0, 1], feeds }]);
      const end = process.hrtime.bigint() + BigInt(run * 1000);
      while (process.hrtime.bigint() < end);
      addon.cancel(executable);
      const result = await running;
      addon.resume(executable);
      seen.add(result);
      const values = new Set(names.map(name => addon.readState(store, name)[0]));
      expect(values.size).toBe(1);
      if (result === 'done') expect([...values]).toEqual([run]);
    }
    expect([...seen].sort()).toEqual(['E_CANCELLED', 'done']);
  });

  test('handles that are disposed of during a run end with it', async () => {
    const { executable, store, arena } = bind(addon);
    const running = addon.run(executable, request());
    for (const handle of [executable, store, arena]) addon.dispose(handle);
    expect((await running).complete).toBe(true);
  });

  test('20,000 runs and 50,000 calls leave no memory behind', async () => {
    const { executable, store } = bind(addon, 1);
    const before = addon.info().liveBytes;
    const one = request();
    for (let i = 0; i < 20_000; i++) await addon.run(executable, one);
    for (let i = 0; i < 25_000; i++) {
      addon.writeState(store, 'b', one.feeds.next);
      addon.readState(store, 'b');
    }
    // Less where handles of earlier tests have been collected.
    expect(addon.info().liveBytes).toBeLessThanOrEqual(before);
  });
});
