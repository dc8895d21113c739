import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import {
  decodeSafetensors,
  encodeSafetensors,
  openSafetensors,
  readSafetensors,
  type TensorSource,
  toFloat32,
  writeSafetensors,
} from '../../src/io/safetensors.js';
import { errorOf, fixturePath, randomWords } from './fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'dlcourse-safetensors-'));
afterAll(() => rmSync(folder, { recursive: true }));

const sources: TensorSource[] = [
  { name: 'mask', dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) },
  { name: 'stem/weight', dtype: 'F32', shape: [2, 1, 2], data: Float32Array.of(0.1, -0, Number.NaN, 3e38) },
  { name: 'step', dtype: 'I64', shape: [], data: BigInt64Array.of(-(2n ** 63n)) },
  { name: '7', dtype: 'F16', shape: [2], data: Uint16Array.of(0x3c00, 0x7c01) },
  { name: '__proto__', dtype: 'F64', shape: [1], data: Float64Array.of(0.1) },
  { name: 'größe "x"\\', dtype: 'BOOL', shape: [1, 1], data: Uint8Array.of(1) },
  { name: 'empty', dtype: 'F32', shape: [4, 0], data: new Float32Array(0) },
];
const metadata: [string, string][] = [
  ['config', '{"layers": [1, 2]}'],
  ['größe', 'a\nb\u0000\u{1f600}'],
];

function bytesOf(view: ArrayBufferView): number[] {
  return [...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)];
}

/** A file without our checksums, as other tools write it. */
function foreign(): Uint8Array {
  const header = '{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  ';
  const bytes = Buffer.alloc(8 + header.length + 8);
  bytes.writeBigUInt64LE(BigInt(header.length));
  bytes.write(header, 8);
  return bytes;
}

describe('round trip', () => {
  const encoded = encodeSafetensors(sources, metadata, 'x');

  test('every byte, name, shape and metadata value comes back', () => {
    const decoded = decodeSafetensors(encoded, 'x');
    expect([...decoded.tensors.keys()].sort()).toEqual(sources.map(s => s.name).sort());
    for (const { name, dtype, shape, data } of sources) {
      const tensor = decoded.tensors.get(name)!;
      expect({ dtype: tensor.dtype, shape: tensor.shape }).toEqual({ dtype, shape });
      expect(bytesOf(tensor.data)).toEqual(bytesOf(data));
      expect(tensor.data.constructor.name).toBe(data.constructor.name);
    }
    expect([...decoded.metadata]).toEqual(metadata);
    expect(decoded.hasChecksums).toBe(true);
  });

  test('tensors are aligned to their elements, the data to 8 bytes', () => {
    const header = Number(Buffer.from(encoded).readBigUInt64LE(0));
    expect(header % 8).toBe(0);
    const json = JSON.parse(Buffer.from(encoded.subarray(8, 8 + header)).toString());
    expect(json.step.data_offsets[0] % 8).toBe(0);
    expect(json['stem/weight'].data_offsets[0] % 4).toBe(0);
    expect(json['7'].data_offsets[0] % 2).toBe(0);
  });

  test('a view into a larger buffer is written as what it shows', () => {
    const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    const { tensors } = decodeSafetensors(
      encodeSafetensors([{ name: 'w', dtype: 'F32', shape: [2], data }], [], 'x'),
      'x',
    );
    expect([...tensors.get('w')!.data]).toEqual([2, 3]);
  });

  test('no tensors and no metadata make a valid file', () => {
    const decoded = decodeSafetensors(encodeSafetensors([], [], 'x'), 'x');
    expect([decoded.tensors.size, decoded.metadata.size]).toEqual([0, 0]);
  });

  test('through a file: lazily, all at once, verified', async () => {
    const path = join(folder, 'file.safetensors');
    await writeSafetensors(path, sources, metadata);
    expect(readFileSync(path).equals(encoded)).toBe(true);
    const file = await openSafetensors(path, { requireChecksums: true });
    try {
      expect(file.tensors.get('stem/weight')).toMatchObject({ dtype: 'F32', shape: [2, 1, 2] });
      expect([...(await file.tensor('mask')).data]).toEqual([1, 2, 3]);
      await file.verify();
      expect([...(await file.readAll()).keys()]).toEqual([...file.tensors.keys()]);
      expect(await errorOf(() => file.tensor('stem/weigth'))).toMatchObject({
        code: 'E_SAFETENSORS_NO_TENSOR',
        class: 'mismatch',
        hint: "did you mean 'stem/weight'?",
      });
    } finally {
      await file.close();
    }
    expect((await readSafetensors(path)).metadata.get('config')).toBe('{"layers": [1, 2]}');
  });
});

