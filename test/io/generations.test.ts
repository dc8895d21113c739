import { beforeEach, describe, expect, test } from '@jest/globals';
import { DlcourseError } from '../../src/errors.js';
import {
  Generations,
  generationName,
  listGenerations,
  newestCheckpoint,
  requireCheckpoint,
} from '../../src/io/generations.js';
import { decodeSafetensors, type TensorSource } from '../../src/io/safetensors.js';
import { FakeFileSystem, type Faults, type PowerCut } from './fake-filesystem.js';
import { errorOf } from './fixture.js';

const folder = 'run';
const pathOf = (step: number) => `${folder}/${generationName(step)}`;

function tensorsOf(step: number): TensorSource[] {
  return [
    { name: 'w', dtype: 'F32', shape: [40], data: new Float32Array(40).fill(step) },
    { name: 'm', dtype: 'F32', shape: [8], data: new Float32Array(8).fill(-step) },
  ];
}

function save(generations: Generations, step: number) {
  return generations.save(step, tensorsOf(step), [['step', String(step)]]);
}

/** A run that has saved steps 10 and 20. */
async function twoGenerations(): Promise<FakeFileSystem> {
  const fs = new FakeFileSystem();
  const generations = new Generations(folder, { fs });
  await save(generations, 10);
  await save(generations, 20);
  return fs;
}

/** The step of the newest intact checkpoint, whose content must be the one saved for that step. */
async function newestStep(fs: FakeFileSystem): Promise<number | undefined> {
  const { generation } = await newestCheckpoint(folder, fs);
  if (!generation) return undefined;
  const { tensors, metadata } = decodeSafetensors(fs.content(generation.path)!, 'x');
  expect(metadata.get('step')).toBe(String(generation.step));
  expect([...tensors.get('w')!.data]).toEqual(Array(40).fill(generation.step));
  return generation.step;
}

async function intactCount(fs: FakeFileSystem): Promise<number> {
  let count = 0;
  for (const { path } of await listGenerations(folder, fs)) {
    try {
      decodeSafetensors(fs.content(path)!, 'x');
      count++;
    } catch {}
  }
  return count;
}

/** Runs `check` for a third save with the fault at its first, second, … operation, until it meets none. */
async function atEveryOperation(
  faults: Omit<Faults, 'at'>,
  check: (fs: FakeFileSystem, outcome: { error?: unknown }, operation: string) => Promise<void>,
): Promise<number> {
  const start = await twoGenerations();
  for (let at = 1; ; at++) {
    const fs = start.restart();
    fs.faults = { ...faults, at };
    const outcome = await save(new Generations(folder, { fs }), 30).then(
      () => ({}),
      error => ({ error }),
    );
    const reached = fs.operations.length >= at;
    const operation = `${at}: ${fs.operations[at - 1]}`;
    fs.faults = {};
    if (!reached) return at - 1;
    await check(fs, outcome, operation);
  }
}

describe('a save that fails at its N-th operation, for every N', () => {
  test.each(['EIO', 'ENOSPC', 'EACCES'] as const)('%s: reported, nothing lost, nothing left behind', async code => {
    const operations = await atEveryOperation({ with: code }, async (fs, { error }, operation) => {
      expect([operation, await newestStep(fs)]).toEqual([operation, expect.any(Number)]);
      expect(await newestStep(fs)).toBeGreaterThanOrEqual(20);
      expect(await intactCount(fs)).toBeGreaterThanOrEqual(2);
      expect(fs.list().filter(name => name.endsWith('.tmp'))).toEqual([]);
      if (!error) {
        // Closing what was only read, and looking for older generations to remove once this one is down.
        expect(operation).toMatch(/close|open 2048|fstat|read/);
        expect(await newestStep(fs.cutPower({ names: 'lost', bytes: 'lost' }))).toBe(30);
      } else {
        expect(error).toBeInstanceOf(DlcourseError);
        const saved = (await newestStep(fs)) === 30;
        if (!saved) expect(error).toMatchObject({ code: 'E_WRITE', class: code === 'EACCES' ? 'permission' : 'write' });
      }
    });
    expect(operations).toBeGreaterThan(10);
  });

  test('short writes of 7 bytes are completed', async () => {
    const fs = await twoGenerations();
    fs.faults = { longestWrite: 7 };
    await save(new Generations(folder, { fs }), 30);
    expect(await newestStep(fs)).toBe(30);
    expect(fs.operations.filter(name => name === 'write').length).toBeGreaterThan(30);
  });

  test('short writes that end in ENOSPC are reported', async () => {
    await atEveryOperation({ with: 'ENOSPC', longestWrite: 50 }, async (fs, { error }, operation) => {
      if (operation.endsWith(': write')) expect(error).toMatchObject({ code: 'E_WRITE', class: 'write' });
      expect(await newestStep(fs)).toBeGreaterThanOrEqual(20);
    });
  });

  test('a write that makes no progress is an error, not an endless loop', async () => {
    const fs = await twoGenerations();
    fs.faults = { longestWrite: 0 };
    expect(await errorOf(() => save(new Generations(folder, { fs }), 30))).toMatchObject({ code: 'E_WRITE' });
  });

  test('after a failed fsync there is neither a second one nor a rename', async () => {
    await atEveryOperation({ with: 'EIO' }, async (fs, { error }, operation) => {
      if (!operation.endsWith(': fsync')) return;
      expect(error).toMatchObject({ code: 'E_WRITE', class: 'write' });
      expect(fs.operations.filter(name => name.startsWith('fsync') || name === 'rename')).toEqual(['fsync']);
    });
  });
});

