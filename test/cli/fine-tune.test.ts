// Fine-tuning and recipes from the command line: a trained model on other classes, stopped and resumed around the switch.

import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { loadModel } from '../../src/models/file.js';
import { dlcourse, type Ended } from './dlcourse.js';
import { scratchFolder } from './scratch.js';

const cwd = scratchFolder();
const env = { DLCOURSE_CACHE: join(cwd, 'cache') };
const run = (...args: string[]): Promise<Ended> => dlcourse(args, { cwd, env });
const read = (...path: string[]) => readFileSync(join(cwd, ...path));
const config = (name: string) => JSON.parse(read('runs', name, 'config.json').toString());

beforeAll(async () => {
  await run('data', 'make', 'ten', '--train', '40', '--test', '20', '--size', '16');
  for (const split of ['train', 'test']) {
    for (const name of ['cat', 'car', 'boat'])
      cpSync(join(cwd, 'ten', split, name), join(cwd, 'three', split, name), { recursive: true });
  }
  const small = ['--data', 'ten', '--model', 'resnet20', '--epochs', '1', '--batch-size', '8', '--lr', '0.01'];
  expect((await run('train', ...small, '--name', 'base')).status).toBe(0);
});

const tune = ['train', '--init', 'runs/base', '--data', 'three', '--batch-size', '4', '--save-every', '1'];

describe('train --init', () => {
  test('without --model takes the model of the weights with a new head, and keeps what is frozen', async () => {
    const ended = await run(...tune, '--epochs', '1', '--freeze', 'backbone', '--name', 'frozen', '--json');
    expect(ended.status).toBe(0);
    expect(JSON.parse(ended.stdout)).toMatchObject({ model: 'resnet20', data: 'three' });
    expect(ended.stderr).toMatch(/^head: 10 → 3 classes$/m);
    expect(ended.stderr).toMatch(/^\d+ tensors loaded; 2 new: fc\.weight, fc\.bias; 2 unused: fc\.weight, fc\.bias$/m);
    const [before, after] = await Promise.all(
      ['base', 'frozen'].map(name => loadModel(join(cwd, 'runs', name, 'model.safetensors'))),
    );
    expect(after!.card.classes).toEqual(['boat', 'car', 'cat']);
    expect(after!.card.preprocessing).toEqual(before!.card.preprocessing);
    // What is frozen in training is no property of the model.
    expect(JSON.stringify(after!.card.model)).not.toContain('"frozen":true');
    for (const { name } of before!.model.state.filter(s => !s.name.startsWith('fc.'))) {
      expect([name, after!.store.read(name)]).toEqual([name, before!.store.read(name)]);
    }
    expect(config('frozen')).toMatchObject({
      values: { freeze: 'backbone', lr: 0.0025, init: join(cwd, 'runs/base/model.safetensors') },
      origins: { freeze: 'flag', lr: 'default' },
    });
    expect(config('frozen').values).not.toHaveProperty('model');
  });

  test('is repeated by its config, and resumed on both sides of the switch, to the byte', async () => {
    const args = [
      ...tune,
      '--epochs',
      '4',
      '--freeze',
      'stem,stage1',
      '--unfreeze-after',
      '2',
      '--backbone-lr',
      '1e-3',
    ];
    expect((await run(...args, '--name', 'whole')).status).toBe(0);
    expect((await run('train', '--config', 'runs/whole/config.json', '--name', 'again')).status).toBe(0);
    const whole = read('runs/whole/model.safetensors');
    expect(read('runs/again/model.safetensors').equals(whole)).toBe(true);
    // Three steps an epoch: killed in the second epoch and in the third.
    for (const at of [5, 7]) {
      const name = `killed-${at}`;
      let killed = false;
      const onStderr = (text: string, child: { kill: (s: NodeJS.Signals) => boolean }): void => {
        if (killed || !text.includes(`"step":${at}}`)) return;
        killed = child.kill('SIGKILL');
      };
      const first = await dlcourse([...args, '--name', name, '--progress', 'json'], { cwd, env, onStderr });
      expect([killed, first.status]).toEqual([true, null]);
      const events = first.stderr.split('\n').flatMap(line => (line.endsWith('}') ? [JSON.parse(line)] : []));
      expect(events.find(e => e.event === 'initial')).toMatchObject({
        ...{ fresh: ['fc.weight', 'fc.bias'], unused: ['fc.weight', 'fc.bias'], head: { from: 10, to: 3 } },
        loaded: expect.arrayContaining(['stem.conv.weight']),
      });
      expect((await run('train', '--resume', `runs/${name}`)).status).toBe(0);
      expect(read('runs', name, 'model.safetensors').equals(whole)).toBe(true);
    }
  }, 120_000);

  test('goes to another input where the shapes allow, and is refused for another model', async () => {
    const larger = await run(...tune, '--epochs', '1', '--input', '24', '--name', 'larger');
    expect(larger.status).toBe(0);
    const { model, card } = await loadModel(join(cwd, 'runs/larger/model.safetensors'));
    expect(model.inputShape()).toEqual([24, 24, 3]);
    expect(card.preprocessing).toMatchObject({ height: 24, width: 24 });
    const other = await run(...tune, '--model', 'resnet32');
    expect(other.status).toBe(78);
    expect(other.stderr).toMatch(
      /^dlcourse: runs\/base\/model\.safetensors: expected the tensors of resnet32, but stage1\.3\./m,
    );
    const nothing = await run(...tune, '--freeze', 'stages');
    expect(nothing.status).toBe(2);
    expect(nothing.stderr).toMatch(
      /freeze: expected backbone or the path of tensors of resnet20, got 'stages', .*did you mean 'stage/,
    );
  });
});

