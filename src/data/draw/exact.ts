// The functions of Math that every engine computes to the same last bit; the pictures are drawn with no others.

/**
 * `sqrt` is rounded correctly wherever IEEE 754 holds; the others are exact. Not among them: `sin`, `pow`, `hypot` and
 * their like, whose last bit is the engine's own.
 *
 * Bound once: in a vm context (a test's, a notebook's) each look-up of the global `Math` costs more than the arithmetic.
 */
export const { abs, floor, imul, max, min, sqrt } = Math;

export const infinity = Number.POSITIVE_INFINITY;
