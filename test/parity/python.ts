// The Python side as a process that answers requests: reference.py in an environment of its own, outside the tree.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from '../../src/native.js';

const folder = join(packageRoot(), 'test/parity');

/** DLCOURSE_PYTHON, or that of a virtual environment in the cache folder, made when it is not there. */
function interpreter(): string {
  const given = process.env['DLCOURSE_PYTHON'];
  if (given) return given;
  const environment = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'dlcourse/parity');
  const python = join(environment, 'bin/python');
  const ready = join(environment, 'ready');
  if (!existsSync(ready)) {
    console.error(`making ${environment}: PyTorch, torchvision and timm, once (set DLCOURSE_PYTHON to use your own)`);
    const run = (command: string, ...args: string[]) => execFileSync(command, args, { stdio: ['ignore', 2, 2] });
    run('python3', '-m', 'venv', environment);
    run(python, '-m', 'pip', 'install', '--quiet', '--requirement', join(folder, 'requirements.txt'));
    run('touch', ready);
  }
  return python;
}

/** Asks one request at a time. */
export class Python {
  readonly #process = spawn(interpreter(), [join(folder, 'reference.py')], {
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
