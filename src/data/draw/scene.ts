// One picture of the drawn data set: a thing as a sticker, somewhere, on some background, under some light.
import {
  box,
  Canvas,
  type Colour,
  disc,
  grown,
  outline,
  type Paint,
  type Placement,
  placed,
  polygon,
  ring,
  type Shape,
  stroke,
  turn,
  union,
} from './canvas.js';
import { abs, floor, max, min, sqrt } from './exact.js';
import { Random } from './random.js';
import { type Ink, type Part, things } from './things.js';

/** The class names, in the order of their labels. */
export const classes: readonly string[] = Object.keys(things);

/** The two halves of the data set, drawn independently from the same distribution. */
export const splits = ['train', 'test'] as const;
export type Split = (typeof splits)[number];

/** Which picture: any can be drawn alone. */
export interface PictureKey {
  /** The data set's seed, an integer modulo 2³². */
  seed: number;
  split: Split;
  /** From 0; the label is `index` modulo the number of classes. */
  index: number;
  /** Width and height in pixels; the same scene at any size but for its grain. */
  size: number;
}

/**
 * Draws one picture: 8-bit RGB, size × size × 3, and its label.
 *
 * It is the same bytes on every engine and machine: only integer operations and IEEE 754's + − × ÷ √ are used, all
 * rounded as the standard says, and no sine, power or exponential.
 */
export function drawPicture({ seed, split, index, size }: PictureKey): { label: number; pixels: Uint8Array } {
  const random = new Random(seed, splits.indexOf(split), index);
  const label = index % classes.length;
  const parts = Object.values(things)[label](random);
  const colours = chooseColours(random);
  const canvas = new Canvas(size);
  canvas.fill(background(random, colours));
  clutter(random, canvas, colours);
  const place = placement(random);
  paintThing(random, canvas, parts, place, colours);
  if (random.chance(0.25)) paintOccluder(random, canvas, place, colours);
  const [dx, dy] = [random.between(-0.5, 0.5), random.between(-0.5, 0.5)];
  const exposure = random.between(0.75, 1.1);
  canvas.shade((x, y) => exposure * (1 + dx * (x - 0.5) + dy * (y - 0.5)));
  const grain = random.between(0, 3);
  return { label, pixels: canvas.develop(() => grain * (random.between(-1, 1) + random.between(-1, 1))) };
}

const palette: readonly Colour[] = [
  'f94144',
  'f3722c',
  'f8961e',
  'f9c74f',
  '90be6d',
  '43aa8b',
  '4d908e',
  '577590',
  '277da1',
  '9b5de5',
  'f15bb5',
  'fee440',
  '00bbf9',
  '00f5d4',
  'e63946',
  'f1faee',
  'a8dadc',
  '457b9d',
  '1d3557',
  '264653',
  '2a9d8f',
  'e9c46a',
  'f4a261',
  'e76f51',
  '606c38',
  '283618',
  'fefae0',
  'dda15e',
  'bc6c25',
  'cdb4db',
  'ffc8dd',
  'ffafcc',
  'bde0fe',
  '22223b',
  '4a4e69',
  '9a8c98',
  'f2e9e4',
  '6a040f',
  '5a189a',
  '134611',
].map(hex => {
  const channel = (at: number) => Number.parseInt(hex.slice(at, at + 2), 16) / 255;
  return [channel(0), channel(2), channel(4)];
});

/** The colours of one picture. */
type Colours = Record<Ink | 'ground' | 'ground2', Colour>;

function chooseColours(random: Random): Colours {
  const jittered = (v: number) => clamp(v + random.between(-0.06, 0.06));
  // Asks for less contrast with every attempt, so that it ends for sure.
  const pick = (...apart: [from: Colour, by: number][]): Colour => {
    for (let slack = 1; ; slack -= 1 / 256) {
      const [r, g, b] = random.pick(palette);
      const colour: Colour = [jittered(r), jittered(g), jittered(b)];
      if (apart.every(([from, by]) => contrast(colour, from) >= by * slack)) return colour;
    }
  };
  const ground = pick();
  const body = pick([ground, 0.3]);
  const accent = pick([body, 0.2], [ground, 0.15]);
  const detail = pick([body, 0.3], [accent, 0.1], [ground, 0.15]);
  return { ground, ground2: mix(ground, pick([body, 0.15]), random.between(0.1, 0.5)), body, accent, detail };
}

const patterns = ['plain', 'fade', 'stripes', 'checks', 'dots', 'land', 'clouds'] as const;

/** A background: two colours and how they share the picture. */
function background(random: Random, { ground, ground2 }: Colours): Paint {
  const pattern = random.pick(patterns);
  const [cos, sin] = turn(random.between(-1, 1));
  const step = random.between(0.12, 0.3);
  const phase = random.between(0, 1);
  const share = random.between(0.3, 0.6);
  const wave = (v: number) => 2 * abs(v - floor(v) - 0.5);
  const along = (x: number, y: number) => (cos * x + sin * y) / step + phase;
  const across = (x: number, y: number) => (cos * y - sin * x) / step + phase;
  // How much of the second colour: an edge is drawn over 0.15 of a period, so that it isn't jagged.
  const edge = (v: number) => clamp((v - share) / 0.15 + 0.5);
  const shares: Record<(typeof patterns)[number], (x: number, y: number) => number> = {
    plain: () => 0,
    fade: (x, y) => clamp(0.5 + cos * (x - 0.5) + sin * (y - 0.5)),
    stripes: (x, y) => edge(wave(along(x, y))),
    checks: (x, y) => clamp((wave(along(x, y)) - 0.5) * (wave(across(x, y)) - 0.5) * 20 + 0.5),
    dots: (x, y) => {
      const [u, v] = [wave(along(x, y)), wave(across(x, y))];
      return clamp((0.5 - sqrt(u * u + v * v)) / 0.2 + 0.5);
    },
    land: (x, y) => clamp((y - 0.35 - 0.4 * phase - (sin * (x - 0.5)) / 2) * 24),
    clouds: valueNoise(random, 4),
  };
  const at = shares[pattern];
  return (x, y) => mix(ground, ground2, at(x, y));
}

