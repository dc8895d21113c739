// A small anti-aliased rasteriser: shapes as signed distances, painted on a square canvas in linear light.
import { abs, floor, infinity, max, min, sqrt } from './exact.js';

/** The signed distance from (x, y) to an outline: negative inside, in the units of x and y (y points down). */
export type Shape = (x: number, y: number) => number;

/** Red, green and blue in [0, 1], as displayed (not linear). */
export type Colour = readonly [number, number, number];

export type Point = readonly [number, number];

export const disc =
  (cx: number, cy: number, r: number): Shape =>
  (x, y) =>
    length(x - cx, y - cy) - r;

export const ring =
  (cx: number, cy: number, r: number, halfWidth: number): Shape =>
  (x, y) =>
    abs(length(x - cx, y - cy) - r) - halfWidth;

/** An ellipse; the distance is exact on the outline and of first order near it, which is all that anti-aliasing needs. */
export const ellipse =
  (cx: number, cy: number, rx: number, ry: number): Shape =>
  (x, y) => {
    const u = (x - cx) / rx;
    const v = (y - cy) / ry;
    const slope = length(u / rx, v / ry);
    if (slope === 0) return -min(rx, ry);
    const k = length(u, v);
    return (k * (k - 1)) / slope;
  };

/** A rectangle of the given half sides, its corners rounded by `round`. */
export const box =
  (cx: number, cy: number, halfWidth: number, halfHeight: number, round = 0): Shape =>
  (x, y) => {
    const dx = abs(x - cx) - halfWidth + round;
    const dy = abs(y - cy) - halfHeight + round;
    return length(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0) - round;
  };

/** A straight stroke with round ends. */
export const stroke =
  (x1: number, y1: number, x2: number, y2: number, halfWidth: number): Shape =>
  (x, y) =>
    toSegment(x, y, x1, y1, x2, y2) - halfWidth;

/** A simple polygon, its outline moved outwards by `round`. */
export const polygon = (points: readonly Point[], round = 0): Shape => {
  return (x, y) => {
    let distance = infinity;
    let inside = false;
    let [x1, y1] = points.at(-1)!;
    for (const [x2, y2] of points) {
      distance = min(distance, toSegment(x, y, x1, y1, x2, y2));
      if (y1 > y !== y2 > y && x < x1 + ((x2 - x1) * (y - y1)) / (y2 - y1)) inside = !inside;
      [x1, y1] = [x2, y2];
    }
    return (inside ? -distance : distance) - round;
  };
};

/** The half plane of all points below `level`. */
export const below =
  (level: number): Shape =>
  (_, y) =>
    level - y;

export const union =
  (...shapes: Shape[]): Shape =>
  (x, y) => {
    let distance = infinity;
    for (const shape of shapes) distance = min(distance, shape(x, y));
    return distance;
  };

export const intersection =
  (a: Shape, b: Shape): Shape =>
  (x, y) =>
    max(a(x, y), b(x, y));

export const difference =
  (a: Shape, b: Shape): Shape =>
  (x, y) =>
    max(a(x, y), -b(x, y));

/** The shape with its outline moved outwards by `by`. */
export const grown =
  (shape: Shape, by: number): Shape =>
  (x, y) =>
    shape(x, y) - by;

/** The line along a shape's outline. */
export const outline =
  (shape: Shape, halfWidth: number): Shape =>
  (x, y) =>
    abs(shape(x, y)) - halfWidth;

/** A turn, as its cosine and sine. */
export type Turn = readonly [cos: number, sin: number];

/** The turn by 2·atan(t): t = 1 is a quarter. Rational, so that no engine's sine is asked. */
export function turn(t: number): Turn {
  return [(1 - t * t) / (1 + t * t), (2 * t) / (1 + t * t)];
}

/** Where a shape is put: its origin at (x, y), turned, and `scale` long for each unit of its own. */
export interface Placement {
  x: number;
  y: number;
  scale: number;
  turn: Turn;
  /** Wider by this factor and lower by the same. */
  stretch: number;
}

