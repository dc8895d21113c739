// Checks the format of the C++ sources with clang-format, where that is installed: `npm run check:format`.

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package.js';

const native = join(packageRoot, 'native');
const files = readdirSync(native, { recursive: true, encoding: 'utf8' })
  .filter(name => /\.(cc|h)$/.test(name))
  .map(name => join(native, name));
const fix = process.argv.includes('--fix');
const run = spawnSync('clang-format', [...(fix ? ['-i'] : ['--dry-run', '--Werror']), ...files], { stdio: 'inherit' });
if (run.error) console.error('clang-format is not installed: the format of the C++ sources was not checked');
else process.exitCode = run.status ?? 1;
