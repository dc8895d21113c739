// The drawing of a network: boxes from top to bottom, parallel branches side by side, skip connections beside them.
//
// Boxes stand in rows: the longest path from the input decides in which. A line that passes rows takes a cell in each of
// them, as a box would, and bends only between rows: it meets no box.

import { printable } from '../errors.js';
import type { Model } from '../layers/model.js';
import { type Box, type BoxKind, boxesOf, type Unfold } from './graph-boxes.js';
import { element, picture, shorten, text, textWidth } from './svg.js';

export interface GraphOptions {
  /** Heading; the model's name by default. */
  readonly title?: string;
  /** Modules to be drawn layer by layer: all, or those with these paths. */
  readonly unfold?: Unfold;
}

/** Where things are drawn, in pixels. */
export interface GraphLayout {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly PlacedBox[];
  readonly lines: readonly PlacedLine[];
}

export interface PlacedBox {
  /** Absent for an input of the model. */
  readonly box?: Box;
  readonly kind: Kind;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly texts: readonly PlacedText[];
}

export interface PlacedText {
  readonly content: string;
  /** Its left end, or its right end. */
  readonly x: number;
  readonly y: number;
  readonly anchor: 'start' | 'end';
  readonly strong: boolean;
  /** About how wide it is. */
  readonly width: number;
}

/** From a box down to one that reads it: vertical from each even point to the next one, bent from each odd one. */
export type PlacedLine = readonly (readonly [x: number, y: number])[];

type Kind = BoxKind | 'input';

const margin = 24;
const heading = 62;
const footing = 56;
const boxHeight = 46;
const pillHeight = 30;
const padding = 12;
const columnGap = 28;
const laneWidth = 20;
const straightGap = 24;
const bentGap = 44;
const fontSize = 12;
const longestNote = 48;
const reading = 'At the right of a box: shape of the output; parameters · multiply-adds of one row';

/** Draws a model as SVG, for light and dark. The same model gives the same bytes. */
export function graphSvg(model: Model, options: GraphOptions = {}): string {
  const { unfold = false } = options;
  const title = printable(options.title ?? model.name);
  const layout = layoutGraph(model, unfold);
  const boxes = layout.boxes.flatMap(({ box }) => (box ? [box] : []));
  const total = (key: 'parameters' | 'multiplyAdds') => boxes.reduce((sum, box) => sum + box[key], 0);
  const facts = `${exact(total('parameters'))} parameters, ${compact(total('multiplyAdds'))} multiply-adds`;
  const legend = drawLegend([...new Set(layout.boxes.map(b => b.kind))]);
  const words = Math.max(1.5 * textWidth(title, fontSize), ...[facts, reading].map(t => textWidth(t, fontSize)));
  const width = Math.max(layout.width, 2 * margin + Math.max(words, legend.width));
  const below = layout.height + heading;
  return picture(
    width,
    below + footing,
    title,
    `The layers of ${title} from top to bottom: ${facts}, in ${boxes.length} boxes.`,
    [
      text(margin, 34, title, { style: 'font-size:17px', 'font-weight': 600 }),
      text(margin, 54, facts, { class: 'muted' }),
      moved((width - layout.width) / 2, heading, [...layout.lines.map(drawLine), ...layout.boxes.map(drawBox)]),
      moved(margin, below + 16, legend.body),
      text(margin, below + 44, reading, { class: 'muted' }),
    ],
    rules(),
  );
}

// ---- where everything is

/** A place in a row: a box, or a line that passes. */
interface Cell {
  column: number;
  readonly node: number;
  readonly passing: boolean;
}