/** The shape in the units of what it is placed on. */
export function placed(shape: Shape, { x: cx, y: cy, scale, turn: [cos, sin], stretch }: Placement): Shape {
  return (x, y) => {
    const dx = (x - cx) / scale;
    const dy = (y - cy) / scale;
    return scale * shape((cos * dx + sin * dy) / stretch, (cos * dy - sin * dx) * stretch);
  };
}

/** A paint: the colour at a point of the picture. */
export type Paint = Colour | ((x: number, y: number) => Colour);

/** Samples a pixel, along each axis. */
const oversampling = 2;

/** Five bits a channel, black and white included: hardly seen under the grain, and half the bytes in a lossless file. */
const levels = 32;

/** A square picture, its coordinates from 0 to 1 on both axes, y down. */
export class Canvas {
  readonly #side: number;
  /** side × side × 3, light (the square of the displayed value: near enough to sRGB's curve, and exact to compute). */
  readonly #light: Float64Array;

  /** @param size the picture's width and height in pixels */
  constructor(readonly size: number) {
    this.#side = size * oversampling;
    this.#light = new Float64Array(this.#side * this.#side * 3);
  }

  /** Fills the whole canvas. */
  fill(paint: Paint): void {
    this.paint(() => -infinity, paint);
  }

  /** Paints a shape with the given opacity; `soft` is the width over which its edge fades, in picture widths. */
  paint(shape: Shape, paint: Paint, opacity = 1, soft = 0): void {
    const side = this.#side;
    const light = this.#light;
    const sharpness = 1 / max(1 / side, soft);
    for (let row = 0, at = 0; row < side; row++) {
      const y = (row + 0.5) / side;
      for (let column = 0; column < side; column++, at += 3) {
        const x = (column + 0.5) / side;
        const cover = opacity * min(max(0.5 - shape(x, y) * sharpness, 0), 1);
        if (cover === 0) continue;
        const colour = typeof paint === 'function' ? paint(x, y) : paint;
        for (let c = 0; c < 3; c++) {
          light[at + c] = light[at + c] * (1 - cover) + colour[c] * colour[c] * cover;
        }
      }
    }
  }

  /** Multiplies the light at each point. */
  shade(factor: (x: number, y: number) => number): void {
    const side = this.#side;
    for (let i = 0; i < side * side; i++) {
      const f = factor(((i % side) + 0.5) / side, (floor(i / side) + 0.5) / side);
      for (let c = 0; c < 3; c++) this.#light[3 * i + c] *= f;
    }
  }

  /**
   * The picture as 8-bit RGB, size × size × 3, in `levels` steps a channel.
   * @param grain what to add to a pixel's three values, in steps of 1/255
   */
  develop(grain: () => number): Uint8Array {
    const { size } = this;
    const pixels = new Uint8Array(size * size * 3);
    const row = this.#side * 3;
    for (let y = 0, out = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const speck = grain();
        for (let c = 0; c < 3; c++, out++) {
          let sum = 0;
          for (let j = 0; j < oversampling; j++) {
            for (let i = 0; i < oversampling; i++) {
              sum += this.#light[(oversampling * y + j) * row + (oversampling * x + i) * 3 + c];
            }
          }
          const shown = 255 * sqrt(sum / (oversampling * oversampling)) + speck;
          const level = floor((min(max(shown, 0), 255) * (levels - 1)) / 255 + 0.5);
          pixels[out] = floor((level * 255) / (levels - 1) + 0.5);
        }
      }
    }
    return pixels;
  }
}

// Not Math.hypot, whose last bit is the engine's own.
function length(x: number, y: number): number {
  return sqrt(x * x + y * y);
}

function toSegment(x: number, y: number, x1: number, y1: number, x2: number, y2: number): number {
  const [ex, ey] = [x2 - x1, y2 - y1];
  const squared = ex * ex + ey * ey;
  const t = squared === 0 ? 0 : min(max(((x - x1) * ex + (y - y1) * ey) / squared, 0), 1);
  return length(x - x1 - t * ex, y - y1 - t * ey);
}
