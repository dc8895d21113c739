// The Python side: an environment of its own, outside the tree, and reference.py as a process that answers requests.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from '../../src/package.js';

/** Where the descriptions of networks are imported from. */
export const pythonPath = join(packageRoot, 'test/parity');

/** Where what the Python side needs is kept from run to run. */
export const pythonCache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'dlcourse');

/**
 * DLCOURSE_PYTHON, or that of a virtual environment in the cache folder, which is made when it is not there, and again
 * when requirements.txt has changed.
 */
export function interpreter(): string {
  const given = process.env['DLCOURSE_PYTHON'];
  if (given) return given;
  const environment = join(pythonCache, 'python');
  const python = join(environment, 'bin/python');
  const ready = join(environment, 'requirements.txt');
  const file = join(pythonPath, 'requirements.txt');
  const wanted = readFileSync(file, 'utf8');
  if (!existsSync(ready) || readFileSync(ready, 'utf8') !== wanted) {
    console.error(`making ${environment}: PyTorch and its kin, once (set DLCOURSE_PYTHON to use your own)`);
    const run = (command: string, ...args: string[]) => execFileSync(command, args, { stdio: ['ignore', 2, 2] });
    run('python3', '-m', 'venv', environment);
    run(python, '-m', 'pip', 'install', '--quiet', '--requirement', file);
    writeFileSync(ready, wanted);
  }
  return python;
}

/** Asks one request at a time. */
export class Python {
  readonly #process = spawn(interpreter(), [join(pythonPath, 'reference.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
  });
  readonly #lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();

  async ask<Answer>(request: Record<string, unknown>): Promise<Answer> {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`reference.py ended without an answer to ${JSON.stringify(request)}`);
    return JSON.parse(value) as Answer;
  }

  end(): void {
    this.#process.stdin.end();
  }
}
