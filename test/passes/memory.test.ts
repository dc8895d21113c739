// The memory planner, by its properties, on random lifetimes.

import { describe, expect, test } from '@jest/globals';
import { generator } from '../../src/layers/initializers.js';
import { type Lifetime, planMemory } from '../../src/passes/memory.js';

const LINE = 64;

function randomLifetimes(seed: number): Lifetime[] {
  const random = generator(seed, 'lifetimes');
  const whole = (below: number): number => Math.floor(random() * below);
  const steps = 1 + whole(40);
  return Array.from({ length: 1 + whole(60) }, () => {
    const first = whole(steps);
    // Few sizes, so that gaps are met exactly; some of nothing.
    const bytes = whole(8) === 0 ? 0 : (1 + whole(4)) * (whole(2) ? 100 : 640) + whole(3);
    return { bytes, first, last: first + (whole(3) ? whole(6) : whole(steps)) };
  });
}

/** Most bytes that are alive at one time. */
function mostAlive(lifetimes: readonly Lifetime[]): number {
  const moments = lifetimes.map(l => l.first);
  return Math.max(
    ...moments.map(t => lifetimes.reduce((sum, l) => sum + (l.first <= t && t <= l.last ? l.bytes : 0), 0)),
  );
}

describe('planMemory', () => {
  test('never lets two live blocks overlap, and stays between the bounds', () => {
    for (let seed = 0; seed < 400; seed++) {
      const lifetimes = randomLifetimes(seed);
      const { offsets, bytes } = planMemory(lifetimes);
      lifetimes.forEach((a, i) => {
        expect(offsets[i]! % LINE).toBe(0);
        expect(offsets[i]! + a.bytes).toBeLessThanOrEqual(Math.max(bytes, offsets[i]!));
        lifetimes.slice(0, i).forEach((b, j) => {
          const together = a.first <= b.last && b.first <= a.last && a.bytes > 0 && b.bytes > 0;
          const apart = offsets[i]! + a.bytes <= offsets[j]! || offsets[j]! + b.bytes <= offsets[i]!;
          if (together && !apart) throw new Error(`seed ${seed}: blocks ${i} and ${j} overlap`);
        });
      });
      expect(bytes).toBeGreaterThanOrEqual(mostAlive(lifetimes));
      expect(bytes).toBeLessThanOrEqual(lifetimes.reduce((sum, l) => sum + l.bytes + 2 * LINE, 0));
    }
  });

  test('wastes nothing on blocks of one size', () => {
    const size = 7 * LINE;
    for (let seed = 0; seed < 100; seed++) {
      const lifetimes = randomLifetimes(seed).map(l => ({ ...l, bytes: size }));
      expect(planMemory(lifetimes).bytes).toBe(mostAlive(lifetimes));
    }
  });

  test('leaves room for what comes later', () => {
    // In order of time the block that stays follows the first, and the largest fits neither before it nor behind it.
    const unit = 101 * LINE;
    const lifetimes = [
      { bytes: 4 * unit, first: 0, last: 1 },
      { bytes: unit, first: 1, last: 9 },
      { bytes: 6 * unit, first: 2, last: 5 },
    ];
    expect(planMemory(lifetimes).bytes).toBeLessThan(7.1 * unit);
  });

  test('leaves no gap between what is there when most is alive', () => {
    // By size alone the block of 3 lies on the first of 5, and the one of 2.5, which is there with both, above them.
    const unit = 101 * LINE;
    const lifetimes = [
      { bytes: 3 * unit, first: 1, last: 3 },
      { bytes: 5 * unit, first: 5, last: 5 },
      { bytes: 2.5 * unit, first: 3, last: 4 },
      { bytes: 5 * unit, first: 3, last: 5 },
    ];
    expect(planMemory(lifetimes).bytes).toBeLessThan(10.6 * unit);
  });

  test('a chain needs two blocks, and neighbours do not begin in the same cache set', () => {
    const chain = Array.from({ length: 100 }, (_, i) => ({ bytes: 1 << 16, first: i, last: i + 1 }));
    const { offsets, bytes } = planMemory(chain);
    expect(bytes).toBeLessThan(2.1 * (1 << 16));
    expect(new Set(offsets.map(o => o % 4096)).size).toBe(2);
  });

  test('nothing needs nothing', () => {
    expect(planMemory([])).toEqual({ offsets: [], bytes: 0 });
    expect(planMemory([{ bytes: 0, first: 0, last: 3 }])).toEqual({ offsets: [0], bytes: 0 });
  });
});
