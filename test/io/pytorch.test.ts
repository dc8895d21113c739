// Checkpoints of PyTorch against what PyTorch itself reads in them: fixtures/make_pytorch.py, and published weights.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { crc32 } from '../../src/io/crc32c.js';
import { openPytorch, type PytorchFile } from '../../src/io/pytorch.js';
import { errorOf, fixturePath } from './fixture.js';
import {
  fourFloats,
  legacyCheckpoint,
  legacyHeader,
  memoryFile,
  pickle,
  raw,
  stateDict,
  tensor,
  text,
  version,
  zip,
  zipCheckpoint,
} from './pytorch-files.js';

type Described = [dtype: string, shape: number[], values: string | string[]];

interface Reference {
  tensors: Record<string, Described>;
  scalars: Record<string, unknown>;
}
const referenceOf = (name: string): Reference => JSON.parse(readFileSync(fixturePath(name), 'utf8'));
const dtypeNames: Record<string, string> = {
  ...{ float32: 'F32', float16: 'F16', bfloat16: 'BF16', float64: 'F64', bool: 'BOOL' },
  ...{ int64: 'I64', int32: 'I32', int16: 'I16', int8: 'I8', uint8: 'U8' },
};

const open = (bytes: Uint8Array) => openPytorch('x.pt', { fs: memoryFile(bytes) });
const hex = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('hex');

const readAlike = [
  ['pytorch.pt', 'pytorch.json'],
  ['pytorch-legacy.pt', 'pytorch.json'],
  ['pytorch-tar.pt', 'pytorch-tar.json'],
] as const;

describe.each(readAlike)('%s', (name, said) => {
  const reference = referenceOf(said);

  test('every tensor and every scalar is what PyTorch reads', async () => {
    const file = await openPytorch(fixturePath(name));
    try {
      expect([...file.tensors.keys()]).toEqual(Object.keys(reference.tensors));
      for (const [path, [dtype, shape, values]] of Object.entries(reference.tensors)) {
        expect(file.tensors.get(path)).toMatchObject({ name: path, dtype: dtypeNames[dtype], shape });
        const read = await file.tensor(path);
        expect(read).toMatchObject({ name: path, dtype: dtypeNames[dtype], shape });
        if (typeof values === 'string') expect([path, hex(await file.float32(path))]).toEqual([path, values]);
        else expect([path, Array.from(read.data as ArrayLike<unknown>, String)]).toEqual([path, values]);
      }
      const scalars = Object.fromEntries(
        [...file.scalars].map(([path, value]) => [path, typeof value === 'bigint' ? String(value) : value]),
      );
      expect(scalars).toEqual(reference.scalars);
    } finally {
      await file.close();
    }
  });

  test('tied tensors look at one storage, and each has memory of its own', async () => {
    const file = await openPytorch(fixturePath(name));
    const [a, b, c] = ['base', 'tied', 'strided'].map(view => file.tensors.get(`views.${view}`)!);
    expect(a.storage).toBe(b.storage);
    expect(a.storage).toBe(c.storage);
    expect(c).toMatchObject({ offset: 1, stride: [12, 8, 1] });
    for (const path of ['views.base', 'views.strided']) {
      const first = await file.float32(path);
      const before = hex(first);
      first.fill(7);
      expect(hex(await file.float32(path))).toBe(before);
    }
    await file.close();
  });
});

test.each(['pytorch-tensor.pt', 'pytorch-zip64.pt'])('%s: a tensor alone has no name', async name => {
  const file = await openPytorch(fixturePath(name));
  expect([...file.tensors.keys()]).toEqual(['']);
  expect([...(await file.float32(''))]).toEqual([0, 1, 2]);
  await file.close();
});

test.each([
  ['pytorch-uint16.pt', 'E_PYTORCH_GLOBAL', "'torch._utils._rebuild_tensor_v3'"],
  ['pytorch-module.pt', 'E_PYTORCH_GLOBAL', "'torch.nn.modules.linear.Linear'"],
  ['pytorch-script.pt', 'E_PYTORCH_ZIP', "entry 'pytorch-script/code/"],
])('%s is refused with the reason', async (name, code, mention) => {
  const error = await errorOf(() => openPytorch(fixturePath(name)));
  expect(error).toMatchObject({ code, class: 'refusedFile' });
  expect(error.message).toContain(mention);
  expect(error.message).toContain('torch.save(model.state_dict(), path)');
});

