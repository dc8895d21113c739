// Plans for the tests of the addon, and values that nobody should pass it.

import { fixed, Graph, rows } from '../../src/graph/graph.js';
import { generator } from '../../src/layers/initializers.js';
import type { ArenaHandle, ExecutableHandle, Native, StoreHandle } from '../../src/native.js';
import { activation } from '../../src/ops/activations.js';
import { assign, broadcastAdd, reshape } from '../../src/ops/arithmetic.js';
import { conv2d } from '../../src/ops/conv2d.js';
import { softmax } from '../../src/ops/loss.js';
import { concat } from '../../src/ops/shape.js';
import { buildPlan } from '../../src/plan/build.js';
import type { WirePlan } from '../../src/plan/wire.js';

/** One of each thing that a plan can hold: feeds, state, results, a guard, two segments, a concatenation. */
export function smallPlan(addon: Native): WirePlan {
  const graph = new Graph();
  const x = graph.feed('x', rows([4, 4, 3]));
  const w = graph.fromStore('w', fixed([3, 3, 3, 5]));
  const b = graph.fromStore('b', fixed([5]));
  const y = conv2d([x, w], { pad: [1, 1, 1, 1], activation: 'relu' })[0]!;
  const wide = softmax(concat([broadcastAdd([y, b])[0]!, activation('tanh', x)]))[0]!;
  graph.outputs.set('y', reshape([wide], { shape: [16, 8] })[0]!);
  graph.segment = 'commit';
  graph.guards.set('commit', graph.feed('go', fixed([1], 'i32')));
  assign([b, graph.feed('next', fixed([5]))]);
  return buildPlan(graph, [4], addon).wire;
}

export interface Bound {
  plan: WirePlan;
  store: StoreHandle;
  arena: ArenaHandle;
  executable: ExecutableHandle;
}

/** The plan, compiled, with its state. */
export function bind(addon: Native, threads = 2): Bound {
  const plan = smallPlan(addon);
  const store = addon.createStore();
  const arena = addon.createArena();
  addon.defineState(store, 'w', 'f32', [3, 3, 3, 5]);
  addon.defineState(store, 'b', 'f32', [5]);
  return { plan, store, arena, executable: addon.compile(plan, store, arena, { threads }) };
}

export const request = () => ({
  counts: [3],
  segments: [0, 1],
  feeds: { x: new Float32Array(3 * 48).fill(0.5), go: Int32Array.of(1), next: new Float32Array(5).fill(2) },
});

/** Thrown by values that throw when they are looked at. */
export const ownError = new Error('thrown by the value itself');

/** Values of every kind that JavaScript has, and typed arrays in every state. `handles` are of the addon. */
export function oddValues(handles: readonly unknown[]): unknown[] {
  const detached = new Float32Array(5);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  // Resizable buffers came after the library that types are checked against.
  const Resizable = ArrayBuffer as unknown as new (
    bytes: number,
    options: object,
  ) => ArrayBuffer & { resize(n: number): void };
  const shrunk = new Resizable(20, { maxByteLength: 40 });
  const outOfBounds = new Float32Array(shrunk, 0, 5);
  const tracking = new Float32Array(shrunk);
  shrunk.resize(8);
  const { proxy: revoked, revoke } = Proxy.revocable({}, {});
  revoke();
  const throwing = new Proxy(
    {},
    { get: fail, has: fail, ownKeys: fail, getOwnPropertyDescriptor: fail, getPrototypeOf: fail },
  );
  return [
    undefined,
    null,
    true,
    0,
    -0,
    -1,
    1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 31,
    2 ** 53,
    '',
    'b',
    '\u0000',
    '\ud800',
    'f32',
    'x'.repeat(10_000),
    Symbol('s'),
    10n,
    {},
    { length: 3 },
    Object.create(null),
    [],
    [1],
    [1, 2, 3],
    [-1],
    [2 ** 40, 2 ** 40],
    [Number.NaN],
    ['b'],
    [[]],
    [null],
    new Array(2 ** 32 - 1),
    () => 1,
    class {},
    new Date(),
    /x/,
    new Map(),
    Promise.resolve(),
    new Error('e'),
    revoked,
    throwing,
    new Proxy([1], {}),
    new Float32Array(0),
    new Float32Array(5),
    new Float32Array(144),
    new Int32Array(1),
    new Int32Array(5),
    new Uint8Array(5),
    new Uint8Array(20),
    new Float64Array(5),
    new BigInt64Array(5),
    new DataView(new ArrayBuffer(20)),
    new ArrayBuffer(20),
    new SharedArrayBuffer(20),
    new Float32Array(new SharedArrayBuffer(20)),
    detached,
    outOfBounds,
    tracking,
    ...handles,
  ];
}

function fail(): never {
  throw ownError;
}

/** Every place of a value that is made of objects and arrays, itself included. */
export function places(value: unknown, path: readonly (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [[...path]];
  return [[...path], ...Object.entries(value).flatMap(([key, inner]) => places(inner, [...path, key]))];
}

/** A copy of plain data in which one place holds `odd`. */
export function withPlace(value: unknown, [key, ...rest]: readonly (string | number)[], odd: unknown): unknown {
  if (key === undefined) return odd;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string | number, unknown>;
  copy[key] = withPlace(copy[key], rest, odd);
  return copy;
}

/** The plan with one or two things changed, as a broken planner might. */
export function disturbed(plan: WirePlan, seed: number): WirePlan {
  const random = generator(seed, 'disturbed');
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const numbers = [0, 1, -1, 2, 3, 5, 7, 64, 1000, 2 ** 31, 2 ** 40, -(2 ** 31), 0.5];
  const out = structuredClone(plan);
  for (let changes = pick([1, 2]); changes > 0; changes--) {
    const all = places(out).filter(path => path.length > 1);
    const path = pick(all);
    const parent = path.slice(0, -1).reduce<Record<string | number, unknown>>((o, k) => o[k] as never, out as never);
    const key = path.at(-1)!;
    const old = parent[key];
    if (typeof old === 'number') parent[key] = pick([true, false]) ? pick(numbers) : old + pick([-2, -1, 1, 2]);
    else if (typeof old === 'boolean') parent[key] = !old;
    else if (typeof old === 'string')
      parent[key] = pick(['relu', 'none', 'u8', 'i32', 'state', 'arena', 'feed', ...plan.steps.map(s => s.op)]);
    else if (Array.isArray(old) && old.length > 0) {
      if (pick([true, false])) old.pop();
      else old.push(pick(old));
    }
  }
  return out;
}
