// The learning curves of a run: loss and accuracy an epoch, training and test, as one SVG picture.

import { element, formatTick, niceTicks, picture, shorten, text } from './svg.js';

/** One point of the curves; what was not measured is left out and drawn over, what is not finite leaves a gap. */
export interface EpochPoint {
  /** Epochs done, from 1; fractions are fine. */
  epoch: number;
  trainLoss?: number;
  testLoss?: number;
  /** Top-1, as a fraction from 0 to 1. */
  trainAccuracy?: number;
  testAccuracy?: number;
}

export interface CurvesOptions {
  /** For example `resnet20 on cifar10`. */
  title: string;
  /** A line below it, in grey. */
  subtitle?: string;
  /** What the second curve is: `test`, if not given, or `validation`. */
  testName?: string;
}

interface Series {
  name: string;
  style: 'a' | 'b';
  /** Not measured: undefined; not finite: null. */
  values: (number | null | undefined)[];
}

interface Panel {
  heading: string;
  series: Series[];
  format(value: number): string;
  tick(value: number, step: number): string;
  best: 'lowest' | 'highest';
  /** Natural bounds of the values. */
  bounds: [number, number];
}

const size = { width: 960, height: 400, top: 116, bottom: 52, left: 60, right: 80, gap: 6 };
const headingBaseline = 94;

/**
 * Two panels, loss and accuracy over epochs, each with its best test value marked; as SVG text that follows the
 * reader's light or dark mode. An empty history gives empty panels.
 */
export function curvesSvg(history: readonly EpochPoint[], options: CurvesOptions): string {
  const testName = options.testName ?? 'test';
  const epochs = history.map(point => point.epoch);
  const series = (train: keyof EpochPoint, test: keyof EpochPoint): Series[] => [
    { name: 'training', style: 'a', values: history.map(point => finite(point[train])) },
    { name: testName, style: 'b', values: history.map(point => finite(point[test])) },
  ];
  const panels: Panel[] = [
    {
      heading: 'Loss',
      series: series('trainLoss', 'testLoss'),
      format: value => (value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(1) : value.toPrecision(3)),
      tick: formatTick,
      best: 'lowest',
      bounds: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
    },
    {
      heading: 'Accuracy',
      series: series('trainAccuracy', 'testAccuracy'),
      format: value => `${(100 * value).toFixed(2)} %`,
      tick: (value, step) => `${formatTick(100 * value, 100 * step)} %`,
      best: 'highest',
      bounds: [0, 1],
    },
  ];
  const panelWidth = (size.width - size.gap) / 2;
  const body = [
    text(24, 34, shorten(options.title, 90), { 'font-size': 18, 'font-weight': 600, style: 'font-size:18px' }),
    ...(options.subtitle ? [text(24, 55, shorten(options.subtitle, 130), { class: 'muted' })] : []),
    ...legend(testName),
    ...panels.map((panel, i) =>
      element(
        'g',
        { transform: `translate(${i * (panelWidth + size.gap)} 0)` },
        ...drawPanel(panel, epochs, panelWidth),
      ),
    ),
  ];
  return picture(size.width, size.height, options.title, describe(panels, testName), body);
}

function legend(testName: string): string[] {
  const entry = (x: number, style: string, name: string) => [
    element('path', { class: `line ${style}-line`, 'stroke-width': 2.5, d: `M${x} 30h20` }),
    text(x + 27, 34, name),
  ];
  const x = size.width - 24 - 27 - 7 * testName.length;
  return [...entry(x - 112, 'a', 'training'), ...entry(x, 'b', testName)];
}

function drawPanel(panel: Panel, epochs: number[], width: number): string[] {
  const [left, right, top, bottom] = [size.left, width - size.right, size.top, size.height - size.bottom];
  const values = panel.series.flatMap(series => series.values).filter(isMeasured);
  const yTicks = valueTicks(values, panel.bounds);
  const xTicks = epochTicks(epochs);
  const [x0, x1] = [Math.min(0, ...epochs), Math.max(1, ...epochs)];
  const x = (epoch: number) => left + ((epoch - x0) / (x1 - x0)) * (right - left);
  const [y0, y1] = [yTicks[0], yTicks[yTicks.length - 1]];
  const y = (value: number) => bottom - ((value - y0) / (y1 - y0)) * (bottom - top);

  const step = yTicks[1] - yTicks[0];
  const best = bestPoint(panel);
  const drawn = [
    text(left, headingBaseline, panel.heading, { 'font-weight': 600, style: 'font-size:14px' }),
    ...(best
      ? [
          text(
            right,
            headingBaseline,
            `best ${panel.series[1].name} ${panel.format(best.value)}, epoch ${formatEpoch(epochs[best.index])}`,
            {
              class: 'muted',
              'text-anchor': 'end',
            },
          ),
        ]
      : []),
    ...yTicks.flatMap(tick => [
      element('path', { class: 'grid', d: `M${left} ${round(y(tick))}H${right}` }),
      text(left - 8, y(tick) + 4, panel.tick(tick, step), { class: 'muted', 'text-anchor': 'end' }),
    ]),
    element('path', { class: 'axis', d: `M${left} ${bottom}H${right}` }),
    ...xTicks.flatMap(tick => [
      element('path', { class: 'axis', d: `M${round(x(tick))} ${bottom}v4` }),
      text(x(tick), bottom + 18, String(tick), { class: 'muted', 'text-anchor': 'middle' }),
    ]),
    text((left + right) / 2, bottom + 38, 'epoch', { class: 'muted', 'text-anchor': 'middle' }),
    ...panel.series.flatMap(series => drawSeries(series, epochs, x, y)),
  ];
  if (best) {
    const [cx, cy] = [x(epochs[best.index]), y(best.value)];
    drawn.push(element('circle', { class: 'line b-line', cx, cy, r: 6, 'stroke-width': 1.5 }));
  }
  return [...drawn, ...lastValues(panel, right + 10, y, top, bottom)];
}

