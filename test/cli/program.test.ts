// The program as it is installed: that it can be executed, and that it loads what it needs and no more.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../src/native.js';
import { cliPath } from './dlcourse.js';
import { scratchFolder } from './scratch.js';

const cwd = scratchFolder();

/** The files that a command loads. */
function loadedBy(...args: string[]): string[] {
  const spy = join(cwd, 'spy.cjs');
  writeFileSync(spy, "process.on('exit', () => console.error('\\n' + JSON.stringify(Object.keys(require.cache))));");
  const { status, stderr } = spawnSync(process.execPath, ['--require', spy, cliPath, ...args], { encoding: 'utf8' });
  expect(status).toBe(0);
  return JSON.parse(stderr.trimEnd().split('\n').at(-1)!);
}

// As npx and a shell start it, by its first line.
(process.platform === 'win32' ? test.skip : test)('can be executed', () => {
  expect(spawnSync(cliPath, ['--version']).status).toBe(0);
});

const packageOf = (file: string): string | undefined => /node_modules\/([^/]+)/.exec(file.replaceAll('\\', '/'))?.[1];

test.each(['--help', 'train --help', 'models'])('%s loads neither sharp nor the addon', line => {
  const files = loadedBy(...line.split(' '));
  expect(files).toContain(cliPath);
  expect(files.map(packageOf).filter(name => name && !['commander', 'picocolors'].includes(name))).toEqual([]);
  expect(files.filter(file => file.endsWith('.node'))).toEqual([]);
});

test('predict loads itself from one file', () => {
  const picture = join(packageRoot(), 'docs/stickers.webp');
  const files = loadedBy('predict', picture, '-q');
  expect(files.map(packageOf)).toContain('sharp');
  expect(files.filter(file => !packageOf(file) && file.endsWith('js') && !file.startsWith(cwd))).toEqual([cliPath]);
});