describe('what the reference library writes', () => {
  test('is read with every type', async () => {
    const { tensors, metadata } = await readSafetensors(fixturePath('reference.safetensors'));
    const values = Object.fromEntries([...tensors].map(([name, t]) => [name, [t.dtype, t.shape, [...t.data]]]));
    expect(values).toEqual({
      bool: ['BOOL', [3], [1, 0, 1]],
      u8: ['U8', [2, 2], [1, 2, 3, 255]],
      i8: ['I8', [2], [-128, 127]],
      i16: ['I16', [2], [-32768, 32767]],
      f16: ['F16', [3], [0x3e00, 0xc000, 0x7bff]],
      bf16: ['BF16', [3], [0x3fc0, 0xc000, 0x7f62]],
      i32: ['I32', [2], [-2147483648, 2147483647]],
      i64: ['I64', [2], [-9223372036854775808n, 9223372036854775807n]],
      f64: ['F64', [2], [0.1, -1e300]],
      'f32.scalar': ['F32', [], [Math.fround(0.1)]],
      'f32.empty': ['F32', [0, 3], []],
      'größe/π': ['F32', [1, 2, 3], [0, 1, 2, 3, 4, 5]],
    });
    expect([...metadata]).toEqual(
      expect.arrayContaining([
        ['format', 'pt'],
        ['naïve', 'ü\n"\\'],
      ]),
    );
    expect([...toFloat32(tensors.get('f16')!)!]).toEqual([1.5, -2, 65504]);
    expect([...toFloat32(tensors.get('bf16')!)!]).toEqual([1.5, -2, 0xe2 * 2 ** 120]);
    expect(toFloat32(tensors.get('i32')!)).toBeUndefined();
  });

  test('carries no checksums: accepted, unless they are required', async () => {
    const file = await openSafetensors(fixturePath('reference.safetensors'));
    expect(file.hasChecksums).toBe(false);
    await file.close();
    const error = await errorOf(() =>
      openSafetensors(fixturePath('reference.safetensors'), { requireChecksums: true }),
    );
    expect(error).toMatchObject({ code: 'E_SAFETENSORS_CHECKSUM', class: 'integrity' });
  });
});

