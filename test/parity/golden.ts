// PyTorch's answers for the tests: test/golden/zoo.json, and what it must cover. make-golden.ts writes it.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package.js';
import type { Form, Network } from '../../src/zoo/zoo.js';
import type { Pair } from './pair.js';

/** What PyTorch answers with weights by formula, in float64: see `golden` in reference.py. */
export interface Golden extends Pair {
  readonly source: string;
  readonly input: readonly [number, number, number];
  /** Of two pictures, one row each. */
  readonly logits: readonly number[];
  /** Of three steps of SGD, the rate, and how far PyTorch's float32 is from losses and statistics. */
  readonly steps?: { readonly losses: readonly number[]; readonly lr: number; readonly error: number };
}

export const CLASSES = 10;

/** Networks with more parameters are evaluated only: a step of theirs takes seconds. */
export const TRAINED = 15e6;

const file = join(packageRoot, 'test/golden/zoo.json');

export const readGolden = (): Golden[] => JSON.parse(readFileSync(file, 'utf8')) as Golden[];

export const writeGolden = (answers: readonly Golden[]): void =>
  writeFileSync(file, `[\n${answers.map(a => `  ${JSON.stringify(a)}`).join(',\n')}\n]\n`);

/** Networks with more are left out: their weights alone would take the tests a minute. */
const LARGEST = 30e6;

/** Papers and forms of which no network has an answer: the smallest network of each. */
export function uncovered(networks: readonly Network[], golden: readonly Pair[]): { network: string; form: Form }[] {
  const answered = new Set(golden.map(g => `${g.network} ${g.form}`));
  const found = new Map<string, { network: string; form: Form; params: number }>();
  const covered = new Set<string>();
  for (const { name, paper, forms } of networks) {
    for (const [form, { params }] of Object.entries(forms) as [Form, { params: number }][]) {
      const key = `${paper} ${form}`;
      if (answered.has(`${name} ${form}`)) covered.add(key);
      if (params > LARGEST || params >= (found.get(key)?.params ?? Number.POSITIVE_INFINITY)) continue;
      found.set(key, { network: name, form, params });
    }
  }
  return [...found].flatMap(([key, pair]) => (covered.has(key) ? [] : [pair]));
}
