import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { DlcourseError } from '../../src/errors.js';
import { decodeNpy, encodeNpy, npyToFloat32, readNpy, writeNpy } from '../../src/io/npy.js';
import { errorOf, fixture, fixturePath } from './fixture.js';
import { boundaries, seeded } from './mutate.js';

/** A version 1.0 file with this header and data. */
function npy(header: string, data = new Uint8Array(4), version = 1, length = header.length): Uint8Array {
  const start = Buffer.alloc(version === 1 ? 10 : 12);
  start.write('\x93NUMPY', 'latin1');
  start[6] = version;
  if (version === 1) start.writeUInt16LE(length & 0xffff, 8);
  else start.writeUInt32LE(length >>> 0, 8);
  return new Uint8Array(Buffer.concat([start, Buffer.from(header, 'latin1'), data]));
}

const dict = (descr: string, order: string, shape: string) =>
  `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }\n`;

describe("NumPy's files", () => {
  test.each([
    ['f4', '<f4', [2, 3], [0, 0.25, 0.5, 0.75, 1, 1.25]],
    ['f8', '<f8', [2], [0.1, -1e300]],
    ['f2', '<f2', [2], [0x3e00, 0xb400]],
    ['u1', '|u1', [1, 1, 2], [0, 255]],
    ['i4', '<i4', [2], [-2147483648, 2147483647]],
    ['i8', '<i8', [2], [-1n, 2n ** 40n]],
    ['scalar', '<f4', [], [2.5]],
    ['v2', '<f4', [3], [0, 1, 2]],
    ['v3', '<f4', [3], [0, 1, 2]],
  ])('%s', async (name, descr, shape, values) => {
    const array = await readNpy(fixturePath(`${name}.npy`));
    expect({ ...array, data: [...array.data] }).toEqual({ descr, shape, data: values });
    expect(decodeNpy(fixture(`${name}.npy`), 'x')).toEqual(array);
  });

  test('become float32', async () => {
    const floats = async (name: string) => [...npyToFloat32(await readNpy(fixturePath(`${name}.npy`)))];
    expect(await floats('f8')).toEqual([Math.fround(0.1), Number.NEGATIVE_INFINITY]);
    expect(await floats('f2')).toEqual([1.5, -0.25]);
    expect(await floats('u1')).toEqual([0, 255]);
    expect(await floats('i8')).toEqual([-1, 2 ** 40]);
  });

  test('a float32 array is written as NumPy writes it', () => {
    const data = Float32Array.of(0, 0.25, 0.5, 0.75, 1, 1.25);
    expect(encodeNpy(data, [2, 3])).toEqual(Buffer.from(fixture('f4.npy')));
    expect(
      encodeNpy(Float32Array.of(0, 1, 2), [3])
        .subarray(0, 128)
        .toString(),
    ).toContain("'shape': (3,), }");
    expect(encodeNpy(Float32Array.of(2.5), [])).toEqual(Buffer.from(fixture('scalar.npy')));
    expect(() => encodeNpy(data, [2, 2])).toThrow('expected 4 values for [2,2], got 6');
  });

  test('written to a file and read again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dlcourse-npy-'));
    await writeNpy(join(folder, 'x.npy'), Float32Array.of(1, Number.NaN), [2, 1]);
    expect(await readNpy(join(folder, 'x.npy'))).toEqual({
      descr: '<f4',
      shape: [2, 1],
      data: Float32Array.of(1, Number.NaN),
    });
    expect(await errorOf(() => readNpy(join(folder, 'none.npy')))).toMatchObject({ code: 'E_NOT_FOUND' });
    rmSync(folder, { recursive: true });
  });
});

