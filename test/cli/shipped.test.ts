// The weights that the package carries: what `predict` takes before any training.

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { openDataset } from '../../src/data/open.js';
import { loadModel } from '../../src/models/file.js';
import { packageRoot } from '../../src/package.js';
import { dlcourse } from './dlcourse.js';
import { scratchFolder } from './scratch.js';

const cwd = scratchFolder();
const folder = join(packageRoot, 'datasets', 'weights');
const file = join(folder, 'cifar10-resnet20.safetensors');
const classes = 'airplane automobile bird cat deer dog frog horse ship truck'.split(' ');

/** CIFAR-10, where the user has it, and strongly compressed copies of half its test images. */
const cifar10 = await openDataset('cifar10').catch(() => undefined);
const copies = join(packageRoot, '..', 'shared', 'data', 'cifar10-jpg.tar.gz');

/** Runs a test where its data is, and elsewhere skips it with a notice. */
const where = (present: boolean) => (present ? test : test.skip);

async function accuracy(data: string, atLeast: number, images: number): Promise<void> {
  const ended = await dlcourse(['eval', file, '--data', data, '--min-accuracy', String(atLeast), '--json', '-q'], {
    cwd,
  });
  expect(ended.status).toBe(0);
  expect(JSON.parse(ended.stdout)).toMatchObject({ model: 'resnet20', images });
}

describe('shipped weights', () => {
  test('are small, and say what they name', async () => {
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).size).toBeLessThanOrEqual(2e6);
    const { model, card } = await loadModel(file);
    expect(model.name).toBe('resnet20');
    expect(card.classes).toEqual(classes);
  });

  test('predict takes them where nothing was trained, and says so', async () => {
    const sky = sharp({ create: { width: 48, height: 32, channels: 3, background: '#4080ff' } });
    writeFileSync(join(cwd, 'sky.png'), await sky.png().toBuffer());
    const ended = await dlcourse(['predict', 'sky.png', '--top', '10', '--json'], { cwd });
    expect(ended.status).toBe(0);
    expect(ended.stderr).toContain('cifar10-resnet20.safetensors');
    const { predictions } = JSON.parse(ended.stdout).images[0] as {
      predictions: { label: string; probability: number }[];
    };
    expect(predictions.map(p => p.label).sort()).toEqual(classes);
    expect(predictions.reduce((sum, p) => sum + p.probability, 0)).toBeCloseTo(1, 5);
  });

  where(cifar10 !== undefined)('name 90 % of the 10,000 test images of CIFAR-10', () =>
    accuracy('cifar10', 0.9, 10_000),
  );

  where(existsSync(copies))('name three in four of 5,000 strongly compressed ones', () => {
    execFileSync('tar', ['-xzf', copies, '-C', cwd, 'cifar10-jpg/test']);
    return accuracy('cifar10-jpg', 0.75, 5_000);
  });
});
