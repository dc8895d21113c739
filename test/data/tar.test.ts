// Hostile archives: whatever is in them, nothing is written outside the folder, and the reason is said.

import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { unpackTar } from '../../src/data/tar.js';
import { failure, makeScratch, put } from './scratch.js';
import { type TarEntry, tarEntry } from './tar-entry.js';

const scratch = makeScratch();
let made = 0;

const end = Buffer.alloc(1024);

function tar(...entries: (TarEntry | Buffer)[]): Buffer {
  return Buffer.concat([...entries.map(e => (Buffer.isBuffer(e) ? e : tarEntry(e))), end]);
}

/** A pax record states its own length. */
function pax(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return tarEntry({ name: 'PaxHeader/x', type: 'x', content: `${length}${rest}` });
}

/** Unpacks in `<n>/inside`, so that climbing names would land in `<n>`. */
async function unpack(archive: Buffer, limits?: { maxBytes?: number; maxEntries?: number }) {
  const outside = path.join(scratch, `tar${made++}`);
  const inside = path.join(outside, 'inside');
  mkdirSync(inside, { recursive: true });
  const file = put(path.join(outside, 'archive.tar'), archive);
  return {
    outside,
    inside,
    files: unpackTar(createReadStream(file, { highWaterMark: 700 }), 'archive.tar', inside, limits),
  };
}

describe('what is unpacked', () => {
  test.each([
    ['plain', (bytes: Buffer) => bytes],
    ['gzip', (bytes: Buffer) => gzipSync(bytes)],
  ])('%s: files and folders, long names', async (_, wrap) => {
    const long = `${'d'.repeat(90)}/${'f'.repeat(90)}.bin`;
    const archive = tar(
      { name: './', type: '5' },
      { name: 'a/', type: '5' },
      { name: 'a/one.txt', content: 'one' },
      { name: './two.bin', content: Buffer.alloc(1500, 7) },
      { name: 'empty' },
      { name: 'file', prefix: 'pre/fix', content: 'p' },
      pax('path', long),
      { name: 'short', content: 'pax' },
      { name: '././@LongLink', type: 'L', content: 'gnu/long\0' },
      { name: 'gnu/lo', content: 'gnu' },
    );
    const { inside, files } = await unpack(wrap(archive));
    expect(await files).toEqual(['a/one.txt', 'two.bin', 'empty', 'pre/fix/file', long, 'gnu/long']);
    expect(readFileSync(path.join(inside, 'a/one.txt'), 'utf8')).toBe('one');
    expect(readFileSync(path.join(inside, 'two.bin'))).toEqual(Buffer.alloc(1500, 7));
    expect(readFileSync(path.join(inside, long), 'utf8')).toBe('pax');
    expect(readFileSync(path.join(inside, 'gnu/long'), 'utf8')).toBe('gnu');
  });
});

