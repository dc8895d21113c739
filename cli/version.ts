// The version of the package.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../src/package.js';

/** From package.json. */
export const version = (): string =>
  (JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }).version;
