// What every help begins with.

/** Lines to type, as a block of the help. */
export function examples(...lines: string[]): string {
  return `Examples:\n${lines.map(line => `  ${line}\n`).join('')}`;
}