describe('damage', () => {
  const encoded = encodeSafetensors(sources, metadata, 'x');
  const headerEnd = 8 + Number(Buffer.from(encoded).readBigUInt64LE(0));

  test('any flipped bit of the header is noticed', async () => {
    for (let bit = 0; bit < headerEnd * 8; bit++) {
      const bytes = encoded.slice();
      bytes[bit >> 3] ^= 1 << (bit & 7);
      const error = await errorOf(() => decodeSafetensors(bytes, 'x'));
      expect(['integrity', 'refusedFile']).toContain(error.class);
    }
  });

  test('any flipped bit of a tensor is noticed and the tensor named', async () => {
    const { tensors } = decodeSafetensors(encoded, 'x');
    let end = headerEnd;
    for (const [name, { data }] of tensors) {
      const begin = end;
      end += data.byteLength;
      for (let bit = begin * 8; bit < end * 8; bit++) {
        const bytes = encoded.slice();
        bytes[bit >> 3] ^= 1 << (bit & 7);
        const error = await errorOf(() => decodeSafetensors(bytes, 'x'));
        expect(error).toMatchObject({ code: 'E_SAFETENSORS_CHECKSUM', class: 'integrity' });
        expect(error.message).toContain(`x: tensor '${name}': expected bytes with CRC32C`);
      }
    }
    expect(end).toBe(encoded.length);
  });

  test('10,000 flipped bits of a large tensor are all noticed', () => {
    const words = randomWords(7);
    const data = Uint8Array.from({ length: 2000 }, () => words.next().value >>> 24);
    const bytes = encodeSafetensors([{ name: 'w', dtype: 'U8', shape: [2000], data }], [], 'x');
    let noticed = 0;
    for (let bit = (bytes.length - 1250) * 8; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3] ^= 1 << (bit & 7);
      try {
        decodeSafetensors(bytes, 'x');
      } catch {
        noticed++;
      }
      bytes[bit >> 3] ^= 1 << (bit & 7);
    }
    expect(noticed).toBe(10_000);
  });

  test('a lazily read tensor, and verify(), name the damage; other tensors stay readable', async () => {
    const path = join(folder, 'damaged.safetensors');
    const bytes = Buffer.from(encoded);
    bytes[bytes.length - 1] ^= 1; // of the last tensor
    writeFileSync(path, bytes);
    const file = await openSafetensors(path);
    const last = [...file.tensors.keys()].at(-1)!;
    expect((await errorOf(() => file.tensor(last))).message).toContain(`tensor '${last.replaceAll('\\', '\\')}'`);
    expect((await errorOf(() => file.verify())).class).toBe('integrity');
    expect((await file.tensor('step')).shape).toEqual([]);
    await file.close();
  });

  test('stripping the digest or the checksums from one of our files is noticed', async () => {
    for (const key of ['dlcourse.header_sha256', 'dlcourse.crc32c']) {
      const bytes = Buffer.from(encoded);
      const at = bytes.indexOf(key);
      bytes.write('other', at);
      expect((await errorOf(() => decodeSafetensors(bytes, 'x'))).class).toBe('integrity');
    }
  });

  test('a file that shrinks after its header was read is an error, not zeros', async () => {
    const path = join(folder, 'shrinking.safetensors');
    writeFileSync(path, foreign());
    const file = await openSafetensors(path);
    truncateSync(path, 70);
    expect((await errorOf(() => file.tensor('w'))).code).toBe('E_SAFETENSORS_SIZE');
    await file.close();
  });
});

describe('what cannot be opened', () => {
  test('a missing file, a folder and a named pipe are told apart from damage, without waiting', async () => {
    const missing = await errorOf(() => openSafetensors(join(folder, 'none')));
    expect(missing).toMatchObject({ code: 'E_NOT_FOUND', class: 'notFound' });
    expect(await errorOf(() => openSafetensors(folder))).toMatchObject({ code: 'E_READ', class: 'notFound' });
    if (process.platform !== 'win32') {
      execFileSync('mkfifo', [join(folder, 'pipe')]);
      expect(await errorOf(() => openSafetensors(join(folder, 'pipe')))).toMatchObject({ code: 'E_READ' });
    }
  });
});

describe('what cannot be written', () => {
  const w = (change: Partial<TensorSource>): TensorSource => ({
    name: 'w',
    dtype: 'F32',
    shape: [2],
    data: new Float32Array(2),
    ...change,
  });
  const cases: [string, TensorSource[], [string, string][], string][] = [
    ['a wrong size', [w({ shape: [3] })], [], 'expected 12 bytes for F32 [3], got 8'],
    ['a negative extent', [w({ shape: [-2, -1] })], [], 'non-negative'],
    ['too high a rank', [w({ shape: [2, 1, 1, 1, 1, 1, 1, 1, 1] })], [], 'up to 8'],
    ['a repeated name', [w({}), w({})], [], 'expected each name once'],
    ['the reserved name', [w({ name: '__metadata__' })], [], 'reserved'],
    ['a name not in NFC', [w({ name: 'e\u0301' })], [], 'Unicode NFC'],
    ['a name too long', [w({ name: 'ü'.repeat(257) })], [], '1 to 512 bytes, got 514'],
    ['reserved metadata', [], [['dlcourse.crc32c', '{}']], 'expected each metadata key once'],
    ['broken text', [], [['x', '\ud800']], 'well-formed'],
  ];
  test.each(cases)('%s is refused before anything is written', async (_, tensors, entries, problem) => {
    const error = await errorOf(() => encodeSafetensors(tensors, entries, 'out.safetensors'));
    expect(error).toMatchObject({ code: 'E_SAFETENSORS_WRITE', class: 'usage' });
    expect(error.message).toContain('out.safetensors');
    expect(error.message).toContain(problem);
  });
});
