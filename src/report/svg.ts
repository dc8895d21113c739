// The few parts that a run's pictures are made of: elements, escaped text, one palette for light and dark, nice ticks.

/** Light and dark, by class: `.ink` text, `.muted` secondary text, `.grid` hairlines, `.a` and `.b` the two series. */
const palette = {
  paper: ['#ffffff', '#0d1117'],
  ink: ['#1f2328', '#e6edf3'],
  muted: ['#656d76', '#919aa4'],
  grid: ['#e7eaee', '#262c36'],
  axis: ['#b4bbc4', '#4a525d'],
  a: ['#2563c9', '#6ea8fe'],
  b: ['#d9540b', '#ff9d57'],
} as const;

/** The system's own sans-serif. */
const font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif";

export type Attributes = Record<string, string | number | undefined>;

/** An SVG element; children are markup, see {@link text} for text. */
export function element(name: string, attributes: Attributes, ...children: string[]): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${typeof value === 'number' ? round(value) : escapeXml(String(value))}"`)
    .join('');
  return children.length > 0 ? `<${name}${written}>${children.join('')}</${name}>` : `<${name}${written}/>`;
}

/** A line of text with its baseline at (x, y). */
export function text(x: number, y: number, content: string, attributes: Attributes = {}): string {
  return element('text', { x, y, class: 'ink', ...attributes }, escapeXml(content));
}

/** A whole picture of width × height pixels. `description` is what a screen reader says, `rules` more of a style sheet. */
export function picture(
  width: number,
  height: number,
  title: string,
  description: string,
  body: string[],
  rules = '',
): string {
  const [w, h] = [Math.ceil(width), Math.ceil(height)];
  return `${element(
    'svg',
    { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${w} ${h}`, width: w, height: h, role: 'img' },
    `<title>${escapeXml(title)}</title><desc>${escapeXml(description)}</desc>`,
    `<style>${styles()}${rules}</style>`,
    element('rect', { class: 'paper', width: w, height: h }),
    '\n',
    body.join('\n'),
    '\n',
  )}\n`;
}

function styles(): string {
  const rules = (mode: 0 | 1) =>
    Object.entries(palette)
      .map(([name, colours]) => {
        const colour = colours[mode];
        if (name === 'grid' || name === 'axis') return `.${name}{stroke:${colour}}`;
        return `.${name}{fill:${colour}}.${name}-line{stroke:${colour}}`;
      })
      .join('');
  return (
    `text{font-family:${font};font-size:12px;font-variant-numeric:tabular-nums}.line{fill:none;stroke-linejoin:round;` +
    `stroke-linecap:round}.on{fill:#ffffff}${rules(0)}@media (prefers-color-scheme:dark){${rules(1)}}`
  );
}

/** Text for elements and attributes; characters that XML cannot hold become U+FFFD. */
export function escapeXml(content: string): string {
  return (
    content
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that XML 1.0 forbids
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, '\ufffd')
      .replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
  );
}

/** `content` cut to `length` characters, with an ellipsis. */
export function shorten(content: string, length: number): string {
  const characters = [...content];
  return characters.length > length ? `${characters.slice(0, length - 1).join('')}…` : content;
}

/** About how wide `content` is at this font size, in pixels. */
export function textWidth(content: string, fontSize: number): number {
  return (
    [...content].reduce((width, c) => width + (/[mwMW@%]/.test(c) ? 0.92 : /[\u1100-\uffff]/.test(c) ? 1 : 0.6), 0) *
    fontSize
  );
}

/**
 * Round numbers from at or below `min` to at or above `max`, about `count` of them, in steps of 1, 2 or 5 × 10ⁿ, never
 * finer than `finest`.
 */
export function niceTicks(min: number, max: number, count: number, finest = 0): number[] {
  const span = max > min ? max - min : Math.abs(max) || 1;
  const rough = Math.max(span / Math.max(1, count), finest, Number.MIN_VALUE * 1e10);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(candidate => candidate >= rough * 0.999) ?? 10 * power;
  const first = Math.floor(min / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(max / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** A number for a tick or label: as few digits as tell it from its neighbours `step` apart. */
export function formatTick(value: number, step: number): string {
  if (value !== 0 && (Math.abs(value) >= 1e6 || step < 1e-5)) return value.toExponential(1);
  return value.toFixed(Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
}

function round(value: number): string {
  return String(Number(value.toFixed(2)));
}
