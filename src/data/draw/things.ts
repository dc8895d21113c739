// The ten things that the drawn data set shows: each a few parts, with proportions that differ from picture to picture.
import {
  below,
  box,
  difference,
  disc,
  ellipse,
  grown,
  intersection,
  type Point,
  polygon,
  ring,
  type Shape,
  stroke,
  union,
} from './canvas.js';
import { abs, sqrt } from './exact.js';
import type { Random } from './random.js';

/** Which of a thing's three colours a part is painted with. */
export type Ink = 'body' | 'accent' | 'detail';

/** What a thing is drawn from, back to front, in a box from −1 to 1 on both axes, y down. */
export type Part = readonly [Ink, Shape];

/** Proportions are drawn from `random`; colours never depend on the class. */
export type Thing = (random: Random) => Part[];

const boat: Thing = random => {
  const deck = random.between(0.2, 0.4);
  const keel = random.between(0.4, 0.7);
  const mast = random.between(-0.15, 0.2);
  const top = random.between(-1, -0.85);
  const parts: Part[] = [
    ['detail', stroke(mast, top, mast, deck, 0.06)],
    [
      'accent',
      polygon([
        [mast + 0.1, top + 0.1],
        [mast + 0.1, deck - 0.15],
        [random.between(0.65, 0.9), deck - 0.15],
      ]),
    ],
    [
      'body',
      polygon([
        [-0.95, deck],
        [0.95, deck],
        [keel, 0.88],
        [-keel, 0.88],
      ]),
    ],
  ];
  if (random.chance(0.7)) {
    const peak = random.between(-0.75, -0.4);
    const foot = random.between(-0.85, -0.6);
    parts.push([
      'accent',
      polygon([
        [mast - 0.1, peak],
        [mast - 0.1, deck - 0.15],
        [foot, deck - 0.15],
      ]),
    ]);
  }
  if (random.chance(0.4)) {
    const pennant: Point[] = [
      [mast, top - 0.02],
      [mast, top + 0.2],
      [mast - 0.32, top + 0.09],
    ];
    parts.push(['body', polygon(pennant)]);
  }
  if (random.chance(0.4)) parts.push(['detail', box(0, deck + 0.12, 0.78, 0.05)]);
  return parts;
};

const car: Thing = random => {
  const waist = random.between(-0.05, 0.1);
  const roof = random.between(-0.6, -0.4);
  const [rear, front] = [random.between(-0.9, -0.55), random.between(0.3, 0.65)];
  const [rearTop, frontTop] = [rear + random.between(0.02, 0.25), front - random.between(0.15, 0.35)];
  const wheel = random.between(0.2, 0.27);
  const pillar = random.between(-0.2, 0.05);
  const glass = polygon([
    [rear + 0.15, waist],
    [rearTop + 0.08, roof + 0.12],
    [frontTop - 0.05, roof + 0.12],
    [front - 0.15, waist],
  ]);
  return [
    [
      'body',
      polygon(
        [
          [rear, waist + 0.1],
          [rearTop, roof],
          [frontTop, roof],
          [front, waist + 0.1],
        ],
        0.05,
      ),
    ],
    ['accent', difference(glass, box(pillar, 0, 0.05, 1))],
    ['body', box(0, (waist + 0.55) / 2, 0.97, (0.55 - waist) / 2, 0.14)],
    ['detail', union(disc(-0.52, 0.55, wheel), disc(0.52, 0.55, wheel))],
    ['accent', union(disc(-0.52, 0.55, wheel * 0.42), disc(0.52, 0.55, wheel * 0.42))],
  ];
};

const cat: Thing = random => {
  const [width, height] = [random.between(0.7, 0.9), random.between(0.58, 0.7)];
  const ear = random.between(-0.98, -0.8);
  const eye = random.between(0.26, 0.36);
  const look = random.between(0.02, 0.14);
  const muzzle = random.between(0.3, 0.4);
  const mirrored = (points: readonly Point[], round = 0): Shape =>
    union(
      polygon(points, round),
      polygon(
        points.map(([x, y]): Point => [-x, y]),
        round,
      ),
    );
  const parts: Part[] = [
    [
      'body',
      mirrored([
        [width - 0.02, 0.1],
        [width * 0.85, ear],
        [0.12, -0.35],
      ]),
    ],
    [
      'accent',
      mirrored([
        [width * 0.85, -0.15],
        [width * 0.8, ear + 0.25],
        [0.35, -0.38],
      ]),
    ],
    ['body', ellipse(0, 0.2, width, height)],
    ['detail', union(ellipse(-eye, look, 0.1, 0.15), ellipse(eye, look, 0.1, 0.15))],
    [
      'accent',
      polygon(
        [
          [-0.12, muzzle],
          [0.12, muzzle],
          [0, muzzle + 0.13],
        ],
        0.03,
      ),
    ],
  ];
  if (random.chance(0.6)) {
    const whiskers = [-0.09, 0.09].flatMap(tilt =>
      [-1, 1].map(side => stroke(side * 0.4, muzzle + 0.1 + tilt / 2, side * 1, muzzle + 0.08 + tilt * 2, 0.03)),
    );
    parts.push(['detail', union(...whiskers)]);
  }
  return parts;
};

