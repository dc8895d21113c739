// Streaming decodes: bounded in number, those that are needed now before those of later, each error where it is read.

import { expect, test } from '@jest/globals';
import { BadImage } from '../../src/data/bad-files.js';
import { decodeWidth } from '../../src/data/concurrency.js';
import { StreamedSplit } from '../../src/data/streamed.js';
import { failure } from './scratch.js';

/** Hundred samples of one byte, the sample's own number; 13 is damaged. */
function numbers() {
  const started: number[] = [];
  let running = 0;
  let most = 0;
  const decode = async (sample: number) => {
    started.push(sample);
    most = Math.max(most, ++running);
    await new Promise(resolve => setImmediate(resolve));
    running--;
    if (sample === 13) throw new BadImage("can't be decoded");
    return Uint8Array.of(sample);
  };
  const labels = new Int32Array(100);
  const image = { height: 1, width: 1, channels: 1 };
  const names = (sample: number) => `${sample}.png`;
  const split = new StreamedSplit(image, labels, decode, Array(100).fill('00'), names);
  return { split, started, most: () => most };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

test('no more decodes at once than cores and two', async () => {
  const { split, most } = numbers();
  const into = new Uint8Array(80);
  await split.read(range(20, 100), into);
  expect([...into]).toEqual(range(20, 100));
  expect(most()).toBe(decodeWidth);
});

test('what was prefetched is decoded once, read once, and made again when asked for again', async () => {
  const { split, started } = numbers();
  split.prefetch([5, 6]);
  split.prefetch([6]);
  await split.read([6, 5], new Uint8Array(2));
  expect(started).toEqual([5, 6]);
  await split.read([6], new Uint8Array(1));
  expect(started).toEqual([5, 6, 6]);
});

test('a read goes before what waits for later', async () => {
  const { split, started } = numbers();
  split.prefetch(range(50, 100));
  await split.read([1], new Uint8Array(1));
  expect(started.indexOf(1)).toBe(decodeWidth);
});

test('a damaged sample is an error of the batch that reads it, with the others of the batch in place', async () => {
  const { split } = numbers();
  split.prefetch([12, 13]);
  await new Promise(resolve => setTimeout(resolve, 5));
  const into = new Uint8Array(2);
  const error = await failure(split.read([13, 12], into));
  expect(error.message).toContain("13.png can't be decoded");
  expect([...into]).toEqual([0, 12]);
});