const weights =
  process.env['DLCOURSE_WEIGHTS'] ?? fileURLToPath(new URL('../../../../shared/data/weights/', import.meta.url));
const mobilenet = join(weights, 'imagenet-mobilenet_v1_0.25_224.pth');

(existsSync(mobilenet) ? test : test.skip)(
  "PyTorch's weights are taken as they are (needs ../shared/data)",
  async () => {
    const args = ['train', '--init', mobilenet, '--data', 'three', '--input', '32', '--freeze', 'backbone'];
    const ended = await run(...args, '--epochs', '1', '--name', 'foreign', '--json');
    expect(ended.status).toBe(0);
    expect(ended.stderr).toMatch(/^head: 1000 → 3 classes$/m);
    expect(ended.stderr).toMatch(/tensors loaded; 2 new: fc\.weight, fc\.bias; 2 unused: fc\.weight, fc\.bias$/m);
    const { card } = await loadModel(join(cwd, 'runs/foreign/model.safetensors'));
    expect(card.preprocessing).toMatchObject({ height: 32, width: 32, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] });
    const twice = await run(...args, '--form', 'imagenet');
    expect([twice.status, twice.stderr]).toEqual([2, expect.stringContaining('--form: expected --model beside it')]);
  },
);

describe('train --recipe', () => {
  test("paper takes the paper's values, shows them with their source, and gives way to flags", async () => {
    const args = [
      'train',
      '--data',
      'ten',
      '--model',
      'alexnet',
      '--input',
      '32',
      '--recipe',
      'paper',
      '--epochs',
      '2',
    ];
    const ended = await run(...args, '--lr', '0.001', '--name', 'alexnet');
    expect(ended.status).toBe(0);
    expect(ended.stderr).toMatch(
      /^recipe paper, after Krizhevsky et al\. 2012, .*: epochs 2 \(flag\), batchSize 8, optimizer sgd, lr 0\.001 \(flag\), /m,
    );
    expect(config('alexnet')).toMatchObject({
      values: {
        ...{ recipe: 'paper', lr: 0.001, momentum: 0.9, nesterov: false, weightDecay: 5e-4, schedule: 'multi_step' },
        ...{ milestones: '0.5,1,1.5', augment: 'crop=2,flip,lighting=0.1', initialisation: 'normal_0.01' },
      },
      origins: { recipe: 'flag', lr: 'flag', momentum: 'recipe', milestones: 'recipe', seed: 'default' },
    });
  }, 120_000);

  test('stochastic_depth is for residual networks', async () => {
    const ended = await run(
      'train',
      '--data',
      'ten',
      '--model',
      'vgg11',
      '--input',
      '32',
      '--recipe',
      'stochastic_depth',
    );
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/expected a network with residual sums, got vgg11/);
  });

  test('options of residual networks are part of the model, and of what is resumed', async () => {
    const args = ['train', '--data', 'ten', '--model', 'resnet20', '--epochs', '1', '--batch-size', '8'];
    const ended = await run(...args, '--stochastic-depth', '0.5', '--squeeze-excitation', '--name', 'options');
    expect(ended.status).toBe(0);
    const { model } = await loadModel(join(cwd, 'runs/options/model.safetensors'));
    expect(model.config.layers.filter(node => node.path.endsWith('stochastic_depth'))).toHaveLength(9);
    expect(model.state.some(s => s.name.includes('squeeze_excitation.fc2.weight'))).toBe(true);
    expect(config('options').values).toMatchObject({ stochasticDepth: 0.5, squeezeExcitation: true });
  });
});