function drawSeries(
  { style, values }: Series,
  epochs: number[],
  x: (epoch: number) => number,
  y: (value: number) => number,
): string[] {
  let path = '';
  let pen = 'M';
  const dots: string[] = [];
  const dotted = values.filter(isMeasured).length <= 30;
  values.forEach((value, i) => {
    if (value === null) pen = 'M';
    if (!isMeasured(value)) return;
    path += `${pen}${round(x(epochs[i]))} ${round(y(value))}`;
    const alone = pen === 'M' && !isMeasured(values[i + 1]);
    pen = 'L';
    if (alone || dotted) dots.push(element('circle', { class: style, cx: x(epochs[i]), cy: y(value), r: 2.5 }));
  });
  return path === '' ? [] : [element('path', { class: `line ${style}-line`, 'stroke-width': 2, d: path }), ...dots];
}

/** The last value of each series beside its end, moved apart where they would overlap. */
function lastValues(panel: Panel, x: number, y: (value: number) => number, top: number, bottom: number): string[] {
  const labels = panel.series
    .map(({ style, values }) => ({ style, value: values.findLast(isMeasured) }))
    .filter((label): label is { style: 'a' | 'b'; value: number } => label.value !== undefined)
    .map(({ style, value }) => ({ style, content: panel.format(value), at: y(value) }))
    .sort((a, b) => a.at - b.at);
  const [upper, lower] = labels;
  if (lower && lower.at - upper.at < 16) {
    const middle = Math.min(Math.max((upper.at + lower.at) / 2, top + 8), bottom - 8);
    [upper.at, lower.at] = [middle - 8, middle + 8];
  }
  return labels.map(({ style, content, at }) => text(x, at + 4, content, { class: style, 'font-weight': 600 }));
}

function bestPoint({ series, best }: Panel): { index: number; value: number } | undefined {
  let found: { index: number; value: number } | undefined;
  series[1].values.forEach((value, index) => {
    if (!isMeasured(value)) return;
    const better = !found || (best === 'lowest' ? value < found.value : value > found.value);
    if (better) found = { index, value };
  });
  return found;
}

function valueTicks(values: number[], [least, most]: [number, number]): number[] {
  if (values.length === 0) return niceTicks(0, 1, 5);
  let [min, max] = [Math.min(...values), Math.max(...values)];
  // A loss starts at zero where that costs little of the height; the differences are what matters.
  if (min > 0 && min < 0.4 * max && least < 0) min = 0;
  if (max - min < 1e-9) [min, max] = [min - 0.05 * (Math.abs(min) || 1), max + 0.05 * (Math.abs(max) || 1)];
  const ticks = niceTicks(Math.max(min, least), Math.min(max, most), 5);
  return ticks.filter(tick => tick >= least - 1e-9 && tick <= most + 1e-9);
}

function epochTicks(epochs: number[]): number[] {
  const last = Math.max(1, ...epochs);
  return niceTicks(Math.min(0, ...epochs), last, 8, 1).filter(tick => tick <= last);
}

function describe(panels: Panel[], testName: string): string {
  const parts = panels.map(panel => {
    const best = bestPoint(panel);
    return best ? `${panel.best} ${testName} ${panel.heading.toLowerCase()} ${panel.format(best.value)}` : '';
  });
  return `Loss and accuracy by epoch. ${parts.filter(part => part !== '').join(', ')}`.trim();
}

function finite(value: number | undefined): number | null | undefined {
  return value === undefined || Number.isFinite(value) ? value : null;
}

function isMeasured(value: number | null | undefined): value is number {
  return value !== undefined && value !== null;
}

function formatEpoch(epoch: number): string {
  return Number.isInteger(epoch) ? String(epoch) : epoch.toFixed(1);
}

function round(value: number): number {
  return Number(value.toFixed(2));
}