/** Smooth noise in [0, 1]: random values on a lattice of cells × cells, joined by smoothstep. */
function valueNoise(random: Random, cells: number): (x: number, y: number) => number {
  const side = cells + 1;
  const smooth = (t: number) => t * t * (3 - 2 * t);
  const lattice = Array.from({ length: side * side }, () => random.between(0, 1));
  return (x, y) => {
    const [column, row] = [floor(x * cells), floor(y * cells)];
    const [u, v] = [smooth(x * cells - column), smooth(y * cells - row)];
    const corner = row * side + column;
    const [a, b, c, d] = [lattice[corner], lattice[corner + 1], lattice[corner + side], lattice[corner + side + 1]];
    return (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v;
  };
}

/** Small plain shapes that mean nothing, behind the thing. */
function clutter(random: Random, canvas: Canvas, { ground, accent, detail }: Colours): void {
  for (let count = random.integer(0, 6); count > 0; count--) {
    const [x, y] = [random.between(0, 1), random.between(0, 1)];
    const colour = mix(ground, random.pick([accent, detail, random.pick(palette)]), random.between(0.35, 0.9));
    canvas.paint(
      placed(blob(random), { x, y, scale: random.between(0.04, 0.12), turn: turn(random.between(-1, 1)), stretch: 1 }),
      colour,
    );
  }
}

function blob(random: Random): Shape {
  switch (random.integer(0, 4)) {
    case 0:
      return disc(0, 0, 0.9);
    case 1:
      return ring(0, 0, 0.75, 0.2);
    case 2:
      return polygon([
        [0, -1],
        [0.9, 0.7],
        [-0.9, 0.7],
      ]);
    case 3:
      return box(0, 0, 0.8, random.between(0.3, 0.8));
    default:
      return union(stroke(-0.9, 0, 0.9, 0, 0.25), stroke(0, -0.9, 0, 0.9, 0.25));
  }
}

function placement(random: Random): Placement {
  const scale = random.between(0.3, 0.46);
  // The box of the thing may leave the picture by a tenth of its half side.
  const room = max(0.5 - scale * 0.9, 0);
  return {
    x: 0.5 + random.between(-room, room),
    y: 0.5 + random.between(-room, room),
    scale,
    turn: turn(random.between(-0.22, 0.22)), // 25° to either side
    stretch: random.between(0.9, 1.1),
  };
}

/** Flat, as a sticker with a border, or drawn with a pen; with a shadow or without. */
function paintThing(random: Random, canvas: Canvas, parts: Part[], place: Placement, colours: Colours): void {
  const mirrored = random.chance(0.5);
  const put = (shape: Shape): Shape => placed(mirrored ? (x, y) => shape(-x, y) : shape, place);
  const silhouette = put(union(...parts.map(([, shape]) => shape)));
  const style = random.pick(['flat', 'flat', 'sticker', 'pen'] as const);
  const border = style === 'sticker' ? random.between(0.03, 0.05) : 0;
  if (random.chance(0.4)) {
    const [sx, sy] = [random.between(-0.05, 0.05), random.between(0.02, 0.06)];
    canvas.paint((x, y) => silhouette(x - sx, y - sy) - border, [0, 0, 0], random.between(0.2, 0.5), 0.06);
  }
  if (style === 'sticker') {
    const rim = random.chance(0.7) ? white : black;
    canvas.paint(grown(silhouette, border), rim);
  }
  const ink = luma(colours.body) > 0.5 ? black : white;
  const glow = random.between(-0.25, 0.25);
  for (const [part, shape] of parts) {
    const there = put(shape);
    const colour = colours[part];
    const tint = glow > 0 ? white : black;
    canvas.paint(there, (_, y) => mix(colour, tint, clamp(abs(glow) * (0.5 + (place.y - y) / place.scale / 2))));
    if (style === 'pen') canvas.paint(outline(there, 0.014), ink);
  }
}

/** A strip or a disc over some of the thing's rim. */
function paintOccluder(random: Random, canvas: Canvas, place: Placement, { ground, ground2 }: Colours): void {
  const at = { ...place, turn: turn(random.between(-1, 1)), stretch: 1 };
  const shape = random.chance(0.5)
    ? box(random.sign() * random.between(0.5, 0.8), 0, random.between(0.06, 0.12), 4)
    : disc(random.sign() * random.between(0.8, 1), random.between(-0.5, 0.5), random.between(0.2, 0.35));
  canvas.paint(placed(shape, at), mix(random.pick([ground, ground2]), random.pick(palette), 0.6));
}

const white: Colour = [0.98, 0.98, 0.96];
const black: Colour = [0.08, 0.08, 0.1];

function luma([r, g, b]: Colour): number {
  return 0.299 * r + 0.587 * g + 0.114 * b;
}

/** The difference of two colours, weighed towards brightness; black to white is 1. */
function contrast(a: Colour, b: Colour): number {
  const [dr, dg, db] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
  return 0.7 * abs(luma(a) - luma(b)) + 0.3 * sqrt((dr * dr + dg * dg + db * db) / 3);
}

function mix(a: Colour, b: Colour, share: number): Colour {
  return [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share];
}

function clamp(v: number): number {
  return min(max(v, 0), 1);
}
