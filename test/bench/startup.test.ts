// The tables of how long commands take from the shell.

import { expect, test } from '@jest/globals';
import { readStartupRows, type StartupRow, startupTable } from './startup-rows.js';

const row: StartupRow = {
  ...{ cpu: 'Some CPU', isa: 'avx2', threads: 2, network: 'resnet20', input: [32, 32, 3] },
  ...{ picture: '640×480 (webp)', trials: 20, node: '22.0.0', date: '2026-11-01', version: 'abc' },
  commands: [
    { command: '`node -e 0`', median: 40.4, best: 39.6, p95: 50 },
    { command: 'PyTorch 2', median: 1500.5, best: 1400, p95: 2000 },
  ],
};

test('a machine has a table for each network and picture, with the circumstances before it', () => {
  const lines = (network: string): string[] => [
    `\`${network}\` at 32×32, a picture of 640×480 (webp); 20 trials, Node.js 22.0.0; 2026-11-01, \`abc\`:`,
    '',
    '| command | median ms | best | 95 % |',
    '| --- | --- | --- | --- |',
    '| `node -e 0` | 40 | 40 | 50 |',
    '| PyTorch 2 | 1501 | 1400 | 2000 |',
  ];
  expect(startupTable([row, { ...row, network: 'resnet18' }]).split('\n')).toEqual([
    ...['### Some CPU, avx2, 2 threads', ''],
    ...[...lines('resnet20'), '', ...lines('resnet18')],
  ]);
});

test('what is recorded begins with Node alone, and names no folder', () => {
  for (const { commands } of readStartupRows()) {
    expect(commands[0]!.command).toBe('`node -e 0`');
    for (const { command, best, median, p95 } of commands) {
      expect(command).not.toMatch(/[/\\]/);
      expect([best, median, p95]).toEqual([best, median, p95].sort((a, b) => a - b));
    }
  }
});
