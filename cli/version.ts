// The version of the package.

import { readFileSync } from 'node:fs';

/** From package.json: this file lies in dist/cli. */
export function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
