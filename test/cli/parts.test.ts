// The small parts of the command line by themselves.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { glob, isPattern } from '../../cli/glob.js';
import { tensorSource } from '../../cli/predict-inputs.js';
import { commands, program } from '../../cli/program.js';
import { environmentName } from '../../cli/settings.js';
import { bar, bytes, cut, duration, wantsColor } from '../../cli/ui.js';
import { epochList, interval, real, size, whole } from '../../cli/values.js';
import { encodeNpy } from '../../src/io/npy.js';
import { globalAvgPool, linear, Model, seq } from '../../src/layers/index.js';
import { FORMAT } from '../../src/models/file.js';
import { Store } from '../../src/runtime/program.js';
import { scratchFolder } from './scratch.js';

describe('commands', () => {
  // A line of the help must say the same whether the command's file was loaded for it or not.
  test.each([...commands])('$name is listed as it is declared', async ({ name, takes, summary, load }) => {
    const declared = (await load())();
    expect(declared.summary(summary).createHelp().subcommandTerm(declared)).toBe(`${name} ${takes}`.trimEnd());
    const whole = await program([name]);
    expect(whole.helpInformation()).toBe((await program([])).helpInformation());
    expect(whole.commands.find(c => c.name() === name)!.description()).not.toBe('');
  });
});

describe('values', () => {
  test.each([
    ['1', 1],
    ['1e3', 1000],
    ['', undefined],
    [' 1', undefined],
    ['0x10', undefined],
    ['1_000', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['99999999999999999999', undefined],
    ['NaN', undefined],
  ])('whole number %j', (text, value) => expect(whole(0).parse(text)).toBe(value));

  test.each([
    ['0', 0],
    ['.5', 0.5],
    ['5e-4', 5e-4],
    ['1', undefined],
    ['-0.1', undefined],
    ['1e400', undefined],
    ['Infinity', undefined],
  ])('number below 1: %j', (text, value) => expect(real(0, 1, true).parse(text)).toBe(value));

  test('sizes, lists, intervals', () => {
    expect(size.parse('32x48')).toEqual([32, 48]);
    expect(size.parse('64')).toEqual([64, 64]);
    for (const text of ['0x1', '32x', 'x32', '32X32', '5000x5000', '']) expect(size.parse(text)).toBeUndefined();
    expect(epochList.parse('60, 80')).toEqual([60, 80]);
    expect(epochList.parse('60,,80')).toBeUndefined();
    expect(interval.parse('500')).toEqual({ steps: 500 });
    expect(interval.parse('1.5m')).toEqual({ minutes: 1.5 });
    for (const text of ['0', '0m', 'm', '1.5', '-3', '10s']) expect(interval.parse(text)).toBeUndefined();
  });

  test('names in the environment', () => expect(environmentName('labelSmoothing')).toBe('DLCOURSE_LABEL_SMOOTHING'));
});

describe('terminal', () => {
  test('a line is cut to the width, colours do not count and are closed', () => {
    expect(cut('abcdef', 6)).toBe('abcdef');
    expect(cut('abcdef', 4)).toBe('abcd');
    expect(cut('\u001b[1mabc\u001b[22mdef', 4)).toBe('\u001b[1mabc\u001b[22md\u001b[0m');
    expect(cut('\u001b[1mab\u001b[22m', 2)).toBe('\u001b[1mab\u001b[22m');
    expect(cut('a😀b', 2)).toBe('a😀');
  });

  test('bar', () => {
    expect(bar(0, 4)).toBe('░░░░');
    expect(bar(1, 4)).toBe('████');
    expect(bar(0.5, 3)).toBe('█▌░');
    expect(bar(2, 2)).toBe('██');
  });

  test('figures', () => {
    expect([59.6, 61, 3725, Number.NaN].map(duration)).toEqual(['1:00', '1:01', '1:02:05', '–']);
    expect([512, 1536, 5 * 2 ** 20].map(bytes)).toEqual(['512 B', '1.5 KiB', '5.0 MiB']);
  });

  test('colour', () => {
    const terminal = { isTTY: true };
    expect(wantsColor(terminal, { TERM: 'xterm' })).toBe(true);
    expect(wantsColor({}, { TERM: 'xterm' })).toBe(false);
    expect(wantsColor(terminal, { TERM: 'dumb' })).toBe(false);
    expect(wantsColor(terminal, { TERM: 'xterm', NO_COLOR: '1' })).toBe(false);
    expect(wantsColor({}, { FORCE_COLOR: '1' })).toBe(true);
    expect(wantsColor({}, { FORCE_COLOR: '1', NO_COLOR: '1' })).toBe(false);
  });
});

describe('patterns', () => {
  const folder = scratchFolder();
  for (const name of [
    'a.jpg',
    'b.jpg',
    'b.png',
    '.hidden.jpg',
    'x+y.jpg',
    'sub/c.jpg',
    'sub/deep/d.jpg',
    '.git/e.jpg',
  ]) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), '');
  }
  const found = (pattern: string): string[] => glob(join(folder, pattern)).map(file => file.slice(folder.length + 1));

  test.each([
    ['*.jpg', ['a.jpg', 'b.jpg', 'x+y.jpg']],
    ['b.*', ['b.jpg', 'b.png']],
    ['?.jpg', ['a.jpg', 'b.jpg']],
    ['x+*.jpg', ['x+y.jpg']],
    ['*/*.jpg', ['sub/c.jpg']],
    ['**/*.jpg', ['a.jpg', 'b.jpg', 'sub/c.jpg', 'sub/deep/d.jpg', 'x+y.jpg']],
    ['sub/**', ['sub/c.jpg', 'sub/deep/d.jpg']],
    ['.*.jpg', ['.hidden.jpg']],
    ['s*', []],
    ['none*', []],
  ])('%s', (pattern, files) => expect(found(pattern)).toEqual(files));

  test('what is one', () => expect(['a*', 'b?', 'c'].map(isPattern)).toEqual([true, true, false]));
});

const cwd = scratchFolder();
test('an array that can be read in both orders is refused', async () => {
  const model = Model.from([3, 3, 3], seq(globalAvgPool(), linear(2)));
  const card = { format: FORMAT, model: model.config, classes: ['a', 'b'] };
  writeFileSync(join(cwd, 'cube.npy'), encodeNpy(new Float32Array(54), [2, 3, 3, 3]));
  const error = await tensorSource(join(cwd, 'cube.npy'), { model, card, store: new Store() }).catch(e => e);
  expect([error.code, error.message]).toEqual([
    'E_SHAPE',
    expect.stringMatching(/expected an array that can be read in one order, got 2×3×3×3, .*; give it to the library/),
  ]);
});
