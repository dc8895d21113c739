// Compile once, run many: state by name, and programs that bind to it.

import { DlcourseError } from '../errors.js';
import { type DType, elements, type Graph, type Node } from '../graph/graph.js';
import {
  type ArenaHandle,
  type Data,
  type ExecutableHandle,
  fromNative,
  native,
  type StoreHandle,
  translated,
} from '../native.js';
import { makeExact } from '../passes/exact.js';
import { moveIntoReaders } from '../passes/prologue.js';
import { prune } from '../passes/prune.js';
import { recompute } from '../passes/recompute.js';
import { joinSeparable } from '../passes/separable.js';
import { shuffleInPieces } from '../passes/shuffle.js';
import { WIDTH } from '../passes/storage.js';
import { moveSumsIntoWriters } from '../passes/sums.js';
import { type BuiltPlan, buildPlan, workspaces } from '../plan/build.js';
import { batchThatFits, bufferBytes, largestBatch, ownBytes, requireMemory } from './memory.js';

export type { Data } from '../native.js';

/** Tensors by name, kept by the engine: weights, optimizer state, running statistics. Plans bind to them. */
export class Store {
  readonly handle: StoreHandle = native().createStore();
  readonly #shapes = new Map<string, { dtype: DType; shape: readonly number[] }>();

  /** Adds a tensor of zeros. Throws E_STATE when the name is taken. */
  define(name: string, shape: readonly number[], dtype: DType = 'f32'): void {
    translated(name, () => native().defineState(this.handle, name, dtype, [...shape]));
    this.#shapes.set(name, { dtype, shape });
  }

  has(name: string): boolean {
    return this.#shapes.has(name);
  }