const cup: Thing = random => {
  const [rim, foot] = [random.between(0.5, 0.65), random.between(0.35, 0.55)];
  const [top, bottom] = [random.between(-0.55, -0.35), random.between(0.65, 0.85)];
  const left = -0.22;
  const middle = (top + bottom) / 2;
  const grip = random.between(0.24, 0.34);
  const body = polygon(
    [
      [left - rim, top],
      [left + rim, top],
      [left + foot, bottom],
      [left - foot, bottom],
    ],
    0.05,
  );
  const parts: Part[] = [
    ['body', ring(left + (rim + foot) / 2 + 0.08, middle - 0.08, grip, 0.1)],
    ['body', body],
  ];
  if (random.chance(0.5)) {
    const band = random.between(0.08, 0.2);
    parts.push(['accent', intersection(body, box(0, middle + random.between(-0.1, 0.2), 2, band))]);
  }
  parts.push(['detail', ellipse(left, top, rim + 0.02, 0.13)]);
  if (random.chance(0.5)) {
    const steam = [-0.25, 0.1].map(x =>
      stroke(left + x, -0.95, left + x + random.between(-0.1, 0.2), top - 0.25, 0.05),
    );
    parts.push(['accent', union(...steam)]);
  }
  if (random.chance(0.4)) parts.unshift(['accent', ellipse(left + 0.05, bottom + 0.03, 0.78, 0.13)]);
  return parts;
};

const fish: Thing = random => {
  const [length, height] = [random.between(0.62, 0.74), random.between(0.36, 0.55)];
  const nose = -0.95 + length;
  const fork = random.between(0.7, 0.85);
  const spread = random.between(0.35, 0.55);
  const body = ellipse(nose, 0, length, height);
  const parts: Part[] = [
    [
      'accent',
      polygon([
        [nose + length * 0.75, 0],
        [0.97, -spread],
        [fork, 0],
        [0.97, spread],
      ]),
    ],
    [
      'accent',
      polygon([
        [nose - 0.25, -height * 0.8],
        [nose + random.between(0.2, 0.4), -height - 0.28],
        [nose + 0.35, -height * 0.7],
      ]),
    ],
    ['body', body],
  ];
  if (random.chance(0.5)) {
    const stripes = [0, 0.3].map(x => box(nose + x, 0, random.between(0.05, 0.08), 1));
    parts.push(['accent', intersection(grown(body, -0.02), union(...stripes))]);
  } else if (random.chance(0.6)) {
    parts.push([
      'accent',
      polygon([
        [nose - 0.05, 0.05],
        [nose + 0.3, -0.05],
        [nose + 0.22, 0.25],
      ]),
    ]);
  }
  parts.push(['detail', disc(nose - length * 0.58, -0.1, random.between(0.08, 0.11))]);
  return parts;
};

/** Cosine and sine of a fifth, a sixth and an eighth of a full turn. */
const fractions: readonly (readonly [number, number, number])[] = [
  [5, 0.30901699437494745, 0.9510565162951535],
  [6, 0.5, 0.8660254037844386],
  [8, sqrt(0.5), sqrt(0.5)],
];

const flower: Thing = random => {
  const [count, cos, sin] = random.pick(fractions);
  const head = random.between(-0.4, -0.3);
  const reach = random.between(0.34, 0.42);
  const petal = reach * (count === 5 ? 0.62 : count === 6 ? 0.52 : 0.4);
  const petals: Shape[] = [];
  let [dx, dy] = [0, -reach];
  for (let i = 0; i < count; i++) {
    petals.push(disc(dx, head + dy, petal));
    [dx, dy] = [cos * dx - sin * dy, sin * dx + cos * dy];
  }
  const bend = random.between(-0.2, 0.2);
  const leaf = random.sign();
  const leafY = random.between(0.5, 0.75);
  return [
    ['accent', stroke(0, head, bend, 0.97, 0.07)],
    ['accent', ellipse(bend / 2 + leaf * 0.28, leafY, 0.26, 0.12)],
    ...(random.chance(0.5) ? [['accent', ellipse(bend / 2 - leaf * 0.28, leafY + 0.1, 0.26, 0.12)] as const] : []),
    ['body', union(...petals, disc(0, head, reach * 0.9))],
    ['detail', disc(0, head, reach * random.between(0.42, 0.6))],
  ];
};

