import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { DlcourseError } from '../../src/errors.js';
import { decodeSafetensors, encodeSafetensors, openSafetensors } from '../../src/io/safetensors.js';
import { errorOf, fixture } from './fixture.js';
import { assemble, boundaries, mutateSafetensors, seeded } from './mutate.js';

const none = new Uint8Array(0);
const four = new Uint8Array(4);
const one = (info: string, data: Uint8Array = four) => assemble(`{"w":${info}}`, data);
const info = (shape: string, offsets: string, dtype = '"F32"') =>
  `{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}`;
const good = info('[1]', '[0,4]');
const lengths = boundaries.filter(value => value < 2n ** 64n);
const deep = '['.repeat(100_000);

const cases: Record<string, [string, Uint8Array, string?][]> = {
  E_SAFETENSORS_SIZE: [
    ['an empty file', none],
    ['7 bytes', new Uint8Array(7)],
    ['a header beyond the end', assemble('{}', none, 3n)],
    ['no header, a length of 8', assemble('', none, 8n)],
    ['a byte too few', one(good, new Uint8Array(3))],
    ['a byte too many', one(good, new Uint8Array(5))],
    ['data without tensors', assemble('{}', four)],
  ],
  E_SAFETENSORS_LIMIT: [
    ...lengths.map((value): [string, Uint8Array] => [`a header length of ${value}`, assemble('{}', none, value)]),
    ['a header length of 16 MiB + 1', assemble('{}', none, 2n ** 24n + 1n)],
    ['a rank of 9', one(info('[1,1,1,1,1,1,1,1,1]', '[0,4]')), "tensor 'w'"],
    ['three offsets', one(info('[1]', '[0,4,4]')), "tensor 'w'"],
    [
      '100,001 tensors',
      assemble(`{${Array.from({ length: 100_001 }, (_, i) => `"${i}":${info('[0]', '[0,0]')}`).join(',')}}`, none),
    ],
    [
      '10,001 metadata entries',
      assemble(`{"__metadata__":{${Array.from({ length: 10_001 }, (_, i) => `"${i}":""`).join(',')}}}`, none),
    ],
  ],
  E_SAFETENSORS_UTF8: [
    ['a bare continuation byte', assemble(Buffer.from('{"\x80":1}', 'latin1'), none)],
    ['an overlong slash', assemble(Buffer.from('{"\xc0\xaf":1}', 'latin1'), none)],
    ['a UTF-8 encoded surrogate', assemble(Buffer.from('{"\xed\xa0\x80":1}', 'latin1'), none)],
    ['a cut character at the end', assemble(Buffer.from('{}\xc3', 'latin1'), none)],
  ],
  E_SAFETENSORS_HEADER: [
    ['an empty header', assemble('', none), 'byte 0'],
    ['a leading blank', assemble(' {}', none)],
    ['a byte order mark', assemble('\ufeff{}', none)],
    ['an array', assemble('[]', none)],
    ['a second value', assemble('{}{}', none), 'byte 2'],
    ['a zero byte behind', assemble('{}\0', none)],
    ['an unclosed object', assemble('{"w":', none)],
    ['an unclosed string', assemble('{"w', none)],
    ['a trailing comma', assemble(`{"w":${good},}`, four)],
    ['a missing comma', assemble(`{"a":${good}"b":${good}}`, four)],
    ['single quotes', assemble(`{'w':${good}}`, four)],
    ['a comment', assemble('{/**/}', none)],
    ['deep nesting', assemble(`{"w":${deep}`, none)],
    ['deep nesting in a shape', one(info(deep, '[0,4]'))],
    ['metadata that is no object', assemble('{"__metadata__":null}', none)],
    ['a metadata value that is no string', assemble('{"__metadata__":{"a":1}}', none)],
    ['an unknown field', one(`{"dtype":"F32","shape":[1],"data_offsets":[0,4],"path":"/x"}`), "'path'"],
    ['no dtype', one('{"shape":[1],"data_offsets":[0,4]}'), 'no dtype'],
    ['no shape', one('{"dtype":"F32","data_offsets":[0,4]}'), 'no shape'],
    ['no offsets', one('{"dtype":"F32","shape":[1]}'), 'no data_offsets'],
    ['a negative extent', one(info('[-1]', '[0,4]'))],
    ['a negative offset', one(info('[1]', '[-4,0]'))],
    ['a fraction', one(info('[1.0]', '[0,4]'))],
    ['an exponent', one(info('[1e0]', '[0,4]'))],
    ['a leading zero', one(info('[01]', '[0,4]'))],
    ['a number in quotes', one(info('["1"]', '[0,4]'))],
    ['an unknown escape', assemble('{"\\x":1}', none)],
    ['half an escape', assemble('{"\\u12"', none)],
    ['a lone surrogate', assemble(`{"\\ud800":${good}}`, four)],
    ['a bare control character', assemble(`{"\n":${good}}`, four)],
    ...boundaries
      .filter(value => value >= 2n ** 53n)
      .flatMap((value): [string, Uint8Array][] => [
        [`an extent of ${value}`, one(info(`[${value}]`, '[0,4]'))],
        [`an offset of ${value}`, one(info('[1]', `[0,${value}]`))],
      ]),
  ],
  E_SAFETENSORS_DUPLICATE: [
    ['a tensor twice', assemble(`{"w":${good},"w":${good}}`, four), "'w' twice"],
    ['a tensor twice, once escaped', assemble(`{"w":${good},"\\u0077":${good}}`, four), "'w' twice"],
    ['metadata twice', assemble('{"__metadata__":{},"__metadata__":{}}', none)],
    ['a metadata key twice', assemble('{"__metadata__":{"a":"1","a":"2"}}', none)],
    ['a field twice', one('{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}')],
  ],
  E_SAFETENSORS_NAME: [
    ['an empty name', assemble(`{"":${good}}`, four)],
    ['a name of 513 bytes', assemble(`{"${'n'.repeat(513)}":${good}}`, four)],
    ['a name not in NFC', assemble(`{"e\u0301":${good}}`, four)],
  ],
  E_SAFETENSORS_DTYPE: [
    ['an unknown dtype', one(info('[1]', '[0,4]', '"F33"')), "'F33'"],
    ['a dtype of the prototype', one(info('[1]', '[0,4]', '"constructor"'))],
    ['a dtype below a byte', one(info('[8]', '[0,4]', '"F4"'))],
  ],
  E_SAFETENSORS_SHAPE: [
    ['too small an extent', one(info('[0]', '[0,4]')), 'expected 0 bytes for F32 [0], got 4'],
    ['too large an extent', one(info('[2]', '[0,4]'))],
    ['a product that wraps to 0 at 2^64', one(info('[4294967296,4294967296]', '[0,0]'), none)],
    ['a product that wraps to 4 at 2^32', one(info('[1073741825,1]', '[0,4]'))],
    ['a product that overflows before a 0', one(info('[9007199254740991,4,0]', '[0,0]'), none)],
    ['bytes of 2^53', one(info('[2251799813685248]', '[0,4]'))],
    ...boundaries
      .filter(value => value < 2n ** 53n)
      .map((value): [string, Uint8Array] => [`an extent of ${value}`, one(info(`[${value}]`, '[0,4]'))]),
  ],
  E_SAFETENSORS_OFFSETS: [
    ['one offset', one(info('[1]', '[0]'))],
    ['no offset', one(info('[1]', '[]'))],
    ['a gap at the start', one(info('[1]', '[4,8]'), new Uint8Array(8))],
    ['an end before the beginning', one(info('[1]', '[4,0]'))],
    ['an overlap', assemble(`{"a":${good},"b":${good}}`, four), "tensor 'b'"],
    ['a gap', assemble(`{"a":${good},"b":${info('[1]', '[8,12]')}}`, new Uint8Array(12)), "tensor 'b'"],
    ...boundaries
      .filter(value => value < 2n ** 53n)
      .map((value): [string, Uint8Array] => [`a beginning at ${value}`, one(info('[1]', `[${value},${value}]`))]),
  ],
};