/** Places the boxes of a model and the lines between them. */
export function layoutGraph(model: Model, unfold: Unfold = false): GraphLayout {
  const boxes = boxesOf(model, unfold);
  const inputs = model.config.inputs;
  const reads = [
    ...inputs.map((): number[] => []),
    ...boxes.map(box => box.reads.map(r => (r < 0 ? -1 - r : inputs.length + r))),
  ];
  const grid = new Grid(reads);

  const contents = [
    ...inputs.map(({ name, shape }) => ({ kind: 'input' as const, lines: [[printable(name), shape.join('×')]] })),
    ...boxes.map(box => ({ kind: box.kind, lines: linesOf(box), box })),
  ];
  // A column is as wide as what is in it.
  const widths = new Map<number, number>();
  for (const row of grid.rows) {
    for (const { column, node, passing } of row) {
      const needed = passing ? laneWidth : Math.max(...contents[node]!.lines.map(lineWidth)) + 2 * padding;
      widths.set(column, Math.max(widths.get(column) ?? 0, needed));
    }
  }
  const columns = [...widths.keys()].sort((a, b) => a - b);
  const left = new Map<number, number>();
  let x = margin;
  for (const column of columns) {
    left.set(column, x);
    x += widths.get(column)! + columnGap;
  }
  const centre = (column: number): number => left.get(column)! + widths.get(column)! / 2;

  const top: number[] = [];
  let y = 0;
  grid.rows.forEach((_, row) => {
    top.push(y);
    y += boxHeight + (grid.bends(row) ? bentGap : straightGap);
  });

  const placed = contents.map(({ kind, lines, ...rest }, node): PlacedBox => {
    const cell = grid.cellOf(node);
    const width = Math.max(...lines.map(lineWidth)) + 2 * padding;
    const pill = kind === 'input';
    const own = pill ? width : widths.get(cell.column)!;
    const at = { x: centre(cell.column) - own / 2, y: top[grid.rank[node]!]! + (pill ? boxHeight - pillHeight : 0) };
    return {
      kind,
      ...rest,
      ...at,
      width: own,
      height: pill ? pillHeight : boxHeight,
      texts: placeTexts(lines, at, own),
    };
  });
  const lines = reads.flatMap((list, reader) =>
    list.map((read): PlacedLine => {
      const passed = grid.trail(read, grid.rank[reader]!);
      const point = (column: number, height: number): [number, number] => [centre(column), height];
      return [
        point(grid.cellOf(read).column, top[grid.rank[read]!]! + boxHeight),
        ...passed.flatMap(({ column }, i) => {
          const row = top[grid.rank[read]! + 1 + i]!;
          return [point(column, row), point(column, row + boxHeight)];
        }),
        point(grid.cellOf(reader).column, top[grid.rank[reader]!]!),
      ];
    }),
  );
  return { width: x - columnGap + margin, height: y, boxes: placed, lines };
}

/** Rows and columns of the boxes, and the cells through which lines pass. */
class Grid {
  /** Row of each node. */
  readonly rank: number[] = [];
  readonly rows: Cell[][] = [];
  readonly #cells: Cell[] = [];
  readonly #trails = new Map<number, Cell[]>();

  constructor(readonly reads: readonly (readonly number[])[]) {
    reads.forEach((list, node) => {
      this.rank[node] = list.length === 0 ? 0 : 1 + Math.max(...list.map(r => this.rank[r]!));
    });
    const readers = reads.map((): number[] => []);
    reads.forEach((list, node) => {
      for (const read of list) readers[read]!.push(node);
    });
    const follower = this.#followers(readers);

    const nodes: number[][] = [];
    this.rank.forEach((rank, node) => {
      const list = nodes[rank];
      if (list) list.push(node);
      else nodes[rank] = [node];
    });
    for (const [row, here] of nodes.entries()) {
      const above = row > 0 ? this.rows[row - 1]! : [];
      const cells: Cell[] = [];
      const taken = new Set<number>();
      const put = (node: number, passing: boolean, wanted: number): void => {
        let column = passing ? wanted : Math.round(wanted);
        // The nearest free one, to the right first; lines that leave their box's column pass between the boxes' columns.
        for (let i = 1; taken.has(column); i++) {
          const away = Math.ceil(i / 2) - (passing && Number.isInteger(wanted) ? 0.5 : 0);
          column = wanted + (i % 2 === 1 ? away : -away);
        }
        taken.add(column);
        const cell = { column, node, passing };
        cells.push(cell);
        const trail = this.#trails.get(node);
        if (!passing) this.#cells[node] = cell;
        else if (trail) trail.push(cell);
        else this.#trails.set(node, [cell]);
      };
      const passes = above.filter(({ node }) => readers[node]!.some(reader => this.rank[reader]! > row));
      // What goes straight on comes first, then lines that go on, then what branches off.
      const straight = here.filter(node =>
        reads[node]!.some(read => follower[read] === node && this.rank[read] === row - 1),
      );
      for (const node of straight) {
        const columns = reads[node]!.filter(read => follower[read] === node).map(read => this.cellOf(read).column);
        put(node, false, columns.sort((a, b) => Math.abs(a) - Math.abs(b) || b - a)[0]!);
      }
      for (const { node, column } of passes.filter(cell => cell.passing)) put(node, true, column);
      for (const node of here.filter(n => !straight.includes(n))) {
        const from = above.filter(cell => reads[node]!.includes(cell.node)).map(cell => cell.column);
        put(node, false, from[0] ?? 0);
      }
      for (const { node, column } of passes.filter(cell => !cell.passing)) put(node, true, column);
      this.rows.push(cells);
    }
  }

