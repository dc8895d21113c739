// import and export from end to end: a model goes out as a checkpoint, comes back by itself, and answers as before.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { FORMAT, saveModel } from '../../src/models/file.js';
import { defineState } from '../../src/models/weights.js';
import { Store } from '../../src/runtime/program.js';
import { buildNetwork } from '../../src/zoo/zoo.js';
import { dlcourse, type Ended } from './dlcourse.js';
import { scratchFolder } from './scratch.js';

const cwd = scratchFolder();
const run = (...args: string[]): Promise<Ended> => dlcourse(args, { cwd });
const json = (ended: Ended) => JSON.parse(ended.stdout);

test('a model goes out, comes back and answers as before', async () => {
  const model = await buildNetwork('resnet20', [32, 32, 3], 3, { form: 'cifar' });
  const store = new Store();
  defineState(store, model.state, 3);
  const preprocessing = {
    ...{ height: 32, width: 32, channels: 3, fit: 'crop', cropFraction: 1, interpolation: 'linear' },
    ...{ mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  } as const;
  const card = { format: FORMAT, model: model.config, classes: ['a', 'b', 'c'], preprocessing };
  await saveModel(join(cwd, 'a.safetensors'), { model, card, store } as never);
  await sharp({ create: { width: 32, height: 32, channels: 3, background: '#3a7' } })
    .png()
    .toFile(join(cwd, 'x.png'));
  writeFileSync(join(cwd, 'names.txt'), 'a\nb\nc\n');

  const exported = await run('export', 'a.safetensors', '-o', 'a.pth', '--json');
  expect(json(exported)).toEqual({
    ...{ file: 'a.pth', from: 'a.safetensors', model: 'resnet20', format: 'pytorch', layout: 'akamaster' },
    ...{ tensors: 97 + 19, background: false },
  });
  const imported = await run('import', 'a.pth', '-o', 'b.safetensors', '--classes', 'names.txt', '--json');
  expect(json(imported)).toMatchObject({
    ...{ file: 'b.safetensors', from: ['a.pth'], model: 'resnet20', form: 'cifar', layout: 'akamaster' },
    ...{ classes: 3, auxiliary: false, prefix: '', names: ['a', 'b', 'c'], preprocessing },
  });
  expect(imported.stderr).toContain('a.pth: resnet20 (form cifar) in the names of akamaster, 3 classes\n');
  // The same weights and the same card make the same file.
  expect(readFileSync(join(cwd, 'b.safetensors')).equals(readFileSync(join(cwd, 'a.safetensors')))).toBe(true);

  const again = await run('import', 'b.safetensors', '-o', 'c.safetensors');
  expect(again).toMatchObject({ status: 2, stderr: expect.stringContaining('got a model of dlcourse; eval, predict') });

  const [ours, foreign] = [await run(...answer('a.safetensors')), await run(...answer('a.pth'))];
  const probabilities = (ended: Ended) =>
    json(ended).images[0].predictions.map((p: { probability: number }) => p.probability);
  expect(probabilities(ours)).toHaveLength(3);
  expect(probabilities(foreign)).toEqual(probabilities(ours));
  expect(foreign.stderr).toContain('classes have numbers for names');
});

const answer = (weights: string) => ['predict', 'x.png', '--weights', weights, '--json'];
