// Runs the real command line in a process of its own.

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../../src/package.js';

/** The program as it is installed. */
export const cliPath = join(packageRoot, 'dist', 'bin', 'dlcourse.cjs');

export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

export interface SpawnOptions {
  cwd: string;
  env?: Record<string, string | undefined>;
  /** Called with the process whenever something came on stderr. */
  onStderr?: (text: string, child: ChildProcess) => void;
}

/** Runs `dlcourse` with a clean environment: no DLCOURSE_ settings, no colour wishes. */
export function dlcourse(args: readonly string[], { cwd, env = {}, onStderr }: SpawnOptions): Promise<Ended> {
  const inherited = Object.entries(process.env).filter(
    ([k]) => !/^(DLCOURSE_|NO_COLOR|FORCE_COLOR|CI$|NODE_OPTIONS)/.test(k),
  );
  const child = spawn(process.execPath, [cliPath, ...args], { cwd, env: { ...Object.fromEntries(inherited), ...env } });
  const ended: Ended = { status: null, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', text => {
    ended.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', text => {
    ended.stderr += text;
    onStderr?.(ended.stderr, child);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', status => resolve({ ...ended, status }));
  });
}