describe('made by hand', () => {
  const values = async (file: PytorchFile, name = 'w') => [...(await file.float32(name))];

  test('archives with and without descriptors', async () => {
    const entries = [version, { name: 'x/data.pkl', content: stateDict() }, { name: 'x/data/0', content: fourFloats }];
    for (const descriptors of [true, false]) {
      expect(await values(await open(zip(entries, {}, descriptors)))).toEqual([1, 2, 3, 4]);
    }
  });

  test('the names and pairs that Python 2 wrote', async () => {
    const content = pickle('ccollections\nOrderedDict\n](](U\x01w', tensor(), 'ee\x85R');
    expect(await values(await open(legacyCheckpoint(content)))).toEqual([1, 2, 3, 4]);
  });

  test('the first form of _rebuild_tensor, with the None of old storages', async () => {
    const old = stateDict({ rebuild: 'torch._utils\n_rebuild_tensor', rest: '', view: 'N' });
    expect(await values(await open(legacyCheckpoint(old)))).toEqual([1, 2, 3, 4]);
  });

  test('integers of any length', async () => {
    const long = (...bytes: number[]) => raw('\x8a', Uint8Array.of(bytes.length, ...bytes));
    const content = pickle(
      ...[']', '(', long(), long(255), long(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f)],
      ...[long(0, 0, 0, 0, 0, 0, 0x20), long(...Array(254).fill(0), 1), 'e'],
    );
    const file = await open(zipCheckpoint(content));
    expect([...file.scalars.values()]).toEqual([0, -1, Number.MAX_SAFE_INTEGER, 2n ** 53n, 2n ** 2032n]);
  });

  test('legacy storages in another order than the tensors', async () => {
    const content = pickle('}(', text('a'), tensor({ key: '5' }), text('b'), tensor({ key: '7' }), 'u');
    const other = new Uint8Array(Float32Array.of(5, 6, 7, 8).buffer);
    const file = await open(
      legacyCheckpoint(content, [
        ['7', 4n, other],
        ['5', 4n, fourFloats],
      ]),
    );
    expect(await values(file, 'a')).toEqual([1, 2, 3, 4]);
    expect(await values(file, 'b')).toEqual([5, 6, 7, 8]);
  });

  test('the files of the hostile cases are valid but for their faults', async () => {
    expect((await open(zipCheckpoint(stateDict()))).tensors.size).toBe(1);
    expect((await open(legacyCheckpoint(stateDict(), undefined, legacyHeader()))).tensors.size).toBe(1);
    const order = { name: 'x/byteorder', content: raw('little') };
    expect((await open(zipCheckpoint(stateDict(), fourFloats, [order]))).tensors.size).toBe(1);
  });
});

test('unknown names and integers asked for as float32 are refused', async () => {
  const file = await openPytorch(fixturePath('pytorch.pt'));
  const missing = await errorOf(() => file.tensor('model.0.weigth'));
  expect(missing).toMatchObject({ code: 'E_PYTORCH_NO_TENSOR', class: 'mismatch' });
  expect(missing.message).toContain("did you mean 'model.0.weight'?");
  for (const name of ['types.i64', 'types.bool', 'types.u8']) {
    expect(await errorOf(() => file.float32(name))).toMatchObject({ code: 'E_PYTORCH_DTYPE', class: 'mismatch' });
  }
  await file.close();
});

test("CRC-32 gives the catalogue's check value, whole and in pieces", () => {
  expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926);
  const bytes = Buffer.from('The quick brown fox jumps over the lazy dog');
  expect(crc32(bytes)).toBe(0x414fa339);
  for (let cut = 0; cut <= bytes.length; cut++) {
    expect(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut)))).toBe(0x414fa339);
  }
});

// Published weights; sums and sums of squares by PyTorch in float64.
const folder =
  process.env['DLCOURSE_WEIGHTS'] ?? fileURLToPath(new URL('../../../../shared/data/weights/', import.meta.url));
const published = [
  {
    name: 'cifar10-resnet20-12fca82f.th',
    trainable: 269_722,
    scalars: [['best_prec1', 91.78000183105469]],
    sums: {
      'state_dict.module.conv1.weight': [[16, 3, 3, 3], 1.3100982000032673, 68.38905150171045],
      'state_dict.module.layer1.0.conv1.weight': [[16, 16, 3, 3], 7.156750366491451, 44.02472575692151],
      'state_dict.module.layer2.0.conv2.weight': [[32, 32, 3, 3], -87.6531685631677, 120.89349103200013],
      'state_dict.module.linear.weight': [[10, 64], -0.04562738863751292, 192.01871886057765],
      'state_dict.module.linear.bias': [[10], 3.4442171454429626e-5, 0.451472044208829],
    },
  },
  {
    name: 'cifar10-resnet56-4bfd9763.th',
    trainable: 853_018,
    scalars: [['best_prec1', 93.62]],
    sums: {
      'state_dict.module.conv1.weight': [[16, 3, 3, 3], -2.5577811515686335, 59.31472373038423],
      'state_dict.module.layer1.3.conv2.weight': [[16, 16, 3, 3], -14.852954744225826, 16.803506802647235],
      'state_dict.module.linear.weight': [[10, 64], -0.008035663631744683, 126.48724051307794],
    },
  },
  {
    name: 'imagenet-mobilenet_v1_0.25_224.pth',
    trainable: 470_072,
    scalars: [],
    sums: {
      'conv1.weight': [[8, 3, 3, 3], -1.179396364207314, 26.359946261735168],
      'layers.2.bn2.running_var': [[32], 105.72947889566422, 448.3679341955743],
      'linear.weight': [[1000, 256], 271.0416036169406, 6294.542402088518],
    },
  },
] as const;

describe('published weights', () => {
  const present = existsSync(folder);
  if (!present) console.warn('the published weights are not here: their tests are skipped');
  (present ? test : test.skip).each(published)('$name', async ({ name, trainable, scalars, sums }) => {
    const file = await openPytorch(join(folder, name));
    const learned = [...file.tensors.values()].filter(t => !/running_|num_batches/.test(t.name));
    expect(learned.reduce((sum, t) => sum + t.storage.count, 0)).toBe(trainable);
    expect([...file.scalars]).toEqual(scalars);
    for (const [path, [shape, sum, squares]] of Object.entries(sums)) {
      expect(file.tensors.get(path)!.shape).toEqual(shape);
      const values = await file.float32(path);
      expect(values.reduce((s, x) => s + x, 0)).toBeCloseTo(sum, 8);
      expect(values.reduce((s, x) => s + x * x, 0)).toBeCloseTo(squares, 8);
    }
    await file.close();
  });
});
