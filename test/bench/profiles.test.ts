// The table of where training steps spend their time.

import { expect, test } from '@jest/globals';
import { type NetworkProfile, profileTable, readProfiles } from './profile-rows.js';

const profile: NetworkProfile = {
  ...{ cpu: 'Some CPU', isa: 'avx2', threads: 2, network: 'vgg16_bn', form: 'cifar', input: [32, 32, 3], batch: 64 },
  ...{ peakGflops: 200, bandwidthGBps: 30, milliseconds: 490.48, roofline: 245.24 },
  parts: [
    { name: 'conv2d 3×3', share: 0.75, percentOfRoofline: 60, percentOfPeak: 151.4 },
    { name: 'sgd', share: 0.041, percentOfRoofline: 88.2 },
    { name: 'relu', share: 0.039, percentOfRoofline: 90 },
  ],
  ...{ date: '2026-11-01', version: 'abc' },
};

test('a machine has a table, in the usual order; small parts are not named', () => {
  const parts = 'conv2d 3×3 75 % (151), sgd 4 % (88 of roofline)';
  const row = (network: string): string =>
    `| \`${network}\` | 64 × 32×32 | 490 | 50 % | ${parts} | 30 | 2026-11-01 | \`abc\` |`;
  const head = [
    expect.stringMatching(/^\| network .* step, ms .* roofline .* where it goes \| GB\/s \| day \| version \|$/),
    expect.any(String),
  ];
  const others = { ...profile, isa: 'avx512' };
  expect(profileTable([profile, others, { ...profile, network: 'resnet18' }]).split('\n')).toEqual([
    ...['### Some CPU, avx2, 2 threads', '', ...head, row('resnet18'), row('vgg16_bn'), ''],
    ...['### Some CPU, avx512, 2 threads', '', ...head, row('vgg16_bn')],
  ]);
});

test('what is recorded are shares of a step, the largest first', () => {
  for (const { milliseconds, roofline, parts } of readProfiles()) {
    expect(milliseconds).toBeGreaterThan(0);
    expect(roofline).toBeGreaterThan(0);
    expect(parts.reduce((sum, part) => sum + part.share, 0)).toBeLessThanOrEqual(1.0001);
    expect(parts.map(part => part.share)).toEqual(parts.map(part => part.share).sort((a, b) => b - a));
  }
});
