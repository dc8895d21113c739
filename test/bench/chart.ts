// docs/benchmarks.json as a picture: for each network how many times faster than its peers dlcourse is.

import { element, picture, text } from '../../src/report/svg.js';
import { best, type Comparison, eager, type Mode, resultOf, speedup } from './results.js';
import { type Group, groupsOf } from './rows.js';
import { usualOrder } from './subjects.js';

/** A bar from 1 to one factor, and a ring at another. */
interface Panel {
  readonly heading: string;
  readonly style: 'a' | 'b';
  readonly legend: readonly [bar: string, ring: string];
  readonly bar: (row: Row) => number | undefined;
  readonly ring: (row: Row) => number | undefined;
}

/** The comparisons of one network and input. */
type Row = Readonly<Partial<Record<Mode, Comparison>>>;

const of = (c: Comparison | undefined, value: (c: Comparison) => number | undefined): number | undefined =>
  c && value(c);
const overOnnx = (c: Comparison): number | undefined => speedup(c, resultOf(c, 'onnxruntime'));
const overBest = (c: Comparison): number | undefined => speedup(c, best(c));

/** Where nothing holds onnxruntime to an instruction set, PyTorch's best stands in its place. */
const panelsOf = (group: Group<Comparison>): Panel[] => {
  const onnx = group.rows.some(c => c.figures.onnxruntime);
  const [peer, value] = onnx ? (['onnxruntime', overOnnx] as const) : (["PyTorch's best", overBest] as const);
  return [
    {
      heading: 'Training step',
      style: 'a',
      legend: ['than PyTorch eager', "than PyTorch's best"],
      bar: row => of(row.train, c => speedup(c, eager(c))),
      ring: row => of(row.train, overBest),
    },
    {
      heading: `Inference, against ${peer}`,
      style: 'b',
      legend: ['large batch', 'one image'],
      bar: row => of(row.infer, value),
      ring: row => of(row.latency, value),
    },
  ];
};

const width = 960;
const names = 240;
const margin = 24;
const gap = 36;
const line = 22;
const [head, foot] = [92, 30];
const panelWidth = (width - names - 2 * margin - gap) / 2;

/** The factor scale is logarithmic: twice as fast and half as fast are equally far from 1. */
export function chartSvg(comparisons: readonly Comparison[]): string {
  const body = [text(margin, 34, 'How many times faster dlcourse is', { style: 'font-size:18px', 'font-weight': 600 })];
  let top = 44;
  for (const group of groupsOf(comparisons)) {
    const rows = rowsOf(group);
    body.push(...drawGroup(group, rows, top));
    top += head + rows.length * line + foot;
  }
  return picture(width, top + 12, 'dlcourse beside PyTorch and onnxruntime', described(comparisons), body);
}

function rowsOf(group: Group<Comparison>): { name: string; row: Row }[] {
  const rows = new Map<string, Partial<Record<Mode, Comparison>>>();
  for (const c of usualOrder(group.rows)) {
    const name = `${c.network} ${c.input.slice(0, 2).join('×')}`;
    rows.set(name, { ...rows.get(name), [c.mode]: c });
  }
  return [...rows].map(([name, row]) => ({ name, row }));
}

function drawGroup(group: Group<Comparison>, rows: readonly { name: string; row: Row }[], top: number): string[] {
  const panels = panelsOf(group).filter(p => rows.some(({ row }) => (p.bar(row) ?? p.ring(row)) !== undefined));
  const factors = panels
    .flatMap(p => rows.flatMap(({ row }) => [p.bar(row), p.ring(row)]))
    .filter(f => f !== undefined);
  const low = Math.floor(Math.log2(Math.min(0.8, ...factors)));
  const high = Math.ceil(Math.log2(Math.max(2.2, ...factors)));
  const first = top + head;
  return [
    text(margin, top + 22, group.name, { class: 'muted' }),
    ...rows.map(({ name }, i) => text(margin + names - 12, first + i * line + 4, name, { 'text-anchor': 'end' })),
    ...panels.flatMap((panel, p) => {
      const left = margin + names + p * (panelWidth + gap);
      const x = (factor: number): number => left + ((Math.log2(factor) - low) / (high - low)) * (panelWidth - 44);
      return drawPanel(panel, rows, { left, first, x, low, high, heading: top + 48, end: left + panelWidth });
    }),
  ];
}

interface Frame {
  readonly left: number;
  readonly first: number;
  readonly heading: number;
  readonly x: (factor: number) => number;
  /** Where the bars' numbers end. */
  readonly end: number;
  readonly low: number;
  readonly high: number;
}

function drawPanel(panel: Panel, rows: readonly { row: Row }[], frame: Frame): string[] {
  const { left, first, x, low, high, heading } = frame;
  const [from, to] = [first - 14, first + rows.length * line - 8];
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 2 ** (low + i));
  const [bar, ring] = panel.legend;
  const second = left + 40 + 7 * bar.length;
  return [
    text(left, heading, panel.heading, { 'font-weight': 600, style: 'font-size:14px' }),
    element('rect', { class: panel.style, x: left, y: heading + 10, width: 14, height: 10, rx: 2 }),
    text(left + 20, heading + 19, bar, { class: 'muted' }),
    element('circle', { class: `line ${panel.style}-line`, cx: second, cy: heading + 15, r: 4, 'stroke-width': 2 }),
    text(second + 10, heading + 19, ring, { class: 'muted' }),
    ...ticks.flatMap(tick => [
      element('path', { class: tick === 1 ? 'axis' : 'grid', d: `M${x(tick).toFixed(1)} ${from}V${to}` }),
      text(x(tick), to + 16, `${tick}×`, { class: 'muted', 'text-anchor': 'middle' }),
    ]),
    ...rows.flatMap(({ row }, i) => drawRow(panel, row, first + i * line, frame)),
  ];
}

function drawRow({ style, bar, ring }: Panel, row: Row, y: number, { x, end }: Frame): string[] {
  const [long, short] = [bar(row), ring(row)];
  const drawn: string[] = [];
  if (long !== undefined) {
    const [from, to] = [Math.min(x(1), x(long)), Math.max(x(1), x(long))];
    drawn.push(element('rect', { class: style, x: from, y: y - 6, width: Math.max(1, to - from), height: 12, rx: 2 }));
  }
  if (short !== undefined) {
    drawn.push(
      element('circle', { class: 'paper', cx: x(short), cy: y, r: 5.5 }),
      element('circle', { class: `line ${style}-line`, cx: x(short), cy: y, r: 4, 'stroke-width': 2 }),
    );
  }
  if (long !== undefined)
    drawn.push(text(end, y + 4, long.toFixed(2), { class: style, 'font-weight': 600, 'text-anchor': 'end' }));
  return drawn;
}

const described = (comparisons: readonly Comparison[]): string =>
  groupsOf(comparisons)
    .map(group => {
      const rows = rowsOf(group).map(({ name, row }) => {
        const factor = of(row.train, c => speedup(c, eager(c)));
        return factor === undefined ? name : `${name} ${factor.toFixed(2)}`;
      });
      return `${group.name}, training against PyTorch eager: ${rows.join(', ')}`;
    })
    .join('. ');
