// Many environments: worker threads that load the addon, are stopped in the middle of runs, and come again.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from '@jest/globals';
import { native } from '../../src/native.js';
import { bind, request } from './plans.js';

const program = fileURLToPath(new URL('./worker.js', import.meta.url));
const committed = [2, 2, 2, 2, 2];

const start = (what: string): { worker: Worker; first: Promise<unknown>; end: Promise<number> } => {
  const worker = new Worker(program, { workerData: what });
  return {
    worker,
    first: new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject)),
    end: new Promise(resolve => worker.once('exit', resolve)),
  };
};

describe('worker threads', () => {
  test('load, run and end, 24 times', async () => {
    for (let round = 0; round < 6; round++) {
      const four = [1, 2, 3, 4].map(() => start('once'));
      for (const { first } of four) expect(await first).toEqual(committed);
      for (const { end } of four) expect(await end).toBe(0);
    }
  });

  test('are stopped in the middle of runs while others go on', async () => {
    const { executable, store } = bind(native());
    let stop = false;
    const here = (async () => {
      while (!stop) await native().run(executable, request());
    })();
    for (let round = 0; round < 8; round++) {
      const three = [start('busy'), start('busy'), start('busy')];
      for (const { first } of three) expect(await first).toEqual(committed);
      await new Promise(resolve => setTimeout(resolve, 3 * round));
      for (const { worker } of three) worker.terminate();
      for (const { end } of three) expect(await end).toBe(1);
    }
    stop = true;
    await here;
    expect([...native().readState(store, 'b')]).toEqual(committed);
  });

  test('give their memory back', async () => {
    const live = async (): Promise<number> => {
      const { first, end } = start('once');
      await first;
      await end;
      return native().info().liveBytes;
    };
    const before = await live();
    for (let i = 0; i < 4; i++) expect(await live()).toBeLessThanOrEqual(before);
  });
});

test.each([
  ['once', 0],
  ['leave', 7],
])('a process that does `%s` exits with %d, every time', async (what, code) => {
  for (let i = 0; i < 6; i++) {
    const child = spawn(process.execPath, [program, what], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', chunk => {
      said += chunk;
    });
    const [status, signal] = await new Promise<[number | null, string | null]>(resolve =>
      child.once('exit', (...ended) => resolve(ended)),
    );
    expect([status, signal, said]).toEqual([code, null, '']);
  }
});
