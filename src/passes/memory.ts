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

/**
 * Best fit in order of time: each block takes the smallest gap that holds it when it is first used. Offsets are
 * multiples of a cache line, and sizes an odd number of lines, for equal-sized tensors that begin at equal addresses
 * modulo a power of two fall into the same cache sets.
 */
export function planMemory(lifetimes: readonly Lifetime[]): MemoryPlan {
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