describe('files that are refused', () => {
  const f4 = (shape: string) => npy(dict("'<f4'", 'False', shape));
  test.each<[string, Uint8Array, string]>([
    ['an empty file', new Uint8Array(0), 'E_NPY_HEADER'],
    ['another format', Buffer.from('\x89PNG\r\n\x1a\n      ', 'latin1'), 'E_NPY_HEADER'],
    ['version 0', npy(dict("'<f4'", 'False', '(1,)'), undefined, 0), 'E_NPY_HEADER'],
    ['version 4', npy(dict("'<f4'", 'False', '(1,)'), undefined, 4), 'E_NPY_HEADER'],
    ['a header beyond the end', npy('{}', undefined, 1, 60_000), 'E_NPY_HEADER'],
    ['a header of 2^32 - 1 bytes', npy('{}', undefined, 2, 2 ** 32 - 1), 'E_NPY_HEADER'],
    ['no dict', npy('[]'), 'E_NPY_HEADER'],
    ['an expression', npy("{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,)}"), 'E_NPY_HEADER'],
    ['an unclosed dict', npy("{'descr': '<f4'"), 'E_NPY_HEADER'],
    ['a missing key', npy("{'descr': '<f4', 'shape': (1,)}"), 'E_NPY_HEADER'],
    ['a key twice', npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}"), 'E_NPY_HEADER'],
    ['a key too many', npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 'y'}"), 'E_NPY_HEADER'],
    ['text behind the dict', npy(`${dict("'<f4'", 'False', '(1,)')}x`), 'E_NPY_HEADER'],
    ['a shape that is no tuple', f4('(1)'), 'E_NPY_HEADER'],
    ['a negative extent', f4('(-1,)'), 'E_NPY_HEADER'],
    ['a rank of 9', f4('(1,1,1,1,1,1,1,1,1)'), 'E_NPY_HEADER'],
    ['a long run of blanks', f4(`(1${' '.repeat(60_000)}`), 'E_NPY_HEADER'],
    ['objects', npy(dict("'|O'", 'False', '(1,)')), 'E_NPY_TYPE'],
    ['records', npy(dict("[('a', '<f4')]", 'False', '(1,)')), 'E_NPY_HEADER'],
    ['the prototype', npy(dict("'constructor'", 'False', '(1,)')), 'E_NPY_TYPE'],
    ['big-endian numbers', fixture('big_endian.npy'), 'E_NPY_TYPE'],
    ['Fortran order', fixture('fortran.npy'), 'E_NPY_ORDER'],
    ['a byte too few', npy(dict("'<f4'", 'False', '(1,)'), new Uint8Array(3)), 'E_NPY_SIZE'],
    ['a byte too many', npy(dict("'<f4'", 'False', '(1,)'), new Uint8Array(5)), 'E_NPY_SIZE'],
    ['a product that wraps', f4('(4294967296, 4294967296)'), 'E_NPY_SIZE'],
    ...boundaries.map((value): [string, Uint8Array, string] => [
      `an extent of ${value}`,
      f4(`(${value},)`),
      value < 2n ** 53n + 2n ? 'E_NPY_SIZE' : 'E_NPY_HEADER',
    ]),
  ])('%s', async (_, bytes, code) => {
    const error = await errorOf(() => decodeNpy(bytes, 'x.npy'));
    expect(error).toBeInstanceOf(DlcourseError);
    expect(error).toMatchObject({
      code,
      class: 'refusedFile',
      message: expect.stringMatching(/^x\.npy.*expected .*; /),
    });
  });

  test('5,000 mutants: each is read or refused with a DlcourseError', () => {
    const random = seeded(3);
    const seeds = ['f4', 'u1', 'v2', 'scalar', 'fortran'].map(name => fixture(`${name}.npy`));
    let accepted = 0;
    for (let i = 0; i < 5000; i++) {
      const bytes = seeds[i % seeds.length].slice(0, random() < 0.2 ? Math.floor(random() * 140) : undefined);
      for (let changes = Math.floor(random() * 4); changes > 0; changes--) {
        bytes[Math.floor(random() * bytes.length)] = random() < 0.5 ? 0x20 + Math.floor(random() * 96) : random() * 256;
      }
      try {
        decodeNpy(bytes, 'x');
        accepted++;
      } catch (error) {
        if (!(error instanceof DlcourseError)) throw error;
      }
    }
    expect(accepted).toBeGreaterThan(500);
    expect(accepted).toBeLessThan(4500);
  });
});
