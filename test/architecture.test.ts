// The architecture as a test: imports only point right, shared code does not know ops by name, the two lists of ops agree.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { opList } from '../src/graph/op.js';
import { native } from '../src/native.js';
import { packageRoot } from '../src/package.js';
import '../src/layers/index.js';
import '../src/runtime/program.js';
import '../src/train/step.js';
import '../src/train/inputs.js';

/** From the outside in. A file imports from its own room or from one further down; rooms on a line do not see each other. */
const rooms = [
  ['cli'],
  ['train'],
  ['models'],
  ['zoo', 'data', 'report'],
  ['io'],
  ['layers'],
  ['runtime'],
  ['plan'],
  ['passes'],
  ['ops'],
  ['graph'],
];
const depth = new Map(rooms.flatMap((names, i) => names.map(name => [name, i] as const)));
/** Open to all. */
const everywhere = new Set(['errors', 'native', 'package']);

const sources = ['src', 'cli'].flatMap(folder =>
  readdirSync(join(packageRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => join(packageRoot, folder, name)),
);

function roomOf(file: string): string {
  const [top, second = ''] = relative(packageRoot, file).split(/[\\/]/);
  return top === 'cli' ? 'cli' : second.replace(/\.[tj]s$/, '');
}

describe('imports', () => {
  for (const file of sources) {
    const room = roomOf(file);
    if (room === 'index' || everywhere.has(room)) continue;
    test(relative(packageRoot, file), () => {
      expect([...depth.keys()]).toContain(room);
      const imports = readFileSync(file, 'utf8').matchAll(
        /^(?:import|export)\s+(?!type\b)[^;]*?from\s+'(\.[^']+)'|\bimport\('(\.[^']+)'\)/gm,
      );
      for (const [, fixed, lazy] of imports) {
        const target = roomOf(resolve(dirname(file), (fixed ?? lazy)!));
        if (everywhere.has(target) || target === room) continue;
        expect(`${room} → ${target}: ${(depth.get(target) ?? -1) > depth.get(room)!}`).toBe(
          `${room} → ${target}: true`,
        );
      }
    });
  }
});

test('shared code does not know ops by name', () => {
  const shared = ['src/graph', 'src/passes', 'src/plan', 'src/runtime'].flatMap(folder =>
    readdirSync(join(packageRoot, folder)).map(name => join(packageRoot, folder, name)),
  );
  shared.push(join(packageRoot, 'native/addon.cc'));
  for (const file of shared) {
    const code = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    expect([relative(packageRoot, file), code.match(/\bop\.name\s*[!=]==?\s*['"]\w+['"]/)?.[0]]).toEqual([
      relative(packageRoot, file),
      undefined,
    ]);
  }
});

test('the addon and TypeScript agree on ops and their attributes', () => {
  const here = new Map<string, string[]>();
  for (const [name, op] of opList) {
    if (op.spec.view || op.spec.concatenates) continue; // never steps
    const wire = Object.entries(op.attributes).filter(([, spec]) => !spec.local);
    here.set(name, wire.map(([key]) => key).sort());
  }
  const there = Object.entries(native().ops()).map(([name, keys]) => [name, [...keys].sort()] as const);
  expect(new Map(there)).toEqual(here);
});
