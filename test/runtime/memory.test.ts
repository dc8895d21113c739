// Memory: what is stated is what the engine takes, and what does not fit is refused before anything is computed.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { DlcourseError } from '../../src/errors.js';
import { rows } from '../../src/graph/graph.js';
import { conv2d, globalAvgPool, linear, Model, relu, seq } from '../../src/layers/index.js';
import { defineState } from '../../src/models/weights.js';
import { native } from '../../src/native.js';
import { bytesWith, controlGroupLimit, memoryLimit } from '../../src/runtime/memory.js';
import { Program, Store } from '../../src/runtime/program.js';
import { evaluationGraph } from '../../src/train/evaluation.js';
import { ArraySource } from '../../src/train/inputs.js';
import { makeRecipe, type Recipe } from '../../src/train/recipe.js';
import { Training } from '../../src/train/training.js';
import { buildNetwork } from '../../src/zoo/zoo.js';

const MIB = 2 ** 20;

setFlagsFromString('--expose-gc');
const collectNow = runInNewContext('gc') as () => void;

/** Frees what earlier tests of this process have left, so that nothing is freed while something is measured. */
async function collect(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    collectNow();
    // Finalizers run on a later turn of the event loop.
    await setImmediate();
  }
}

/** Nothing may be collected while others are measured. */
const kept: Training[] = [];
/** Value of every pixel. */
let input = 0;

function training(model: Model, given: Partial<Recipe>): Training {
  const [height, width, channels] = model.inputShape() as [number, number, number];
  const recipe = makeRecipe({ epochs: 3, lr: 0.01, ...given });
  const count = recipe.batchSize;
  const source = new ArraySource(
    new Float32Array(count * height * width * channels).fill(input),
    [height, width, channels],
    new Int32Array(count),
  );
  const one = new Training({ model, store: new Store(), recipe, train: source, test: source });
  kept.push(one);
  return one;
}

describe('stated memory', () => {
  test.each<[string, Partial<Recipe>]>([
    ['resnet20', { batchSize: 8 }],
    ['resnet20', { batchSize: 8, threads: 3, checkpointActivations: true, exact: true }],
    ['resnet20', { batchSize: 16, accumulate: 2, ema: 0.9, optimizer: 'adam' }],
    ['mobilenet_v2', { batchSize: 4, freeze: 'backbone', unfreezeAfter: 1 }],
  ])('%s %j: the engine takes as much, to the byte', async (name, recipe) => {
    await collect();
    const before = native().info().liveBytes;
    const one = training(await buildNetwork(name, [32, 32, 3], 10, { form: 'cifar' }), recipe);
    while (!one.done) {
      await one.step();
      if (!one.epochDone) continue;
      await one.evaluate();
      one.endEpoch();
    }
    expect(native().info().liveBytes - before).toBe(one.memoryBytes);
  });
});

describe('a training that is too large', () => {
  const given = process.env['DLCOURSE_MEMORY'];
  beforeEach(() => {
    delete process.env['DLCOURSE_MEMORY'];
  });
  afterEach(() => {
    if (given === undefined) delete process.env['DLCOURSE_MEMORY'];
    else process.env['DLCOURSE_MEMORY'] = given;
  });

  const network = (side: number): Model => {
    const layers = Array.from({ length: 6 }, (_, i) => [`conv${i}`, seq(conv2d(96, 3), relu())]);
    const head = { pool: globalAvgPool(), fc: linear(10) };
    return Model.from([side, side, 3], seq({ ...Object.fromEntries(layers), ...head }), 'wide');
  };
  /** Some 40 MiB a picture. */
  const wide = network(128);
  const limit = (mebibytes: number): void => {
    process.env['DLCOURSE_MEMORY'] = `${mebibytes}M`;
  };
  const refusal = (recipe: Partial<Recipe>): DlcourseError => {
    try {
      training(wide, recipe);
    } catch (error) {
      return error as DlcourseError;
    }
    throw new Error('was not refused');
  };
  const largest = ({ hint }: DlcourseError): number => Number(/largest batch size that fits is (\d+)/.exec(hint!)?.[1]);

  test('is refused with the largest batch that fits, which then does', () => {
    limit(1024);
    const error = refusal({ batchSize: 64 });
    expect(error).toMatchObject({ code: 'E_MEMORY', class: 'resources', exitStatus: 71 });
    expect(error.message).toMatch(
      /^training wide on batches of 64: expected to need at most 1,024 MiB of memory in all, got \d,\d{3} MiB; /,
    );
    const fits = largest(error);
    expect(fits).toBeGreaterThan(4);
    // What JavaScript holds changes a little from one to the next.
    training(wide, { batchSize: fits - 1 });
    expect(refusal({ batchSize: fits + 2 }).code).toBe('E_MEMORY');
    // A limit twice as high lets more than twice as much through: the rest does not grow with the batch.
    limit(2048);
    expect(largest(refusal({ batchSize: 64 }))).toBeGreaterThanOrEqual(2 * fits);
  });

  test('micro-batches and checkpoints make it smaller, and the advice takes them into account', () => {
    limit(1024);
    const fits = largest(refusal({ batchSize: 64 }));
    const accumulated = largest(refusal({ batchSize: 64, accumulate: 2 }));
    expect(accumulated).toBeGreaterThan(1.6 * fits);
    training(wide, { batchSize: 64, accumulate: 16 });
    const less = refusal({ batchSize: 64, checkpointActivations: true });
    expect(largest(less)).toBeGreaterThan(fits);
    expect(less.hint).not.toContain('--checkpoint-activations');
  });

  test('that diverges where there is no room to look at every layer says so without one', async () => {
    const recipe = { batchSize: 24, checkpointActivations: true } as const;
    const nan = () => training(network(32), recipe).step();
    input = Number.NaN;
    await expect(nan()).rejects.toMatchObject({ code: 'E_DIVERGED', where: expect.stringMatching(/^input x/) });
    const { memoryBytes } = training(network(32), recipe);
    await collect();
    limit(Math.ceil(bytesWith(memoryBytes) / MIB) + 12);
    await expect(nan()).rejects.toMatchObject({ code: 'E_DIVERGED', where: 'training' });
    input = 0;
  });

  test('and a program that only evaluates is, too', async () => {
    const store = new Store();
    defineState(store, wide.state, 1);
    const compiled = (batch: number) => {
      const graph = evaluationGraph(wide, g => g.feed('x', rows(wide.inputShape())));
      return new Program(graph, { batch, store, threads: 2 });
    };
    await collect();
    limit(Math.ceil(bytesWith(0) / MIB) + 256);
    let fits = 0;
    try {
      compiled(1024);
    } catch (error) {
      expect(error).toMatchObject({ code: 'E_MEMORY', where: 'batches of 1024' });
      fits = largest(error as DlcourseError);
    }
    expect(fits).toBeGreaterThan(8);
    // What JavaScript holds changes from one to the next.
    compiled(Math.floor(0.75 * fits)).dispose();
    expect(() => compiled(Math.ceil(1.25 * fits))).toThrow('the largest batch size that fits is');
    limit(10);
    expect(() => compiled(2)).toThrow('not even a batch of one fits');
  });

  test('not even one', () => {
    limit(60);
    expect(refusal({ batchSize: 8 }).hint).toMatch(/^not even a batch of one fits; /);
  });
});

