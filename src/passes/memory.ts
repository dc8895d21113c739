// Memory planning: offsets in one arena from (bytes, first use, last use). A pure function.

export interface Lifetime {
  readonly bytes: number;
  /** Positions in the list of steps, both included. */
  readonly first: number;
  readonly last: number;
}

export interface MemoryPlan {
  readonly offsets: number[];
  readonly bytes: number;
}

const LINE = 64;

/** Waste above this share of what must be alive at one time is worth another plan. */
const WASTE = 0.005;

/**
 * Blocks that are there while at least this share of the most is alive are placed before the others. What is best
 * differs from graph to graph: all blocks in one order of size, or those of the peak without a gap between them.
 */
const SHARES = [0, 0.8, 0.9, 0.95, 0.97, 0.99, 1];

/**
 * The smallest of some plans: in order of time and, where that leaves gaps, in order of size. Offsets are
 * multiples of a cache line, and sizes an odd number of lines, for equal-sized tensors that begin at equal addresses
 * modulo a power of two fall into the same cache sets.
 */
export function planMemory(lifetimes: readonly Lifetime[]): MemoryPlan {
  let best = inOrderOfTime(lifetimes);
  const heights = heightsOf(lifetimes);
  const most = highest(heights);
  for (const share of SHARES) {
    if (best.bytes <= (1 + WASTE) * most) break;
    const plan = inOrderOfSize(
      lifetimes,
      heights.map(height => height >= share * most),
    );
    if (plan.bytes < best.bytes) best = plan;
  }
  return best;
}

/** Most bytes of the arena that are in use at one time: no plan needs less, and the best little more. */
export const mostAlive = (lifetimes: readonly Lifetime[]): number => highest(heightsOf(lifetimes));

const highest = (heights: readonly number[] | Float64Array): number => {
  let most = 0;
  for (const height of heights) most = Math.max(most, height);
  return most;
};

/** Most bytes of the arena that are in use at one time while each of the blocks is there. */
function heightsOf(lifetimes: readonly Lifetime[]): number[] {
  const end = lifetimes.reduce((last, l) => Math.max(last, l.last), -1) + 1;
  const alive = new Float64Array(end + 1);
  for (const { bytes, first, last } of lifetimes) {
    alive[first]! += sizeInArena(bytes);
    alive[last + 1]! -= sizeInArena(bytes);
  }
  for (let i = 0; i < end; i++) alive[i + 1]! += alive[i]!;
  return lifetimes.map(({ first, last }) => highest(alive.subarray(first, last + 1)));
}

/** Each block takes the smallest gap that holds it when it is first used. */
function inOrderOfTime(lifetimes: readonly Lifetime[]): MemoryPlan {
  const order = lifetimes
    .map((_, i) => i)
    .sort((a, b) => lifetimes[a]!.first - lifetimes[b]!.first || lifetimes[b]!.bytes - lifetimes[a]!.bytes || a - b);
  const ends = lifetimes.map((_, i) => i).sort((a, b) => lifetimes[a]!.last - lifetimes[b]!.last);
  const offsets = new Array<number>(lifetimes.length).fill(0);
  const gaps = new Gaps();
  let next = 0;
  for (const i of order) {
    const { first, bytes } = lifetimes[i]!;
    while (next < ends.length && lifetimes[ends[next]!]!.last < first) {
      const ended = ends[next++]!;
      gaps.free(offsets[ended]!, sizeInArena(lifetimes[ended]!.bytes));
    }
    offsets[i] = gaps.take(sizeInArena(bytes));
  }
  return { offsets, bytes: gaps.end };
}

/**
 * The largest first, those that go `before` all others ahead of them, each at the lowest place that is free while it is
 * there (after Pisarchyk and Lee, 2020, who take the smallest gap: that leaves more of them).
 */
function inOrderOfSize(lifetimes: readonly Lifetime[], before: readonly boolean[]): MemoryPlan {
  const order = lifetimes
    .map((_, i) => i)
    .filter(i => lifetimes[i]!.bytes > 0)
    .sort((a, b) => Number(before[b]) - Number(before[a]) || lifetimes[b]!.bytes - lifetimes[a]!.bytes || a - b);
  const offsets = new Array<number>(lifetimes.length).fill(0);
  /** Sorted by offset. */
  const placed: number[] = [];
  let bytes = 0;
  for (const i of order) {
    const { first, last } = lifetimes[i]!;
    const size = sizeInArena(lifetimes[i]!.bytes);
    let offset = 0;
    for (const other of placed) {
      const { first: begins, last: ends, bytes: taken } = lifetimes[other]!;
      if (begins > last || ends < first) continue;
      if (offsets[other]! - offset >= size) break;
      offset = Math.max(offset, offsets[other]! + sizeInArena(taken));
    }
    offsets[i] = offset;
    bytes = Math.max(bytes, offset + size);
    let at = placed.length;
    while (at > 0 && offsets[placed[at - 1]!]! > offset) at--;
    placed.splice(at, 0, i);
  }
  return { offsets, bytes };
}

function sizeInArena(bytes: number): number {
  const lines = Math.ceil(bytes / LINE);
  return (lines + (lines % 2 === 0 && lines > 0 ? 1 : 0)) * LINE;
}

/** Free ranges below `end`, sorted by offset. */
class Gaps {
  end = 0;
  readonly #starts: number[] = [];
  readonly #sizes: number[] = [];

  take(size: number): number {
    if (size === 0) return 0;
    let best = -1;
    for (let i = 0; i < this.#sizes.length; i++) {
      if (this.#sizes[i]! >= size && (best < 0 || this.#sizes[i]! < this.#sizes[best]!)) best = i;
    }
    if (best >= 0) {
      const start = this.#starts[best]!;
      if (this.#sizes[best] === size) this.#remove(best);
      else {
        this.#starts[best] = start + size;
        this.#sizes[best]! -= size;
      }
      return start;
    }
    // Grow, from the last gap if that reaches the end.
    const last = this.#starts.length - 1;
    if (last >= 0 && this.#starts[last]! + this.#sizes[last]! === this.end) {
      const start = this.#starts[last]!;
      this.#remove(last);
      this.end = start + size;
      return start;
    }
    const start = this.end;
    this.end += size;
    return start;
  }

  free(start: number, size: number): void {
    if (size === 0) return;
    let at = 0;
    for (let high = this.#starts.length; at < high; ) {
      const middle = (at + high) >> 1;
      if (this.#starts[middle]! < start) at = middle + 1;
      else high = middle;
    }
    this.#starts.splice(at, 0, start);
    this.#sizes.splice(at, 0, size);
    if (at + 1 < this.#starts.length && start + size === this.#starts[at + 1]) {
      this.#sizes[at]! += this.#sizes[at + 1]!;
      this.#remove(at + 1);
    }
    if (at > 0 && this.#starts[at - 1]! + this.#sizes[at - 1]! === start) {
      this.#sizes[at - 1]! += this.#sizes[at]!;
      this.#remove(at);
    }
  }

  #remove(index: number): void {
    this.#starts.splice(index, 1);
    this.#sizes.splice(index, 1);
  }
}
