// Patterns of file names, for shells that do not expand them: `*` and `?` within a name, `**` for any folders.

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Whether a name holds a wildcard. */
export const isPattern = (text: string): boolean => /[*?]/.test(text);

/**
 * The files (not folders) that a pattern matches, sorted. Separators are `/` (and `\` on Windows). Hidden names are
 * matched only by a part that begins with a dot. Links are followed, but `**` does not go through linked folders.
 */
export function glob(pattern: string): string[] {
  const separator = process.platform === 'win32' ? /[\\/]+/ : /\/+/;
  const parts = pattern.split(separator);
  const rooted = parts[0] === '' || /^[A-Za-z]:$/.test(parts[0]!);
  const found = new Set<string>();
  walk(rooted ? `${parts[0]}/` : '', rooted ? parts.slice(1) : parts, found);
  return [...found].sort();
}

function walk(folder: string, [part, ...rest]: readonly string[], found: Set<string>): void {
  if (part === undefined) return;
  if (part === '**') {
    walk(folder, rest.length > 0 ? rest : ['*'], found);
    for (const entry of list(folder)) {
      if (entry.isDirectory() && !entry.name.startsWith('.')) walk(join(folder, entry.name), [part, ...rest], found);
    }
    return;
  }
  const names = isPattern(part) ? list(folder).flatMap(e => (matches(part, e.name) ? [e.name] : [])) : [part];
  for (const name of names) {
    const path = join(folder, name);
    const info = statSync(path, { throwIfNoEntry: false });
    if (rest.length === 0 && info?.isFile()) found.add(path);
    else if (rest.length > 0 && info?.isDirectory()) walk(path, rest, found);
  }
}

function list(folder: string) {
  try {
    return readdirSync(folder || '.', { withFileTypes: true });
  } catch {
    return []; // a folder that cannot be listed matches nothing
  }
}

function matches(part: string, name: string): boolean {
  if (name.startsWith('.') && !part.startsWith('.')) return false;
  const source = part
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${source}$`, 'su').test(name);
}
