import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { removeStaleTemporaries, writeFileDurably } from '../../src/io/durable.js';
import { errorOf } from './fixture.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dlcourse-durable-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const hasStrace = spawnSync('strace', ['-f', '-o', '/dev/null', 'true']).status === 0;
const module = new URL('../../src/io/durable.js', import.meta.url).href;

describe('writeFileDurably', () => {
  test('writes text, bytes and chunks, replacing what was there', async () => {
    const path = join(folder, 'file');
    await writeFileDurably(path, 'grün');
    expect(readFileSync(path, 'utf8')).toBe('grün');
    await writeFileDurably(path, Uint8Array.of(1, 2));
    async function* chunks() {
      yield Uint8Array.of(1);
      yield new Uint8Array(0);
      yield Uint8Array.of(2, 3);
    }
    await writeFileDurably(path, chunks());
    expect([...readFileSync(path)]).toEqual([1, 2, 3]);
    expect(readdirSync(folder)).toEqual(['file']);
  });

  test('a source that fails half-way leaves the old file and nothing else', async () => {
    const path = join(folder, 'file');
    writeFileSync(path, 'old');
    function* chunks() {
      yield Uint8Array.of(1);
      throw new Error('the source failed');
    }
    expect((await errorOf(() => writeFileDurably(path, chunks()))).message).toBe('the source failed');
    expect([readFileSync(path, 'utf8'), readdirSync(folder)]).toEqual(['old', ['file']]);
  });

  test('names the file, the attempt and what to do', async () => {
    const error = await errorOf(() => writeFileDurably(join(folder, 'none', 'file'), 'x'));
    expect(error).toMatchObject({ code: 'E_WRITE', class: 'write' });
    expect(error.message).toContain(
      'file: expected to open its folder, got no such folder (ENOENT); check the disk and the folder',
    );
    mkdirSync(join(folder, 'taken'));
    expect((await errorOf(() => writeFileDurably(join(folder, 'taken'), 'x'))).code).toBe('E_WRITE');
    expect(readdirSync(folder)).toEqual(['taken']);
  });

  (hasStrace ? test : test.skip)('flushes before it renames, and the folder before it announces', () => {
    const script = `
      import { writeFileDurably } from ${JSON.stringify(module)};
      await writeFileDurably(${JSON.stringify(join(folder, 'file'))}, 'content of the file');
      process.stdout.write('announced');`;
    const trace = join(folder, 'trace');
    const calls = 'trace=openat,write,pwrite64,fsync,fdatasync,close,rename,renameat,renameat2';
    execFileSync('strace', [
      '-f',
      '-y',
      '-e',
      calls,
      '-o',
      trace,
      process.execPath,
      '--input-type=module',
      '-e',
      script,
    ]);
    const lines = readFileSync(trace, 'utf8').split('\n');
    const at = (pattern: RegExp) => lines.findIndex(line => pattern.test(line));
    const order = [
      at(/openat\(.*\.tmp", .*O_CREAT.*O_EXCL/),
      at(/pwrite64\(.*\.tmp>, "content of the file"/),
      at(/fsync\(.*\.tmp>/),
      at(/close\(.*\.tmp>/),
      at(/rename.*\.tmp", .*\/file"/),
      lines.findIndex(line => line.includes('fsync(') && line.includes(`${folder}>`)),
      at(/write\(1<.*"announced"/),
    ];
    expect(order).not.toContain(-1);
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });
});

describe('removeStaleTemporaries', () => {
  const machine = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
  const name = (pid: number, host = machine) => `.dlcourse-${host}-${pid}-0123456789ab.tmp`;

  test('removes what dead processes of this machine left, and nothing else', async () => {
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    const stale = name(dead);
    const kept = [name(process.ppid), name(process.pid), name(dead, '00000000'), `${name(dead)}.bak`, 'x.tmp'];
    for (const file of [stale, ...kept]) writeFileSync(join(folder, file), '');
    expect(await removeStaleTemporaries(folder)).toEqual([stale]);
    expect(readdirSync(folder).sort()).toEqual(kept.sort());
  });

  test('removes a file of our own number that is older than this process', async () => {
    writeFileSync(join(folder, name(process.pid)), '');
    utimesSync(join(folder, name(process.pid)), 1e9, 1e9);
    expect(await removeStaleTemporaries(folder)).toEqual([name(process.pid)]);
  });

  test('recognises what a killed writer leaves behind', async () => {
    const script = `
      import { writeFileDurably } from ${JSON.stringify(module)};
      function* chunks() { yield Buffer.from('half'); process.kill(process.pid, 'SIGKILL'); yield Buffer.from('other'); }
      await writeFileDurably(${JSON.stringify(join(folder, 'file'))}, chunks());`;
    expect(spawnSync(process.execPath, ['--input-type=module', '-e', script]).signal).toBe('SIGKILL');
    expect(readdirSync(folder)).toHaveLength(1);
    expect(await removeStaleTemporaries(folder)).toHaveLength(1);
    expect(readdirSync(folder)).toEqual([]);
  });
});