const house: Thing = random => {
  const [width, eaves] = [random.between(0.55, 0.72), random.between(-0.15, 0.05)];
  const peak = random.between(-0.95, -0.7);
  const ridge = random.chance(0.3) ? random.between(0.2, 0.4) : 0;
  const overhang = width + random.between(0.1, 0.25);
  const door = random.between(-0.3, 0.3);
  const parts: Part[] = [];
  if (random.chance(0.6)) parts.push(['body', box(random.sign() * 0.42, peak + 0.3, 0.1, 0.28)]);
  parts.push(
    ['body', box(0, (eaves + 0.9) / 2, width, (0.9 - eaves) / 2)],
    [
      'accent',
      polygon([
        [-overhang, eaves + 0.03],
        [-ridge, peak],
        [ridge, peak],
        [overhang, eaves + 0.03],
      ]),
    ],
    ['detail', box(door, 0.66, 0.13, 0.25)],
  );
  const panes = [-0.36, 0.36].filter(x => abs(x - door) > 0.3).map(x => box(x, 0.38, 0.12, 0.11));
  if (panes.length > 0) parts.push(['detail', union(...panes)]);
  return parts;
};

const key: Thing = random => {
  const bow = random.between(0.28, 0.36);
  const y = -0.92 + bow + 0.1;
  const side = random.sign();
  const width = random.between(0.09, 0.12);
  const teeth = [0.82, 0.55, 0.3].slice(0, random.integer(2, 3)).map(at => {
    const long = random.between(0.14, 0.22);
    return box(side * (0.05 + long), at, long, 0.09);
  });
  const head: Shape = random.chance(0.3)
    ? difference(box(0, y, bow + 0.12, bow + 0.08, 0.15), disc(0, y, bow - 0.1))
    : ring(0, y, bow, 0.13);
  const parts: Part[] = [['body', union(head, box(0, 0.3 + y / 2 + bow / 2, width, 0.65 - y / 2 - bow / 2), ...teeth)]];
  if (random.chance(0.5)) parts.push(['accent', box(0, y + bow + 0.18, width + 0.09, 0.08, 0.04)]);
  if (random.chance(0.3)) parts.push(['detail', ring(0, y, bow, 0.04)]);
  return parts;
};

const tree: Thing = random => {
  const trunk = random.between(0.1, 0.15);
  const parts: Part[] = [['detail', box(0, 0.65, trunk, 0.32)]];
  if (random.chance(0.5)) {
    const width = random.between(0.55, 0.78);
    const tier = (top: number, bottom: number, half: number): Part => [
      'body',
      polygon([
        [0, top],
        [half, bottom],
        [-half, bottom],
      ]),
    ];
    parts.push(tier(-0.15, 0.55, width), tier(-0.55, 0.2, width * 0.82), tier(-0.97, -0.2, width * 0.62));
  } else {
    const lobes = [
      [-0.4, 0.05],
      [0.4, 0.05],
      [-0.25, -0.4],
      [0.28, -0.4],
      [0, -0.12],
    ].map(([x, y]) =>
      disc(x + random.between(-0.06, 0.06), y + random.between(-0.06, 0.06), random.between(0.36, 0.45)),
    );
    parts.push(['body', union(...lobes)]);
  }
  if (random.chance(0.5)) {
    const fruit = [
      [-0.3, 0.2],
      [0.25, 0.3],
      [0, -0.1],
      [-0.1, -0.45],
      [0.2, -0.2],
    ].slice(0, random.integer(3, 5));
    parts.push(['accent', union(...fruit.map(([x, y]) => disc(x + random.between(-0.05, 0.05), y, 0.09)))]);
  }
  return parts;
};

const umbrella: Thing = random => {
  const edge = random.between(-0.05, 0.1);
  const height = random.between(0.75, 0.92);
  const scallops = [-0.62, 0, 0.62].map(x => ellipse(x, edge + 0.04, 0.31, 0.17));
  const dome = difference(ellipse(0, edge, 0.95, height), union(below(edge), ...scallops));
  const hook = random.between(0.15, 0.22);
  const side = random.sign();
  return [
    [
      'detail',
      union(
        stroke(0, edge - height - 0.06, 0, 0.75, 0.06),
        intersection(ring(side * hook, 0.75, hook, 0.06), below(0.75)),
      ),
    ],
    ['body', dome],
    ...(random.chance(0.7) ? [['accent', intersection(dome, ellipse(0, edge, 0.31, height))] as const] : []),
  ];
};

/** The classes, in the order of their labels. */
export const things = { boat, car, cat, cup, fish, flower, house, key, tree, umbrella } as const;
