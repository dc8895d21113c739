// sharp, when the first picture needs it: commands and programs that have none start sooner.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import type sharp from 'sharp';
import { packageRoot } from '../package.js';

const require = createRequire(join(packageRoot, 'package.json'));

/** Its CommonJS form, which is loaded in a third of the time that its ES modules take. */
export const loadSharp = (): typeof sharp => require('sharp') as typeof sharp;
