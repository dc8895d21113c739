// Columns of text for people.

/**
 * Lines of a table whose first row is the heading. Columns of numbers stand to the right, all others to the left.
 * @param heading what to do with the first line, e.g. make it bold
 */
export function textTable(
  rows: readonly (readonly (string | number)[])[],
  heading: (line: string) => string = line => line,
): string[] {
  const columns = rows[0]?.map((_, c) => rows.map(row => String(row[c] ?? ''))) ?? [];
  const widths = columns.map(cells => Math.max(...cells.map(cell => cell.length)));
  const right = columns.map(cells => cells.slice(1).every(cell => /^[\d.,–-]*( ?(%|[KMGT]?i?B))?$/.test(cell)));
  return rows.map((_, r) => {
    const cells = columns.map((column, c) =>
      right[c] ? column[r]!.padStart(widths[c]!) : column[r]!.padEnd(widths[c]!),
    );
    const line = cells.join('  ').trimEnd();
    return r === 0 ? heading(line) : line;
  });
}
