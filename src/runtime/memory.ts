// How much memory there is, and what a plan takes of it.

import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { DlcourseError } from '../errors.js';
import type { BuiltPlan } from '../plan/build.js';

const MAPPED = 2 ** 21;
const PAGE = 2 ** 16;

/** What the engine takes for a buffer: from 2 MiB on, whole pages (native/base/buffer.cc). */
export const bufferBytes = (bytes: number): number => (bytes < MAPPED ? bytes : Math.ceil(bytes / PAGE) * PAGE);

/** Lines between the threads' shares of scratch, and slots of feeds (native/plan/executable). */
const APART = 5 * 64;
const SLOTS = 2;

/** Bytes that a compiled plan takes beside its arena and the state: scratch, derived weights, feeds of two runs. */
export function ownBytes({ wire, scratchBytes }: BuiltPlan, threads: number): number {
  const scratch = Math.ceil(scratchBytes / 64) * 64 + APART;
  return bufferBytes(scratch * threads) + bufferBytes(wire.derivedBytes) + SLOTS * bufferBytes(wire.feedBytes);
}

/** Share of the memory that a process may take before others, and the system, have too little. */
const SHARE = 0.9;

/** Bytes that this process may use: DLCOURSE_MEMORY, else 90 % of what the machine or the control group has. */
export function memoryLimit(env: NodeJS.ProcessEnv = process.env): number {
  const asked = env['DLCOURSE_MEMORY'];
  if (asked === undefined || asked === '') return Math.floor(SHARE * Math.min(totalmem(), controlGroupLimit()));
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([KMGT]?)$/i.exec(asked) ?? [];
  const bytes = Math.floor(Number(number) * 1024 ** ' KMGT'.indexOf(unit.toUpperCase() || ' '));
  if (bytes > 0) return bytes;
  throw new DlcourseError({
    code: 'E_OPTION',
    class: 'usage',
    where: 'DLCOURSE_MEMORY',
    problem: `expected bytes such as 8G or 512M, got ${asked}`,
  });
}

/**
 * The least limit of the control groups that this process lies in, version 1 or 2; Infinity without one.
 * @param root folder in place of / (for tests)
 */
export function controlGroupLimit(root = '/'): number {
  const read = (...path: string[]): string => {
    try {
      return readFileSync(join(root, ...path), 'utf8');
    } catch {
      return '';
    }
  };
  let least = Number.POSITIVE_INFINITY;
  for (const line of read('proc', 'self', 'cgroup').split('\n')) {
    const [, controllers, group] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (group === undefined) continue;
    const unified = controllers === '';
    if (!unified && !controllers!.split(',').includes('memory')) continue;
    const [mount, file] = unified ? ['', 'memory.max'] : ['memory', 'memory.limit_in_bytes'];
    // A container may see its own group as the root: the outer folders are then not there.
    for (let folder = group; ; folder = dirname(folder)) {
      const limit = Number.parseInt(read('sys', 'fs', 'cgroup', mount!, folder, file!), 10);
      if (limit >= 0) least = Math.min(least, limit);
      if (folder === '/') break;
    }
  }
  return least;
}

/** Bytes of this process when it holds `engine` bytes in the engine: those, and what JavaScript has, pictures included. */
export function bytesWith(engine: number): number {
  const { heapTotal, external } = process.memoryUsage();
  return heapTotal + external + engine;
}

/** Throws E_MEMORY where what needs `engine` bytes can't fit. The hint is worked out only then. */
export function requireMemory(where: string, engine: number, hint?: () => string): void {
  const limit = memoryLimit();
  const bytes = bytesWith(engine);
  if (bytes <= limit) return;
  throw new DlcourseError({
    code: 'E_MEMORY',
    class: 'resources',
    where,
    problem: `expected to need at most ${mebibytes(limit)} of memory in all, got ${mebibytes(bytes)}`,
    ...(hint ? { hint: hint() } : {}),
  });
}

/** The largest batch below `batch` that fits, of which so many rows need `engine(rows)` bytes; 0 where not even one does. */
export function largestBatch(batch: number, engine: (rows: number) => number): number {
  const limit = memoryLimit();
  let [fits, tooMany] = [0, batch];
  while (tooMany - fits > 1) {
    const rows = Math.floor((fits + tooMany) / 2);
    if (bytesWith(engine(rows)) <= limit) fits = rows;
    else tooMany = rows;
  }
  return fits;
}

/** What `largestBatch` found, for a hint. */
export const batchThatFits = (rows: number): string =>
  rows > 0 ? `the largest batch size that fits is ${rows}` : 'not even a batch of one fits';

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20).toLocaleString('en-US')} MiB`;
