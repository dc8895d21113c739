// The confusion matrix of an evaluation as an SVG heat map: what is right in blue, what is mistaken in orange.

import { element, escapeXml, picture, shorten, text, textWidth } from './svg.js';

export interface ConfusionOptions {
  /** For example `resnet20 on cifar10: 91.85 % of 10,000 images`. */
  title: string;
  subtitle?: string;
}

const correct = '#2563c9';
const mistaken = '#d9540b';
const margin = 24;

/**
 * A heat map for 2 to some 100 classes; `counts[t][p]` is how many images of class t were taken for class p. Colour is
 * the share of the row to the power of 0.4, so that rare mistakes show too; counts stand in the cells where they fit,
 * recall beside each row, precision below each column, the most frequent mistakes at the bottom.
 */
export function confusionSvg(
  counts: readonly ArrayLike<number>[],
  classNames: readonly string[],
  options: ConfusionOptions,
): string {
  const n = classNames.length;
  if (counts.length !== n || counts.some(row => row.length !== n)) {
    throw new RangeError(`confusionSvg: expected ${n} × ${n} counts, got ${counts.length} rows`);
  }
  const widest = Math.min(110, Math.max(64, Math.floor(320 / n)));
  const cell = Math.min(widest, Math.max(9, Math.floor((n <= 20 ? 600 : 900) / n)));
  const fontSize = Math.min(12, Math.max(7.5, cell - 1));
  const names = classNames.map(name => shorten(name, 22));
  const nameWidth = Math.max(...names.map(name => textWidth(name, fontSize)), 44);
  const upright = nameWidth > cell - 4;

  const rowTotals = counts.map(row => sum(row));
  const columnTotals = names.map((_, p) => counts.reduce((total, row) => total + row[p], 0));
  const left = margin + 22 + nameWidth + 8;
  const top = 84 + 16 + (upright ? nameWidth : 14) + 8;
  const [right, bottom] = [left + n * cell, top + n * cell];
  const showPrecision = cell >= 36;
  const label = { style: `font-size:${Number(fontSize.toFixed(1))}px` };

  const body = [
    text(margin, 34, shorten(options.title, 90), { 'font-weight': 600, style: 'font-size:18px' }),
    ...(options.subtitle ? [text(margin, 55, shorten(options.subtitle, 120), { class: 'muted' })] : []),
    text((left + right) / 2, 88, 'predicted', { class: 'muted', 'text-anchor': 'middle' }),
    text(0, 0, 'true', {
      class: 'muted',
      'text-anchor': 'middle',
      transform: `translate(${margin + 8} ${(top + bottom) / 2}) rotate(-90)`,
    }),
    text(right + 10, top - 10, 'recall', { class: 'muted' }),
    ...(showPrecision ? [text(left - 8, bottom + 20, 'precision', { class: 'muted', 'text-anchor': 'end' })] : []),
  ];
  names.forEach((name, i) => {
    const centre = left + (i + 0.5) * cell;
    const middle = top + (i + 0.5) * cell + fontSize * 0.35;
    body.push(text(left - 8, middle, name, { 'text-anchor': 'end', ...label }));
    body.push(
      upright
        ? text(0, 0, name, { transform: `translate(${centre + fontSize * 0.35} ${top - 8}) rotate(-90)`, ...label })
        : text(centre, top - 8, name, { 'text-anchor': 'middle', ...label }),
    );
    body.push(text(right + 10, middle, percent(counts[i][i], rowTotals[i]), { class: 'muted', ...label }));
    if (showPrecision) {
      const precision = percent(counts[i][i], columnTotals[i]);
      body.push(text(centre, bottom + 20, precision, { class: 'muted', 'text-anchor': 'middle', ...label }));
    }
  });
  body.push(...grid(left, top, n, cell));
  for (let t = 0; t < n; t++) {
    for (let p = 0; p < n; p++) {
      if (!(counts[t][p] > 0)) continue;
      const box = { x: left + p * cell, y: top + t * cell, size: cell };
      body.push(drawCell(box, counts[t][p], rowTotals[t], t === p, `${classNames[t]} → ${classNames[p]}`));
    }
  }
  const foot = bottom + (showPrecision ? 62 : 40);
  const list = mistakes(counts, rowTotals, classNames, foot);
  body.push(...list);
  const total = sum(rowTotals);
  const hits = counts.reduce((count, row, i) => count + row[i], 0);
  const description = `Confusion matrix of ${n} classes: ${hits} of ${total} on the diagonal.`;
  return picture(Math.max(right + 86, 420), foot + 18 * list.length + 8, options.title, description, body);
}

function drawCell(
  box: { x: number; y: number; size: number },
  count: number,
  total: number,
  right: boolean,
  name: string,
): string {
  const share = count / total;
  const opacity = share ** 0.4;
  const digits = String(count);
  const fontSize = Math.min(13, (box.size - 6) / (0.62 * digits.length), box.size * 0.5);
  const tip = element('title', {}, escapeXml(`${name}: ${count} (${percent(count, total)})`));
  const rect = element(
    'rect',
    {
      x: box.x + 0.5,
      y: box.y + 0.5,
      width: box.size - 1,
      height: box.size - 1,
      rx: box.size > 20 ? 3 : 0,
      fill: right ? correct : mistaken,
      'fill-opacity': Math.max(0.04, opacity),
    },
    tip,
  );
  if (fontSize < 7) return rect;
  const middle = box.y + box.size / 2 + fontSize * 0.35;
  return (
    rect +
    text(box.x + box.size / 2, middle, digits, {
      class: opacity > 0.6 ? 'on' : 'ink',
      'text-anchor': 'middle',
      'pointer-events': 'none',
      style: `font-size:${Number(fontSize.toFixed(1))}px`,
    })
  );
}

/** Hairlines around the cells; among many classes only every tenth. */
function grid(left: number, top: number, n: number, cell: number): string[] {
  const every = cell >= 20 ? 1 : 10;
  const places = Array.from({ length: n + 1 }, (_, i) => i).filter(i => i % every === 0 || i === n);
  const [right, bottom] = [left + n * cell, top + n * cell];
  const lines = places.map(i => `M${left + i * cell} ${top}V${bottom}M${left} ${top + i * cell}H${right}`);
  return [element('path', { class: 'grid', d: lines.join('') })];
}

/** The five most frequent mistakes, one a line, below a heading at height `y`. */
function mistakes(
  counts: readonly ArrayLike<number>[],
  rowTotals: number[],
  names: readonly string[],
  y: number,
): string[] {
  const found: { t: number; p: number; count: number }[] = [];
  counts.forEach((row, t) => {
    for (let p = 0; p < row.length; p++) if (p !== t && row[p] > 0) found.push({ t, p, count: row[p] });
  });
  if (found.length === 0) return [];
  found.sort((a, b) => b.count - a.count || a.t - b.t || a.p - b.p);
  const lines = found
    .slice(0, 5)
    .map(
      ({ t, p, count }) =>
        `${shorten(names[t], 22)} → ${shorten(names[p], 22)}: ${count} (${percent(count, rowTotals[t])})`,
    );
  return [
    text(margin, y, 'most often mistaken', { class: 'muted' }),
    ...lines.map((line, i) => text(margin, y + 20 + 18 * i, line)),
  ];
}

function percent(part: number, whole: number): string {
  return whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : '–';
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}
