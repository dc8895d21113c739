// Random numbers for the drawn data set: integer arithmetic only, keyed, the same on every platform.
import { floor, imul } from './exact.js';

/** How many values `next` has. */
const range = 0x1_0000_0000;

/**
 * A generator keyed by integers: the same key gives the same sequence on every engine and machine, and different keys
 * give independent ones, so that any picture can be drawn without those before it.
 *
 * sfc32 (Doty-Humphrey, PractRand), its state filled from the key by the finaliser of MurmurHash3.
 */
export class Random {
  #a = 0x9e3779b9;
  #b = 0x243f6a88;
  #c = 0xb7e15162;
  #counter = 1;

  /** @param key integers, each taken modulo 2³² */
  constructor(...key: number[]) {
    for (const part of key) {
      this.#a = mix(this.#a ^ part);
      this.#b = mix(this.#b + this.#a);
      this.#c = mix(this.#c ^ this.#b);
    }
    for (let i = 0; i < 12; i++) this.next();
  }

  /** The next integer in [0, 2³²). */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** A number in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * (this.next() / range);
  }

  /** An integer from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + floor((high - low + 1) * (this.next() / range));
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.next() / range < probability;
  }

  /** One of the items, each as likely. */
  pick<T>(items: readonly T[]): T {
    return items[this.integer(0, items.length - 1)];
  }

  /** 1 or −1. */
  sign(): number {
    return this.chance(0.5) ? 1 : -1;
  }
}

function mix(word: number): number {
  let h = imul(word ^ (word >>> 16), 0x85ebca6b);
  h = imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) | 0;
}
