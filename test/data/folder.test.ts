// Class folders: what is found, in which order, in which split; and what is said when a folder isn't one.

import { symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type FolderOptions, listFolder } from '../../src/data/folder.js';
import { failure, makeScratch, put } from './scratch.js';

const scratch = makeScratch();
let made = 0;

/** A tree of empty files: listing reads none of them. */
function tree(...files: string[]): string {
  const root = path.join(scratch, `tree${made++}`);
  for (const file of files) put(path.join(root, file), '');
  return root;
}

/** `<class>/0.png` … for several classes. */
function plain(counts: Record<string, number>): string {
  return tree(
    ...Object.entries(counts).flatMap(([name, n]) => Array.from({ length: n }, (_, i) => `${name}/${i}.png`)),
  );
}

async function paths(root: string, options?: FolderOptions) {
  const { train, test: held } = await listFolder(root, options);
  return { train: train.map(f => f.path), test: held.map(f => f.path) };
}

describe('layouts', () => {
  test.each(['test', 'val', 'valid', 'validation'])('train/ and %s/', async name => {
    const root = tree('train/b/2.jpg', 'train/b/10.jpg', 'train/a/x/deep.PNG', `${name}/a/1.webp`, 'train/a/notes.txt');
    const { classes, train, test: held, notices } = await listFolder(root);
    expect(classes).toEqual(['a', 'b']);
    expect(train).toEqual([
      { path: 'train/a/x/deep.PNG', label: 0 },
      { path: 'train/b/10.jpg', label: 1 },
      { path: 'train/b/2.jpg', label: 1 },
    ]);
    expect(held).toEqual([{ path: `${name}/a/1.webp`, label: 0 }]);
    expect(notices).toEqual(['left out, not pictures by name: train/a/notes.txt']);
  });

  test('test/ wins over val/, and both that and other folders are said', async () => {
    const { test: held, notices } = await listFolder(
      tree('train/a/1.png', 'val/a/2.png', 'test/a/3.png', 'extra/a/4.png'),
    );
    expect(held.map(f => f.path)).toEqual(['test/a/3.png']);
    expect(notices).toEqual(['using test/; val/ is left out', 'left out, not a split: extra/']);
  });

  test('classes sort by code point, numbers by value', async () => {
    expect((await listFolder(plain({ b: 1, a: 1, B: 1, 10: 1, ä: 1 }))).classes).toEqual(['10', 'B', 'a', 'b', 'ä']);
    expect((await listFolder(plain({ 10: 1, 9: 1, 2: 1 }))).classes).toEqual(['2', '9', '10']);
  });

  test('hidden files are passed over, links are followed', async () => {
    const root = tree('a/1.png', 'a/.hidden.png', '.git/x.png', '__MACOSX/a/1.png');
    const other = tree('b/2.png');
    symlinkSync(path.join(other, 'b'), path.join(root, 'b'));
    symlinkSync(path.join(root, 'nowhere.png'), path.join(root, 'a', 'dangling.png'));
    const { train, test: held } = await paths(root, { split: 0 });
    expect([train, held]).toEqual([['a/1.png', 'a/dangling.png', 'b/2.png'], []]);
  });

  test('a link to a folder above ends in an error, not in a loop', async () => {
    const root = tree('a/1.png');
    symlinkSync(root, path.join(root, 'a', 'up'));
    expect((await failure(listFolder(root))).message).toContain('a link to a folder above');
  });
});

describe('the seeded split', () => {
  test('takes its share of each class, the same for the same seed', async () => {
    const root = plain({ a: 50, b: 20, c: 2, d: 1 });
    const { train, test: held } = await paths(root);
    const count = (files: string[], name: string) => files.filter(f => f.startsWith(`${name}/`)).length;
    expect(['a', 'b', 'c', 'd'].map(name => count(held, name))).toEqual([5, 2, 1, 0]);
    expect([...train, ...held].sort()).toEqual([...new Set([...train, ...held])].sort());
    expect(train.length + held.length).toBe(73);
    expect(await paths(root)).toEqual({ train, test: held });
    expect((await paths(root, { splitSeed: 1 })).test).not.toEqual(held);
  });

  test('follows the path, not the order of listing or the place of the folder', async () => {
    const one = await paths(plain({ a: 30, b: 30 }), { split: 0.2 });
    const two = await paths(plain({ b: 30, a: 31 }), { split: 0.2 });
    const moved = one.test.filter(file => !two.test.includes(file));
    expect(moved.length).toBeLessThanOrEqual(1);
  });

  test('0 and 1 give everything to one side; train/ alone is split', async () => {
    const root = plain({ a: 3, b: 3 });
    expect((await paths(root, { split: 0 })).test).toEqual([]);
    expect((await paths(root, { split: 1 })).train).toEqual([]);
    const { train, test: held } = await paths(tree('train/a/1.png', 'train/a/2.png'));
    expect([train.length, held.length]).toEqual([1, 1]);
  });

  test.each([-0.1, 1.1, Number.NaN])('a share of %d is refused', async split => {
    expect((await failure(listFolder(plain({ a: 2 }), { split }))).class).toBe('usage');
  });
});

describe('what is refused', () => {
  test.each<[string, string[], string]>([
    ['images without a class folder', ['1.png', '2.jpg'], 'expected a folder for each class, got 2 images without one'],
    ['no images', ['a/readme.txt'], 'expected images in 1 class folders, found none'],
    ['a class without training images', ['train/a/1.png', 'train/b/x.txt', 'test/b/1.png'], "got none of 'b'"],
    ['an empty train folder', ['train/readme.txt', 'val/readme.txt'], 'expected class folders with images'],
  ])('%s', async (_, files, message) => {
    const error = await failure(listFolder(tree(...files)));
    expect(error.class).toBe('data');
    expect(error.message).toContain(message);
  });

  test('a folder that is not there', async () => {
    expect((await failure(listFolder(path.join(scratch, 'none')))).code).toBe('E_NOT_FOUND');
  });
});

test('labels follow the classes of a model', async () => {
  const root = plain({ dog: 1, cat: 1 });
  const { classes, train } = await listFolder(root, { classes: ['bird', 'dog', 'cat'], split: 0 });
  expect(classes).toEqual(['bird', 'dog', 'cat']);
  expect(train).toEqual([
    { path: 'dog/0.png', label: 1 },
    { path: 'cat/0.png', label: 2 },
  ]);
  const error = await failure(listFolder(root, { classes: ['dogs', 'cat'] }));
  expect([error.class, error.hint]).toEqual(['mismatch', "did you mean 'dogs'?"]);
});