describe('a process killed at its N-th operation, for every N', () => {
  test.each(['kill before', 'kill after'] as const)('%s: the next process finds a complete checkpoint', async kill => {
    await atEveryOperation({ with: kill, longestWrite: 300 }, async (fs, { error }, operation) => {
      expect([operation, error]).toEqual([operation, expect.any(Error)]);
      const next = fs.restart();
      expect(await newestStep(next)).toBeGreaterThanOrEqual(20);
      expect(await intactCount(next)).toBeGreaterThanOrEqual(2);
      await save(new Generations(folder, { fs: next }), 30);
      expect(await newestStep(next)).toBe(30);
      expect(next.list()).toEqual([generationName(20), generationName(30)]); // the temporary file is gone too
    });
  });

  const cuts: PowerCut[] = (['lost', 'kept'] as const).flatMap(names =>
    (['lost', 'halved', 'kept'] as const).map(bytes => ({ names, bytes })),
  );
  test.each(cuts)('a power cut with names $names and unflushed bytes $bytes loses no announced save', async cut => {
    for (const kill of ['kill before', 'kill after'] as const) {
      await atEveryOperation({ with: kill, longestWrite: 300 }, async (fs, _, operation) => {
        const after = fs.cutPower(cut);
        expect([operation, await newestStep(after)]).toEqual([operation, expect.any(Number)]);
        // Step 30 is announced once its save resolves: the removal of step 10 comes after its bytes and name are down.
        const announced = fs.operations.includes('fsync folder') && fs.operations.at(-1) !== 'fsync folder';
        expect(await newestStep(after)).toBeGreaterThanOrEqual(announced ? 30 : 20);
      });
    }
  });
});

describe('the newest checkpoint', () => {
  let fs: FakeFileSystem;
  beforeEach(async () => {
    fs = await twoGenerations();
  });
  const damage = (step: number) => {
    const bytes = fs.content(pathOf(step))!.slice();
    bytes[bytes.length - 1] ^= 1;
    fs.put(pathOf(step), bytes);
  };

  test('is found by the number in its name, not by its text or age', async () => {
    await save(new Generations(folder, { fs, keep: 9 }), 5);
    fs.put(`${folder}/checkpoint-000000007.safetensors`, fs.content(pathOf(5))!);
    for (const name of ['checkpoint-99.safetensors.bak', 'checkpoint-.safetensors', 'checkpoint-1e3.safetensors']) {
      fs.put(`${folder}/${name}`, new Uint8Array(0));
    }
    expect((await listGenerations(folder, fs)).map(g => g.step)).toEqual([20, 10, 7, 5]);
    expect(await newestStep(fs)).toBe(20);
  });

  test('skips damaged ones and says why', async () => {
    damage(20);
    fs.put(pathOf(30), new Uint8Array(3));
    const { generation, damaged } = await newestCheckpoint(folder, fs);
    expect(generation).toEqual({ path: pathOf(10), step: 10 });
    expect(damaged.map(({ step, error }) => [step, error.code, error.class])).toEqual([
      [30, 'E_SAFETENSORS_SIZE', 'refusedFile'],
      [20, 'E_SAFETENSORS_CHECKSUM', 'integrity'],
    ]);
    expect(damaged[1].error.message).toContain("tensor 'm'");
  });

  test('a file without checksums is no checkpoint', async () => {
    fs.put(pathOf(30), Buffer.from('\x02\0\0\0\0\0\0\0{}', 'latin1'));
    expect((await newestCheckpoint(folder, fs)).generation?.step).toBe(20);
  });

  test('running out of file descriptors is not taken for damage', async () => {
    fs.faults = { at: fs.operations.length + 2, with: 'EMFILE' as 'EIO' };
    expect(await errorOf(() => newestCheckpoint(folder, fs))).toMatchObject({ code: 'E_READ' });
  });

  test('requireCheckpoint tells an empty folder from one where all are damaged', async () => {
    expect(await errorOf(() => requireCheckpoint('empty', fs))).toMatchObject({
      code: 'E_NO_CHECKPOINT',
      class: 'notFound',
    });
    damage(10);
    damage(20);
    const error = await errorOf(() => requireCheckpoint(folder, fs));
    expect(error).toMatchObject({ code: 'E_NO_CHECKPOINT', class: 'integrity' });
    expect(error.message).toContain('2 damaged');
  });

  test('pruning keeps the newest good ones and never counts damaged ones', async () => {
    damage(20);
    const generations = new Generations(folder, { fs });
    await save(generations, 15);
    expect(fs.list()).toEqual([10, 15, 20].map(generationName)); // 20 stays as evidence, 10 because it is the second good one
    await save(generations, 20);
    expect(fs.list()).toEqual([15, 20].map(generationName));
  });

  test('going back to an earlier step removes the later ones, but never the last good one', async () => {
    const generations = new Generations(folder, { fs, keep: 3 });
    await save(generations, 30);
    expect(await errorOf(() => generations.removeAfter(5))).toMatchObject({ code: 'E_NO_CHECKPOINT' });
    damage(10);
    expect(await errorOf(() => generations.removeAfter(10))).toMatchObject({ code: 'E_NO_CHECKPOINT' });
    expect((await generations.removeAfter(20)).map(g => g.step)).toEqual([30]);
    expect(await newestStep(fs)).toBe(20);
  });

  test('fewer than two generations are refused', () => {
    expect(() => new Generations(folder, { keep: 1 })).toThrow('expected to keep at least 2, got 1');
  });
});
