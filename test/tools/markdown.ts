// What the generated parts of the documentation are made of.

export const table = (head: readonly string[], lines: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...lines].map(cells => `| ${cells.join(' | ')} |`).join('\n');

export const number = (n: number): string => n.toLocaleString('en-US');

export const percent = (share: number | undefined): string =>
  share === undefined ? '–' : `${(100 * share).toFixed(2)} %`;

/** Each once: `1, 3`. */
export const listed = (values: readonly (string | number)[]): string => [...new Set(values)].join(', ');