describe('the limit', () => {
  const root = mkdtempSync(join(tmpdir(), 'memory-'));
  afterEach(() => rmSync(root, { recursive: true, force: true }));
  const files = (content: Record<string, string>): void => {
    for (const [name, text] of Object.entries(content)) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), text);
    }
  };

  test('is 90 % of the machine at most, or what DLCOURSE_MEMORY says', () => {
    expect(memoryLimit({})).toBeLessThanOrEqual(0.9 * totalmem());
    expect(memoryLimit({ DLCOURSE_MEMORY: '' })).toBe(memoryLimit({}));
    expect(memoryLimit({ DLCOURSE_MEMORY: '1000' })).toBe(1000);
    expect(memoryLimit({ DLCOURSE_MEMORY: '512M' })).toBe(512 * MIB);
    expect(memoryLimit({ DLCOURSE_MEMORY: '1.5g' })).toBe(1536 * MIB);
    for (const wrong of ['0', '-1', '1 G', 'many', '1GB', '1e9']) {
      expect(() => memoryLimit({ DLCOURSE_MEMORY: wrong })).toThrow(
        'DLCOURSE_MEMORY: expected bytes such as 8G or 512M',
      );
    }
  });

  test('of a control group of version 2, the least of it and those around it', () => {
    files({
      'proc/self/cgroup': '0::/outer/inner\n',
      'sys/fs/cgroup/outer/inner/memory.max': 'max\n',
      'sys/fs/cgroup/outer/memory.max': '1073741824\n',
    });
    expect(controlGroupLimit(root)).toBe(1024 * MIB);
    files({ 'sys/fs/cgroup/outer/inner/memory.max': '536870912\n' });
    expect(controlGroupLimit(root)).toBe(512 * MIB);
  });

  test('of a container that sees its own group as the root', () => {
    files({ 'proc/self/cgroup': '0::/docker/abc\n', 'sys/fs/cgroup/memory.max': '268435456\n' });
    expect(controlGroupLimit(root)).toBe(256 * MIB);
  });

  test('of a control group of version 1', () => {
    files({
      'proc/self/cgroup': '12:cpu,cpuacct:/a\n5:memory:/a/b\n1:name=systemd:/a:b\n0::/x\n',
      'sys/fs/cgroup/memory/a/b/memory.limit_in_bytes': '134217728\n',
      'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
      'sys/fs/cgroup/cpu,cpuacct/a/memory.limit_in_bytes': '1\n',
    });
    expect(controlGroupLimit(root)).toBe(128 * MIB);
  });

  test('none without control groups', () => {
    expect(controlGroupLimit(root)).toBe(Number.POSITIVE_INFINITY);
    files({ 'proc/self/cgroup': 'nonsense\n0::/\n' });
    expect(controlGroupLimit(root)).toBe(Number.POSITIVE_INFINITY);
  });
});
