#!/usr/bin/env node
// The command line: parse, run, and end with a documented status.

import * as module from 'node:module';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { cacheFolder } from '../src/data/locations.js';
import { CheckFailed, failureOf } from './failure.js';
import { received } from './interrupt.js';
import { program } from './program.js';

// `dlcourse models | head`: a reader that has enough is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 74));
}

const asked = (flag: string): boolean => process.argv.includes(flag);

process.on('uncaughtException', end);
void main();

async function main(): Promise<void> {
  // Node 22.8 and newer keep what V8 made of the packages that are loaded from here on.
  const { enableCompileCache } = module as { enableCompileCache?: (folder: string) => unknown };
  enableCompileCache?.(join(cacheFolder(), 'compiled'));
  try {
    await (await program(process.argv.slice(2))).parseAsync();
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) process.exit(0);
    (await import('./ui.js')).clearLive();
    if (asked('--debug')) console.error(error);
    end(error);
  }
}

/** Says what failed, and ends: work that is still under way must not hold the process. */
function end(error: unknown): never {
  const failure = failureOf(error);
  const exit = received()?.status ?? failure.exit;
  process.stderr.write(`dlcourse: ${failure.message}\n`);
  if (asked('--json')) {
    const result = error instanceof CheckFailed ? error.result : {};
    process.stdout.write(`${JSON.stringify({ ...result, error: { ...failure, exit } })}\n`);
  }
  process.exit(exit);
}