const good = { name: 'good', content: 'x' };
const hostile: [string, Buffer, RegExp][] = [
  ['climbing name', tar({ name: '../evil', content: 'x' }), /inside the folder, got '\.\.'/],
  ['climbing in the middle', tar({ name: 'a/../../evil', content: 'x' }), /got '\.\.'/],
  ['climbing folder', tar({ name: '../evil/', type: '5' }), /got '\.\.'/],
  ['climbing prefix', tar({ name: 'evil', prefix: '..', content: 'x' }), /got '\.\.'/],
  ['climbing pax path', tar(pax('path', '../evil'), good), /got '\.\.'/],
  ['climbing GNU name', tar({ name: 'l', type: 'L', content: '../evil\0' }, good), /got '\.\.'/],
  ['absolute name', tar({ name: '/tmp/evil', content: 'x' }), /relative name/],
  ['backslashes', tar({ name: '..\\evil', content: 'x' }), /special characters/],
  ['drive letter', tar({ name: 'C:evil', content: 'x' }), /special characters/],
  ['control character', tar({ name: 'a\nb', content: 'x' }), /special characters/],
  ['device name', tar({ name: 'sub/NUL.txt', content: 'x' }), /device name/],
  ['trailing dot', tar({ name: 'good.', content: 'x' }), /ends in a dot/],
  ['symbolic link', tar({ name: 'l', type: '2', link: '/etc/passwd' }), /got a symbolic link/],
  ['link then file through it', tar({ name: 'l', type: '2', link: '..' }, { name: 'l/evil' }), /got a symbolic link/],
  ['hard link', tar({ name: 'l', type: '1', link: '../archive.tar' }), /got a hard link/],
  ['character device', tar({ name: 'd', type: '3' }), /got a character device/],
  ['block device', tar({ name: 'd', type: '4' }), /got a block device/],
  ['FIFO', tar({ name: 'd', type: '6' }), /got a FIFO/],
  ['GNU sparse file', tar({ name: 's', type: 'S' }), /got a sparse file/],
  ['pax sparse file', tar(pax('GNU.sparse.major', '1'), good), /GNU\.sparse\.major/],
  ['pax size', tar(pax('size', '99999999999'), good), /pax 'size' record/],
  ['pax nonsense', tar(tarEntry({ name: 'p', type: 'x', content: '999 path=a\n' }), good), /pax records/],
  ['twice the same name', tar(good, good), /twice/],
  ['same name in capitals', tar(good, { name: 'GOOD', content: 'y' }), /twice/],
  ['file where a folder is', tar({ name: 'a/b', content: 'x' }, { name: 'a', content: 'y' }), /share a name|twice/],
  ['folder below a file', tar(good, { name: 'good/b', content: 'y' }), /share a name/],
  ['unknown type', tar({ name: 'u', type: 'Z' }), /got type 'Z'/],
  ['negative size', tar({ name: 'n', size: '-0000000001\0', content: '' }), /size in octal/],
  ['binary size', tar({ name: 'n', size: '\x80\0\0\0\0\0\0\0\x01\0\0', content: '' }), /size in octal/],
  ['content cut short', tarEntry({ name: 'c', size: '00000010000\0', content: 'x' }), /cut short/],
  ['no end', tarEntry(good), /end-of-archive/],
  ['empty file', Buffer.alloc(0), /empty file/],
  ['not a tar', Buffer.alloc(1024, 65), /checksum/],
  ['damaged header', Buffer.concat([tarEntry(good).fill(88, 10, 11), end]), /checksum/],
  ['damaged gzip', gzipSync(tar({ name: 'z', content: Buffer.alloc(5000, 1) })).subarray(0, 60), /gzip|cut short/],
];

test.each(hostile)('%s is refused', async (_, archive, reason) => {
  const { outside, files } = await unpack(archive);
  const error = await failure(files);
  expect(error.code).toBe('E_ARCHIVE');
  expect(error.message).toMatch(reason);
  expect(readdirSync(outside).sort()).toEqual(['archive.tar', 'inside']);
  expect(existsSync('/tmp/evil')).toBe(false);
});

test('limits on bytes and entries hold before the bytes are written', async () => {
  const big = { name: 'big', content: Buffer.alloc(2000) };
  expect((await failure((await unpack(tar(big), { maxBytes: 1999 })).files)).message).toContain('at most 1999 bytes');
  const many = tar({ name: 'a' }, { name: 'b' }, { name: 'c' });
  expect((await failure((await unpack(many, { maxEntries: 2 })).files)).message).toContain('at most 2 entries');
});

test('a source that fails fails the unpacking', async () => {
  const broken = Readable.from(
    (async function* () {
      yield gzipSync(tar(good)).subarray(0, 20);
      throw Object.assign(new Error('disk'), { code: 'EIO' });
    })(),
  );
  const inside = path.join(scratch, 'broken');
  mkdirSync(inside);
  await expect(unpackTar(broken, 'archive', inside)).rejects.toThrow();
});
