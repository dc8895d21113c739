// Where the package lies.

import { join } from 'node:path';

/** The folder of package.json: this file lies in dist/src, the program that it is part of in dist/bin. */
export const packageRoot = join(import.meta.dirname, '..', '..');
