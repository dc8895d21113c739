// Which version something was measured or trained with.

import { execFileSync } from 'node:child_process';
import { packageRoot } from '../../src/package.js';

/** The commit that is checked out, marked where what computes has been changed since. */
export function currentCommit(): string {
  const git = (...args: string[]) => execFileSync('git', ['-C', packageRoot, ...args], { encoding: 'utf8' }).trim();
  const changed = git('status', '--porcelain', '--', 'native', 'src', 'cli', 'package.json');
  return `${git('rev-parse', '--short', 'HEAD')}${changed ? ' with changes' : ''}`;
}
