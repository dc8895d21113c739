// The program as it is installed: that it can be executed, and that it loads what a command needs and no more.

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../src/package.js';
import { cliPath, dlcourse } from './dlcourse.js';
import { scratchFolder } from './scratch.js';

interface Coverage {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly { readonly functionName: string; readonly ranges: readonly { count: number }[] }[];
  }[];
}

const cwd = scratchFolder();
let runs = 0;

/** Files that a command loads, and modules inside of the program that it runs, by V8's account. */
async function loadedBy(...args: string[]): Promise<{ files: string[]; modules: string[] }> {
  const folder = join(cwd, `coverage-${runs++}`);
  const { status } = await dlcourse(args, { cwd, env: { NODE_V8_COVERAGE: folder } });
  expect(status).toBe(0);
  const scripts = readdirSync(folder).flatMap(
    name => (JSON.parse(readFileSync(join(folder, name), 'utf8')) as Coverage).result,
  );
  const program = scripts.find(({ url }) => url === pathToFileURL(cliPath).href)!;
  return {
    files: scripts.map(({ url }) => url).filter(url => url.startsWith('file:')),
    modules: program.functions.filter(f => f.ranges[0]!.count > 0).map(f => f.functionName),
  };
}

const packageOf = (url: string): string | undefined => /node_modules\/([^/]+)/.exec(url)?.[1];

// As npx and a shell start it, by its first line.
(process.platform === 'win32' ? test.skip : test)('can be executed', () => {
  expect(spawnSync(cliPath, ['--version']).status).toBe(0);
});

test.each([
  { line: '--help', command: 'help' },
  { line: 'train --help', command: 'train' },
])('$line loads neither the networks nor sharp nor the engine', async ({ line, command }) => {
  const { files, modules } = await loadedBy(...line.split(' '));
  expect(modules.some(name => name.endsWith('commands/train.ts'))).toBe(command === 'train');
  expect(modules.filter(name => /^src\/(zoo|runtime)\//.test(name))).toEqual([]);
  const packages = new Set(files.map(packageOf));
  expect([...packages].filter(name => name && !['commander', 'picocolors'].includes(name))).toEqual([]);
});

test('predict loads itself from one file, and no network that it does not need', async () => {
  const { files, modules } = await loadedBy('predict', join(packageRoot, 'docs/stickers.webp'), '-q');
  expect(files.map(packageOf)).toContain('sharp');
  expect(files.filter(url => !packageOf(url))).toEqual([pathToFileURL(cliPath).href]);
  expect(modules).toContain('src/runtime/program.ts');
  expect(modules.filter(name => /^src\/zoo\/(?!zoo\.ts)/.test(name))).toEqual([]);
});
