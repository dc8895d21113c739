// The only file that loads the addon: its typed surface, and what to do when it cannot be loaded.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { DlcourseError, type ErrorClass } from './errors.js';
import type { DType } from './graph/graph.js';
import { packageRoot } from './package.js';
import type { WirePlan } from './plan/wire.js';

declare const brand: unique symbol;
interface Handle<Name extends string> {
  readonly [brand]: Name;
}
export type StoreHandle = Handle<'store'>;
export type ArenaHandle = Handle<'arena'>;
export type ExecutableHandle = Handle<'executable'>;
export type Data = Float32Array | Int32Array | Uint8Array;

export interface NativeInfo {
  protocol: number;
  /** Instruction sets that this machine runs, slowest first. */
  isas: string[];
  /** The one in use. */
  isa: string;
  hardwareThreads: number;
  /** Bytes that the engine holds now, and held at most. */
  liveBytes: number;
  peakBytes: number;
}

export interface RunRequest {
  /** Present value of each run-time count. */
  counts: number[];
  /** Indices of the plan's segments, in the order to run. */
  segments: number[];
  feeds: Record<string, Data>;
  /** Measure each step. */
  timed?: boolean;
}

export interface RunResult {
  /** False when a guard refused a segment. */
  complete: boolean;
  results: Record<string, Data>;
  nanoseconds?: number[];
}

/** Every result is a mix of `count` neighbours from `first` on, with weights in units of 2^-22. */
export interface ResamplePass {
  /** Of rows, else of the pixels of a row. */
  vertical: boolean;
  /** Bytes from a row of the source to the next. */
  line: number;
  /** What the other direction keeps: bytes of a row where rows are mixed, else rows. */
  size: number;
  channels: number;
  /** Number of the source's first row or pixel, in terms of `first`. */
  origin: number;
  first: Int32Array;
  count: Int32Array;
  /** Equal shares, one for each result. */
  weights: Int32Array;
}

export interface Native {
  info(): NativeInfo;
  /** Attribute names by op. */
  ops(): Record<string, string[]>;
  /** FMA peak of `threads` threads in GFLOP/s, measured for about `seconds`. */
  peak(isa: string | undefined, threads: number, seconds: number): Promise<number>;
  /** Memory bandwidth of `threads` threads in GB/s, measured for about `seconds`: bytes read and written by a triad. */
  bandwidth(isa: string | undefined, threads: number, seconds: number): Promise<number>;
  /** One direction of a picture's resampling, see data/resize.ts. Fills `to`. */
  resample(from: Uint8Array, to: Uint8Array, pass: ResamplePass): void;
  createStore(): StoreHandle;
  createArena(): ArenaHandle;
  defineState(store: StoreHandle, name: string, dtype: DType, shape: number[]): void;
  aliasState(store: StoreHandle, name: string, target: string): void;
  readState(store: StoreHandle, name: string): Data;
  writeState(store: StoreHandle, name: string, data: Data): void;
  /** Bytes that each step asks for: `scratch` for each thread. */
  requirements(plan: WirePlan, isa?: string): { scratch: number; workspace: number; derived: number }[];
  compile(
    plan: WirePlan,
    store: StoreHandle,
    arena: ArenaHandle,
    options: { isa?: string; threads: number },
  ): ExecutableHandle;
  run(executable: ExecutableHandle, request: RunRequest): Promise<RunResult>;
  cancel(executable: ExecutableHandle): void;
  resume(executable: ExecutableHandle): void;
  progress(executable: ExecutableHandle): number;
  dispose(handle: StoreHandle | ArenaHandle | ExecutableHandle): void;
}

/** Version of the wire between this file and addon.cc. */
const PROTOCOL = 6;

let loaded: Native | undefined;

/** The addon, loaded at the first call. Throws `E_ADDON` with what to type when it is missing or stale. */
export function native(): Native {
  loaded ??= load();
  return loaded;
}

function load(): Native {
  const file = join(packageRoot, 'build', 'native', 'Release', 'dlcourse.node');
  const rebuild = 'run `npm run build:native` in the package folder';
  let addon: Native;
  try {
    addon = createRequire(file)(file) as Native;
  } catch (cause) {
    throw new DlcourseError({
      code: 'E_ADDON',
      class: 'internal',
      where: file,
      problem: `expected the native addon for ${process.platform}-${process.arch}, Node ${process.version}, got ${
        (cause as Error).message.split('\n')[0]
      }`,
      hint: rebuild,
      cause,
    });
  }
  const { protocol } = translated('addon', () => addon.info());
  if (protocol !== PROTOCOL) {
    throw new DlcourseError({
      code: 'E_ADDON_STALE',
      class: 'internal',
      where: file,
      problem: `expected wire version ${PROTOCOL}, got ${protocol}`,
      hint: rebuild,
    });
  }
  return addon;
}

const classes: Record<string, ErrorClass> = { E_MEMORY: 'resources', E_ISA: 'usage', E_ARGUMENT: 'usage' };

/** Runs `body`; an error of the addon comes out as a `DlcourseError` of the same code. */
export function translated<T>(where: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw fromNative(where, error);
  }
}

export function fromNative(where: string, error: unknown): unknown {
  const code = (error as { code?: unknown }).code;
  if (error instanceof DlcourseError || typeof code !== 'string' || !code.startsWith('E_')) return error;
  return new DlcourseError({
    code,
    class: classes[code] ?? 'internal',
    where,
    problem: (error as Error).message,
    cause: error,
  });
}