describe.each(Object.entries(cases))('%s', (code, files) => {
  test.each(files)('%s', async (...[, bytes, mention]) => {
    const error = await errorOf(() => decodeSafetensors(bytes, 'model.safetensors'));
    expect(error).toBeInstanceOf(DlcourseError);
    expect(error).toMatchObject({ code, class: 'refusedFile' });
    expect(error.message).toMatch(/^model\.safetensors: .*expected /);
    expect(error.message.length).toBeLessThan(800);
    if (mention) expect(error.message).toContain(mention);
  });
});

test('the file of each of these cases is valid but for its fault', () => {
  expect([...decodeSafetensors(one(good), 'x').tensors.keys()]).toEqual(['w']);
  const largest = assemble(`{"${'n'.repeat(512)}":${info('[1,1,1,1,1,1,1,1]', '[0,4]')}} \n\t\r`, four);
  expect(decodeSafetensors(largest, 'x').tensors.size).toBe(1);
  const many = Array.from({ length: 100_000 }, (_, i) => `"${i}":${info('[0]', '[0,0]')}`).join(',');
  expect(decodeSafetensors(assemble(`{${many}}`, none), 'x').tensors.size).toBe(100_000);
});

describe('files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dlcourse-hostile-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('a stated length reserves no memory before it is checked', async () => {
    const path = join(folder, 'bomb.safetensors');
    for (const bytes of [assemble('{}', none, 2n ** 40n), one(info('[1099511627776]', '[0,4398046511104]'))]) {
      writeFileSync(path, bytes);
      const before = process.memoryUsage().arrayBuffers;
      expect((await errorOf(() => openSafetensors(path))).class).toBe('refusedFile');
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
    }
  });

  test('names from a file are shown without control characters', async () => {
    const path = join(folder, 'escape.safetensors');
    writeFileSync(path, assemble(`{"\\u001b[2J\\u202e":${info('[2]', '[0,4]')}}`, four));
    const { message } = await errorOf(() => openSafetensors(path));
    expect(message).toContain("tensor '\\u{1b}[2J\\u{202e}'");
  });
});

test('20,000 mutants: each is read or refused with a DlcourseError', () => {
  const random = seeded(20261123);
  const written = encodeSafetensors(
    [
      { name: 'a', dtype: 'F32', shape: [2, 2], data: new Float32Array(4) },
      { name: 'b', dtype: 'U8', shape: [3], data: new Uint8Array(3) },
    ],
    [['epoch', '3']],
    'x',
  );
  const seeds = [fixture('reference.safetensors'), one(good), assemble('{}', none), written];
  const codes = new Map<string, number>();
  for (let i = 0; i < 20_000; i++) {
    const mutant = mutateSafetensors(seeds[i % seeds.length], random);
    let code = 'accepted';
    try {
      decodeSafetensors(mutant, 'x');
    } catch (error) {
      if (!(error instanceof DlcourseError)) throw error;
      code = error.code;
    }
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  // The fuzz is worth its time only if it gets past the first check and into every kind of error.
  for (const code of ['accepted', 'E_SAFETENSORS_CHECKSUM', ...Object.keys(cases)]) {
    expect([code, (codes.get(code) ?? 0) > 20]).toEqual([code, true]);
  }
});