  /** The reader below each node that goes on in its column: the one with most behind it. */
  #followers(readers: readonly (readonly number[])[]): (number | undefined)[] {
    const depth: number[] = [];
    for (let node = readers.length - 1; node >= 0; node--) {
      depth[node] = 1 + Math.max(0, ...readers[node]!.map(reader => depth[reader]!));
    }
    return readers.map((list, node) => {
      const below = list.filter(reader => this.rank[reader] === this.rank[node]! + 1);
      return below.sort((a, b) => depth[b]! - depth[a]! || a - b)[0];
    });
  }

  cellOf(node: number): Cell {
    return this.#cells[node]!;
  }

  /** The cells that a line from `node` passes on its way to a row. */
  trail(node: number, row: number): Cell[] {
    return (this.#trails.get(node) ?? []).slice(0, row - this.rank[node]! - 1);
  }

  /** Whether a line changes columns below this row. */
  bends(row: number): boolean {
    const next = this.rows[row + 1];
    if (!next) return false;
    const column = (node: number, at: number): number =>
      this.rank[node] === at ? this.cellOf(node).column : this.#trails.get(node)![at - this.rank[node]! - 1]!.column;
    return next.some(cell =>
      cell.passing
        ? column(cell.node, row) !== cell.column
        : this.reads[cell.node]!.some(read => column(read, row) !== cell.column),
    );
  }
}

// ---- what is written

function linesOf(box: Box): string[][] {
  const title = box.repeats > 1 ? `${box.title} ×${box.repeats}` : box.title;
  const figures = [
    box.parameters > 0 ? exact(box.parameters) : '',
    box.multiplyAdds > 0 ? compact(box.multiplyAdds) : '',
  ];
  return [
    [title, box.output.join('×')],
    [shorten(printable(box.note), longestNote), figures.filter(f => f !== '').join(' · ')],
  ];
}

/** Bold text is a little wider. */
const strongWidth = (content: string): number => 1.06 * textWidth(content, fontSize);

const lineWidth = ([left, right]: readonly string[]): number =>
  strongWidth(left!) + (right === '' ? 0 : 20 + textWidth(right!, fontSize));

function placeTexts(lines: readonly string[][], { x, y }: { x: number; y: number }, width: number): PlacedText[] {
  return lines.flatMap(([left, right], i) => {
    const baseline = y + (lines.length === 1 ? pillHeight / 2 + 4 : i === 0 ? 19 : 36);
    const strong = i === 0;
    const start = { content: left!, x: x + padding, y: baseline, anchor: 'start' as const, strong };
    const end = { content: right!, x: x + width - padding, y: baseline, anchor: 'end' as const, strong: false };
    return [start, end]
      .filter(({ content }) => content !== '')
      .map(t => ({ ...t, width: t.strong ? strongWidth(t.content) : textWidth(t.content, fontSize) }));
  });
}

const exact = (n: number): string => n.toLocaleString('en-US');

