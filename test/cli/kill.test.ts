// kill -9 at random moments: the resumed run ends with the same bytes as the uninterrupted one.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { makeStickers } from '../../src/data/make.js';
import { generator } from '../../src/layers/initializers.js';
import { cliPath } from './dlcourse.js';

const KILLS = 20;
const work = mkdtempSync(join(tmpdir(), 'dlcourse-kill-'));
const data = join(work, 'data');

beforeAll(() => makeStickers({ out: data, train: 60, test: 20, size: 16, seed: 5 }));
afterAll(() => rmSync(work, { recursive: true, force: true }));

interface Ended {
  killed: boolean;
  status: number | null;
  errors: string;
}

/** Runs `dlcourse train`, killing it after `milliseconds` if that is given. */
function train(args: readonly string[], milliseconds?: number): Promise<Ended> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, [cliPath, 'train', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, DLCOURSE_CACHE: join(work, 'cache') },
    });
    let errors = '';
    child.stderr.on('data', text => {
      errors += text;
    });
    const timer = milliseconds === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), milliseconds);
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      resolve({ killed: signal === 'SIGKILL', status, errors });
    });
  });
}

/** Fresh runs save after every step, and augment, drop and shuffle. */
const fresh = (folder: string): string[] => [
  ...['--data', data, '--model', 'resnet20', '--epochs', '3', '--batch-size', '6', '--lr', '0.02', '--seed', '7'],
  ...['--augment', 'crop=2,flip,cutout=0.3', '--ema', '0.9', '--save-every', '1', '--out', folder, '-q'],
];

/** What must not depend on interruptions: the newest checkpoint, the final model, and the log without its clock. */
function lasting(folder: string): { checkpoint: Buffer; model: Buffer; log: unknown[] } {
  const checkpoints = join(folder, 'checkpoints');
  const newest = readdirSync(checkpoints)
    .filter(name => name.endsWith('.safetensors'))
    .sort()
    .at(-1)!;
  const log = readFileSync(join(folder, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map(line => {
      const { seconds, imagesPerSecond, ...rest } = JSON.parse(line);
      expect([seconds, imagesPerSecond]).toEqual([expect.any(Number), expect.any(Number)]);
      return rest;
    });
  return {
    checkpoint: readFileSync(join(checkpoints, newest)),
    model: readFileSync(join(folder, 'model.safetensors')),
    log,
  };
}

test(`${KILLS} kills at random moments change nothing`, async () => {
  const whole = join(work, 'whole');
  expect(await train(fresh(whole))).toMatchObject({ status: 0 });
  const expected = lasting(whole);
  expect(expected.log).toHaveLength(3);

  const random = generator(Date.now(), 'kills');
  let kills = 0;
  for (let round = 0; kills < KILLS; round++) {
    const folder = join(work, `killed-${round}`);
    for (let finished = false; !finished; ) {
      const started =
        existsSync(join(folder, 'checkpoints')) &&
        readdirSync(join(folder, 'checkpoints')).some(n => n.startsWith('checkpoint-'));
      if (!started) rmSync(folder, { recursive: true, force: true });
      // Before the first checkpoint there is nothing to resume: the run begins again.
      const ended = await train(started ? ['--resume', folder, '-q'] : fresh(folder), 200 + 1500 * random());
      if (ended.killed) kills++;
      else expect(ended).toEqual({ killed: false, status: 0, errors: expect.any(String) });
      finished = !ended.killed;
    }
    const got = lasting(folder);
    expect(got.log).toEqual(expected.log);
    expect(got.checkpoint.equals(expected.checkpoint)).toBe(true);
    expect(got.model.equals(expected.model)).toBe(true);
  }
}, 300_000);
