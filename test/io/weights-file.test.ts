// Weights by the names of their network: containers, prefixes, shards, kinds of file.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { writePytorch } from '../../src/io/pytorch-writer.js';
import { encodeSafetensors, type TensorSource } from '../../src/io/safetensors.js';
import { openWeights, unwrap, weightsKind } from '../../src/io/weights-file.js';
import { errorOf, fixture } from './fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'weights-'));
afterAll(() => rmSync(folder, { recursive: true }));

const f32 = (name: string, ...values: number[]): TensorSource => ({
  name,
  dtype: 'F32',
  shape: [values.length],
  data: Float32Array.from(values),
});
const put = (name: string, bytes: Uint8Array): string => {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
};
const safetensors = (name: string, ...tensors: TensorSource[]): string =>
  put(name, encodeSafetensors(tensors, [], name));

describe('containers and prefixes', () => {
  const cases: [names: string[], prefix: string, others?: string[]][] = [
    [['conv1.weight', 'fc.bias'], ''],
    [['module.conv1.weight', 'module.fc.bias'], 'module.'],
    [['state_dict.module.conv1.weight', 'state_dict.module.fc.bias'], 'state_dict.module.'],
    [['_orig_mod.module.conv1.weight', '_orig_mod.module.fc.bias'], '_orig_mod.module.'],
    [['net.conv1.weight', 'net.fc.bias'], 'net.'],
    [['backbone.conv1.weight', 'backbone.fc.bias'], 'backbone.'],
    // A head beside the backbone: nothing is shared by all.
    [['backbone.conv1.weight', 'fc.bias'], ''],
    [['model.conv1.weight', 'head.bias'], ''],
    [['state_dict.conv1.weight', 'state_dict_ema.conv1.weight'], 'state_dict.', ['state_dict_ema']],
    [['ema.module.conv1.weight', 'model.conv1.weight', 'optimizer.state.0.exp_avg'], 'model.', ['ema']],
    [['model_ema.conv1.weight', 'optimizer.state.0.exp_avg'], 'model_ema.'],
    [['epoch', 'best_acc1', 'state_dict.conv1.weight'], 'state_dict.'],
    [['n_averaged', 'module.conv1.weight'], 'module.'],
    [['weight', 'module.weight'], ''],
    [['w'], ''],
    [[], ''],
  ];
  for (const [names, prefix, others = []] of cases) {
    test(`${names.join(' ') || 'nothing'}`, () => expect(unwrap(names, undefined, 'x')).toEqual({ prefix, others }));
  }

  test('the part that was asked for', () => {
    const names = ['state_dict.conv1.weight', 'state_dict_ema.module.conv1.weight'];
    expect(unwrap(names, 'state_dict_ema', 'x')).toEqual({ prefix: 'state_dict_ema.module.', others: ['state_dict'] });
    expect(() => unwrap(names, 'ema', 'x')).toThrow("x: expected tensors in 'ema', got none; choose one of state_dict");
    expect(() => unwrap(names, 'state_dict_emo', 'x')).toThrow("did you mean 'state_dict_ema'?");
  });
});

describe('kinds of file', () => {
  test('by content, whatever the name', async () => {
    const path = (name: string) => put(`${name}.bin`, fixture(name));
    for (const name of ['pytorch.pt', 'pytorch-legacy.pt', 'pytorch-zip64.pt']) {
      expect(await weightsKind(path(name))).toBe('pytorch');
    }
    expect(await weightsKind(path('reference.safetensors'))).toBe('safetensors');
  });

  test('a safetensors header whose length begins with the byte of a pickle', async () => {
    // 0x80: the header is padded to multiples of eight, so some length of name meets it.
    for (let length = 1; length < 400; length++) {
      const bytes = encodeSafetensors([f32('n'.repeat(length), 1)], [], 'x');
      if (bytes[0] !== 0x80) continue;
      const file = await openWeights([put('long.safetensors', bytes)]);
      expect([...(await file.float32('n'.repeat(length)))]).toEqual([1]);
      return file.close();
    }
    throw new Error('expected such a length');
  });
});

describe('tensors', () => {
  test('of both kinds, converted to 32 bits', async () => {
    const half = { name: 'model.h', dtype: 'F16', shape: [2], data: Uint16Array.of(0x3e00, 0xc000) } as const;
    const wide = { name: 'model.d', dtype: 'F64', shape: [1], data: Float64Array.of(0.1) } as const;
    const brain = { name: 'model.b', dtype: 'BF16', shape: [1], data: Uint16Array.of(0x3fc0) } as const;
    const count = { name: 'model.n', dtype: 'I64', shape: [], data: BigInt64Array.of(3n) } as const;
    const pytorch = join(folder, 'all.pth');
    await writePytorch(pytorch, [half, wide, brain, count]);
    for (const path of [safetensors('all.safetensors', half, wide, brain, count), pytorch]) {
      const file = await openWeights([path]);
      expect(file.prefix).toBe('model.');
      expect([...(await file.float32('h'))]).toEqual([1.5, -2]);
      expect([...(await file.float32('d'))]).toEqual([Math.fround(0.1)]);
      expect([...(await file.float32('b'))]).toEqual([1.5]);
      expect(file.tensors.get('n')).toEqual({ name: 'n', dtype: 'I64', shape: [] });
      expect((await errorOf(() => file.float32('n'))).code).toMatch(/^E_(WEIGHTS|PYTORCH)_DTYPE$/);
      await file.close();
    }
  });

  test('of shards together; one in two files is an error', async () => {
    const [a, b] = [safetensors('a.safetensors', f32('x', 1)), safetensors('b.safetensors', f32('y', 2))];
    const file = await openWeights([a, b]);
    expect([...file.tensors.keys()]).toEqual(['x', 'y']);
    expect([...(await file.float32('y'))]).toEqual([2]);
    await file.close();
    const error = await errorOf(() => openWeights([a, b, a]));
    expect(error.code).toBe('E_WEIGHTS_SHARDS');
  });
});