/** `1.81 G` */
function compact(n: number): string {
  for (const [unit, size] of [
    ['G', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ] as const) {
    if (n >= size) return `${Number((n / size).toPrecision(3))} ${unit}`;
  }
  return `${n}`;
}

// ---- how it looks

const moved = (x: number, y: number, body: string[]): string =>
  element('g', { transform: `translate(${Number(x.toFixed(2))} ${y})` }, '\n', body.join('\n'), '\n');

function drawBox({ box, kind, x, y, width, height, texts }: PlacedBox): string {
  const rect = (offset: number): string =>
    element('rect', {
      class: kind,
      x: x + offset,
      y: y + offset,
      width,
      height,
      rx: kind === 'input' ? height / 2 : 6,
    });
  const behind = (box?.repeats ?? 1) > 1 ? [rect(5)] : [];
  const words = texts.map(t =>
    text(t.x, t.y, t.content, {
      class: t.strong || (t.anchor === 'end' && t.y < y + height / 2) ? 'ink' : 'muted',
      'font-weight': t.strong ? 600 : undefined,
      'text-anchor': t.anchor === 'end' ? 'end' : undefined,
    }),
  );
  return [...behind, rect(0), ...words].join('');
}

function drawLine(points: PlacedLine): string {
  const at = (i: number): string => points[i]!.map(v => Number(v.toFixed(2))).join(' ');
  let path = `M${at(0)}`;
  for (let i = 1; i < points.length; i += 2) {
    const [from, to] = [points[i - 1]!, points[i]!];
    const middle = (from[1] + to[1]) / 2;
    path += from[0] === to[0] ? `L${at(i)}` : `C${from[0]} ${middle} ${to[0]} ${middle} ${at(i)}`;
    if (i + 1 < points.length) path += `L${at(i + 1)}`;
  }
  const [x, y] = points.at(-1)!;
  const head = element('path', { class: 'head', d: `M${x - 4} ${y - 7}L${x + 4} ${y - 7}L${x} ${y}Z` });
  return element('path', { class: 'line wire', d: path }) + head;
}

const names: Readonly<Record<Kind, string>> = {
  input: 'input',
  convolution: 'convolution',
  linear: 'linear',
  pooling: 'pooling',
  normalisation: 'normalisation',
  activation: 'activation',
  join: 'sum, concatenation',
  module: 'module of several layers',
  other: 'other',
};

function drawLegend(kinds: readonly Kind[]): { width: number; body: string[] } {
  let x = 0;
  const body = (Object.keys(names) as Kind[])
    .filter(kind => kind !== 'input' && kinds.includes(kind))
    .flatMap(kind => {
      const at = x;
      x += 22 + textWidth(names[kind], fontSize) + 14;
      return [
        element('rect', { class: kind, x: at, y: -11, width: 14, height: 14, rx: 3 }),
        text(at + 20, 0, names[kind], { class: 'muted' }),
      ];
    });
  return { width: x, body };
}

/** Fill and border of each kind of box, for light and for dark. */
const palette: Readonly<Record<Kind, readonly [light: readonly [string, string], dark: readonly [string, string]]>> = {
  input: [
    ['#f3f4f6', '#8b949e'],
    ['#21262d', '#8b949e'],
  ],
  convolution: [
    ['#e3eefc', '#2563c9'],
    ['#12284a', '#6ea8fe'],
  ],
  linear: [
    ['#efe6fb', '#7c3fbf'],
    ['#2c1c46', '#b98cf2'],
  ],
  pooling: [
    ['#e2f4e6', '#2a8a46'],
    ['#12331d', '#63c17f'],
  ],
  normalisation: [
    ['#fdf3d7', '#a67c00'],
    ['#352a0c', '#d9b64a'],
  ],
  activation: [
    ['#fde8e2', '#c4512d'],
    ['#3d1c12', '#f0906f'],
  ],
  join: [
    ['#fce5f0', '#b83280'],
    ['#3d1430', '#f08cc0'],
  ],
  module: [
    ['#dff3f5', '#117a86'],
    ['#0e3036', '#5cc3cf'],
  ],
  other: [
    ['#eef0f3', '#656d76'],
    ['#22272e', '#919aa4'],
  ],
};

function rules(): string {
  const boxes = (mode: 0 | 1): string =>
    Object.entries(palette)
      .map(([kind, modes]) => `.${kind}{fill:${modes[mode][0]};stroke:${modes[mode][1]};stroke-width:1.2}`)
      .join('');
  const wires = (colour: string): string => `.wire{stroke:${colour};stroke-width:1.5}.head{fill:${colour}}`;
  const [light, dark] = [boxes(0) + wires('#8b949e'), boxes(1) + wires('#6e7681')];
  return `${light}@media (prefers-color-scheme:dark){${dark}}`;
}