  get names(): string[] {
    return [...this.#shapes.keys()];
  }

  shape(name: string): readonly number[] {
    return this.#shapes.get(name)?.shape ?? [];
  }

  /** A copy of a tensor's content, in the engine's layout. Throws E_BUSY while a run uses the store. */
  read(name: string): Data {
    return translated(name, () => native().readState(this.handle, name));
  }

  /** Bytes of all tensors as the engine keeps them. */
  get bytes(): number {
    return [...this.#shapes.values()].reduce((sum, { dtype, shape }) => sum + tensorBytes(shape, dtype), 0);
  }

  /** Replaces a tensor's content. Throws E_BUSY while a run uses the store, E_ARGUMENT when the length differs. */
  write(name: string, data: Data): void {
    translated(name, () => native().writeState(this.handle, name, data));
  }

  dispose(): void {
    native().dispose(this.handle);
  }
}

/** Bytes of a tensor of the store. */
export const tensorBytes = (shape: readonly number[], dtype: DType = 'f32'): number =>
  bufferBytes(elements(shape) * WIDTH[dtype]);

export interface PlanOptions {
  /** Largest number of rows in a run. */
  batch: number;
  /** Instruction set, at most what the machine has. */
  isa?: string;
  /** Convolutions sum products as they are, without Winograd's transforms: slower, with smaller rounding errors. */
  exact?: boolean;
  /**
   * The forward pass of a differentiated graph: parts of it are computed again in the backward pass, which takes less
   * memory, more time, and gives the same numbers.
   */
  recomputes?: ReadonlySet<Node>;
}

/** Plans a graph, which is edited on the way. */
export function planFor(graph: Graph, { batch, isa, exact, recomputes }: PlanOptions): BuiltPlan {
  const counts = [batch];
  return translated('compile', () => {
    prune(graph);
    moveIntoReaders(graph);
    moveSumsIntoWriters(graph);
    joinSeparable(graph);
    shuffleInPieces(graph);
    if (exact) makeExact(graph);
    if (recomputes) recompute(graph, recomputes, counts, workspaces(graph, counts, native(), isa));
    return buildPlan(graph, counts, native(), isa);
  });
}

export interface CompileOptions extends PlanOptions {
  store: Store;
  /** Threads of a run; every machine's result is the same for any number. */
  threads?: number;
  /** Programs that never run at the same time may share one arena. */
  arena?: Arena;
}

/** Memory for intermediate values, shared by programs that never run at the same time. */
export class Arena {
  readonly handle: ArenaHandle = native().createArena();
}

export interface Outcome<Names extends string = string> {
  /** False when the guard refused to commit: nothing has changed. */
  complete: boolean;
  results: Record<Names, Data>;
  /** Nanoseconds of each step, when asked for. */
  nanoseconds?: number[];
}

/** A compiled graph. Runs are asynchronous: the event loop stays free. */
export class Program {
  readonly plan: BuiltPlan;
  readonly batch: number;
  /** Bytes that it takes, the arena included, beside the state. */
  readonly memoryBytes: number;
  readonly #handle: ExecutableHandle;
  readonly #segments: ReadonlyMap<string, number>;

  /**
   * @param given a graph, or a plan of the same batch
   * Throws E_MEMORY where there is not enough for it.
   */
  constructor(given: Graph | BuiltPlan, options: CompileOptions) {
    const { batch, isa, store, arena = new Arena(), threads = defaultThreads() } = options;
    this.batch = batch;
    this.plan = 'wire' in given ? given : planFor(given, options);
    const bytesOf = (plan: BuiltPlan): number => ownBytes(plan, threads) + bufferBytes(plan.arenaBytes);
    this.memoryBytes = bytesOf(this.plan);
    requireMemory(`batches of ${batch}`, this.memoryBytes + store.bytes, () => {
      if ('wire' in given) return 'take smaller batches';
      // The passes have edited the graph for this batch: of fewer rows it is the same.
      const smaller = (rows: number): BuiltPlan => translated('compile', () => buildPlan(given, [rows], native(), isa));
      return batchThatFits(largestBatch(batch, rows => bytesOf(smaller(rows)) + store.bytes));
    });
    this.#segments = new Map(this.plan.wire.segments.map((segment, i) => [segment.name, i]));
    this.#handle = translated('compile', () =>
      native().compile(this.plan.wire, store.handle, arena.handle, { threads, ...(isa ? { isa } : {}) }),
    );
  }

  /**
   * Runs the named segments (all by default) on `rows` rows.
   * Rejects with E_CANCELLED after cancel(), E_ARGUMENT when a feed does not fit.
   */
  async run(
    feeds: Record<string, Data>,
    rows: number,
    options: { segments?: readonly string[]; timed?: boolean } = {},
  ): Promise<Outcome> {
    const segments = options.segments
      ? options.segments.filter(name => this.#segments.has(name)).map(name => this.#segments.get(name)!)
      : [...this.#segments.values()];
    try {
      return await native().run(this.#handle, {
        counts: [rows],
        segments,
        feeds,
        ...(options.timed ? { timed: true } : {}),
      });
    } catch (error) {
      throw fromNative('run', error);
    }
  }

  /** Stops the present run before its next step; nothing is committed. */
  cancel(): void {
    native().cancel(this.#handle);
  }

  /** Lets runs start again after cancel(). */
  resume(): void {
    native().resume(this.#handle);
  }

  /** Share of the present run that is done, 0 to 1. */
  progress(): number {
    return native().progress(this.#handle) / Math.max(1, this.plan.wire.steps.length);
  }

  dispose(): void {
    native().dispose(this.#handle);
  }
}

/** DLCOURSE_THREADS, else what the machine has. */
export function defaultThreads(): number {
  const asked = process.env['DLCOURSE_THREADS'];
  if (asked === undefined || asked === '') return native().info().hardwareThreads;
  const threads = Number(asked);
  if (Number.isInteger(threads) && threads >= 1 && threads <= 1024) return threads;
  throw new DlcourseError({
    code: 'E_OPTION',
    class: 'usage',
    where: 'DLCOURSE_THREADS',
    problem: `expected a whole number from 1 to 1024, got ${asked}`,
  });
}
