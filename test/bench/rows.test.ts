// Files of measurements: what replaces what, their form, and their order.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { native } from '../../src/native.js';
import { readFastRuns } from './fast-runs.js';
import { readInputRows } from './input-rows.js';
import { readKernelResults } from './kernel-rows.js';
import { readMemoryRows } from './memory-rows.js';
import { readProfiles } from './profile-rows.js';
import { readComparisons } from './results.js';
import { byMachine, type Machine, machine, machineName, rowsFile } from './rows.js';
import { readStartupRows } from './startup-rows.js';

interface Row extends Machine {
  readonly what: string;
  readonly value: number;
}

const row = (what: string, value: number, isa = 'avx2'): Row => ({ cpu: 'Some CPU', isa, threads: 2, what, value });

test('a row of the same identity replaces the earlier one; a line each, sorted', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dlcourse-rows-'));
  try {
    writeFileSync(join(folder, 'x.json'), '[]');
    const { read, keep } = rowsFile<Row>('x.json', r => `${machineName(r)} ${r.what}`, folder);
    for (const one of [row('b', 1), row('a', 2), row('b', 3, 'avx512'), row('b', 4)]) keep(one);
    expect(read()).toEqual([row('a', 2), row('b', 4), row('b', 3, 'avx512')]);
    const lines = readFileSync(join(folder, 'x.json'), 'utf8').split('\n');
    expect(lines).toEqual(['[', ...read().map((r, i) => `  ${JSON.stringify(r)}${i < 2 ? ',' : ''}`), ']', '']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a processor that is held to less than it has is another machine', () => {
  expect(machineName(row('a', 1))).toBe('Some CPU, avx2, 2 threads');
  expect(machineName({ ...row('a', 1), held: true })).toBe('Some CPU, held to avx2, 2 threads');
  const { isas } = native().info();
  expect(machine(2)).not.toHaveProperty('held');
  expect(isas.map(isa => machine(2, isa).held ?? false)).toEqual(isas.map((_, i) => i < isas.length - 1));
});

test('a section for each machine', () => {
  const what = (rows: readonly Row[]): string => rows.map(r => r.what).join();
  expect(byMachine([row('a', 1), row('b', 2, 'avx512'), row('c', 3)], what)).toBe(
    '### Some CPU, avx2, 2 threads\n\na,c\n\n### Some CPU, avx512, 2 threads\n\nb',
  );
  expect(byMachine([], what)).toBe('Nothing has been measured yet.');
});

test.each<[string, () => readonly Machine[]]>([
  ['comparisons', readComparisons],
  ['profiles', readProfiles],
  ['input', readInputRows],
  ['fast runs', readFastRuns],
  ['kernels', readKernelResults],
  ['memory', readMemoryRows],
  ['commands', readStartupRows],
])('what is recorded names its machine: %s', (_, read) => {
  for (const { cpu, isa, threads } of read()) {
    expect([typeof cpu, typeof isa, typeof threads]).toEqual(['string', 'string', 'number']);
  }
});
