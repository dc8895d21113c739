// What goes wrong at the command line: one line that says what was expected, and a documented status.

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { writeSafetensors } from '../../src/io/safetensors.js';
import { dlcourse } from './dlcourse.js';
import { scratchFolder } from './scratch.js';

const cwd = scratchFolder();
writeFileSync(join(cwd, 'text.jpg'), 'this is no picture');
writeFileSync(join(cwd, 'short.safetensors'), 'abc');
writeFileSync(join(cwd, 'key.json'), '{"values": {"epochz": 3}}');
writeFileSync(join(cwd, 'value.json'), '{"lr": "fast"}');
writeFileSync(join(cwd, 'broken.json'), '{"lr": ');
mkdirSync(join(cwd, 'pictures/cat'), { recursive: true });
writeFileSync(join(cwd, 'pictures/cat/bad.png'), 'x');
await writeSafetensors(
  join(cwd, 'foreign.safetensors'),
  [{ name: 'w', dtype: 'F32', shape: [1], data: Float32Array.of(1) }],
  [],
);

/** Arguments, status, what the message says. */
const mistakes: [string, number, RegExp][] = [
  ['trian', 2, /^dlcourse: command: expected one of train, .*, got 'trian'; did you mean 'train'\?$/],
  ['train --epoch 3', 2, /^dlcourse: train: expected one of its options, got '--epoch'; did you mean '--epochs'\?$/],
  ['train --epochs 1e', 2, /^dlcourse: --epochs: expected a whole number of at least 1, got '1e'$/],
  ['train --epochs 2.5', 2, /--epochs: .*got '2\.5'/],
  ['train --epochs 0', 2, /--epochs: .*got '0'/],
  ['train --lr NaN', 2, /--lr: expected a number from 0 to 1000000, got 'NaN'/],
  ['train --lr Infinity', 2, /--lr: .*got 'Infinity'/],
  ['train --lr', 2, /--lr: expected a value, got none/],
  ['train --batch-size 0x40', 2, /--batch-size: .*got '0x40'/],
  ['train --optimizer sdg', 2, /--optimizer: expected one of sgd, .*got 'sdg'; did you mean 'sgd'\?/],
  ['train --schedule cosin', 2, /--schedule: .*did you mean 'cosine'\?/],
  ['train --augment crop,flop', 2, /expected .*'flop'; did you mean 'flip'\?/],
  ['train --input 32y32', 2, /--input: expected height x width in pixels, such as 32x32, got '32y32'/],
  ['train --save-every soon', 2, /--save-every: expected steps or minutes, such as 500 or 10m, got 'soon'/],
  ['train --model resnt20', 2, /got 'resnt20'; did you mean 'resnet20'\?/],
  ['train --model resnet20 --form imagenet', 2, /resnet20: expected form cifar, got 'imagenet'/],
  ['train --accumulate 3', 2, /expected a multiple of 3 micro-batches, got 64/],
  ['train --data stikers', 66, /stikers: .*did you mean 'stickers'\?/],
  ['train --data ./nowhere', 66, /nowhere: expected/],
  ['train --data pictures', 65, /bad\.png/],
  ['train extra', 2, /train: expected options only, got 'extra' too/],
  ['train --config key.json', 2, /key\.json: expected names of settings, got 'epochz'; did you mean 'epochs'\?/],
  ['train --config value.json', 2, /value\.json: lr: expected a number .*got 'fast'/],
  ['train --config broken.json', 2, /broken\.json: expected JSON/],
  ['train --config none.json', 66, /none\.json/],
  ['train --name a/b', 2, /--name: expected a folder's name, got 'a\/b'/],
  ['train --resume nowhere', 66, /nowhere: expected a run folder .*got nothing of that name/],
  ['train --resume pictures', 66, /pictures: expected a run folder .*got another folder/],
  [
    'train --init foreign.safetensors --epochs 1',
    78,
    /foreign\.safetensors: expected the tensors of a known network, got 1 others/,
  ],
  ['eval', 2, /eval: expected RUN\|WEIGHTS, got nothing/],
  ['eval nowhere', 66, /nowhere: expected a run folder or a model file/],
  ['eval short.safetensors', 67, /short\.safetensors: expected at least 8 bytes, got 3/],
  ['eval foreign.safetensors', 78, /foreign\.safetensors: expected the tensors of a known network, got 1 others/],
  ['predict', 2, /predict: expected pictures or --tensor, got nothing/],
  ['predict text.jpg --weights nowhere', 66, /nowhere/],
  ['predict text.jpg --top 0', 2, /--top/],
  ['predict text.jpg --crops 7', 2, /--crops: expected 1, 2, 5, 6, 10 or 144, got '7'/],
  ['predict text.jpg --crop 0', 2, /--crop: expected height x width .*got '0'/],
  ['predict --logits text.jpg', 2, /--logits: expected a name that ends in \.npy or \.json, .*after the pictures$/],
  ['predict --tensor x.npy --crops 10', 2, /--tensor: expected rows that are taken as they are, got --crops/],
  ['predict --tensor x.npy --resize 64', 2, /--tensor: .*got --resize/],
  ['eval text.jpg --crops 3', 2, /--crops: expected 1, 2, 5, 6, 10 or 144, got '3'/],
  ['models resnet2', 2, /did you mean 'resnet20'\?/],
  ['models resnet18 --svg x.svg --unfold stage9', 2, /--unfold: expected a module of resnet18, .*did you mean 'stage/],
  ['models --svg x.svg', 2, /--svg: expected the name of a network/],
  ['models resnet18 --unfold', 2, /--unfold: expected --svg beside it/],
  ['models resnet18 --svg no/where.svg', 74, /where\.svg/],
  ['models vgg16 --input 1x1', 2, /features\.\d+: expected/],
  ['data gte', 2, /data: expected one of ls, get, info, make, got 'gte'; did you mean 'get'\?/],
  ['data get cifar11', 66, /did you mean 'cifar10'\?/],
  ['data make pictures', 2, /pictures: expected a new or empty folder/],
  ['data make new --size 8x9', 2, /--size: expected a square/],
  ['import foreign.safetensors', 2, /import: required option '-o, --out <file>' not specified/],
  ['import foreign.safetensors -o text.jpg', 2, /text\.jpg: expected a new file, got one that exists; .*--force/],
  ['import foreign.safetensors -o x --layout torchvison', 2, /--layout: .*did you mean 'torchvision'\?/],
  ['import foreign.safetensors -o x --model resnt20', 2, /got 'resnt20'; did you mean 'resnet20'\?/],
  ['import foreign.safetensors -o x --model resnet20', 78, /of resnet20 \(cifar, akamaster\), but 97 missing .*'w'/],
  ['import foreign.safetensors foreign.safetensors -o x', 78, /expected other tensors .*got 'w' again/],
  ['export nowhere -o x', 66, /nowhere: expected a run folder or a model file/],
  ['export short.safetensors -o text.jpg', 2, /text\.jpg: expected a new file/],
  ['bench --isa sse2', 2, /--isa: expected one of scalar, .*got 'sse2'/],
  ['bench --compare nowhere', 66, /nowhere: expected what 'bench --json' printed, got ENOENT/],
  ['bench --compare text.jpg', 67, /text\.jpg: expected what 'bench --json' printed, got something else/],
  ['bench --kernels --model lenet5', 2, /bench: expected --kernels or --model, got both/],
];

describe('a mistake', () => {
  test.each(mistakes)('dlcourse %s', async (line, status, message) => {
    const ended = await dlcourse(line.split(' '), { cwd });
    expect(ended.stderr).toMatch(/^[^\n]*\n$/);
    expect(ended.stderr.trimEnd()).toMatch(message);
    expect(ended.stdout).toBe('');
    expect(ended.status).toBe(status);
  });

  test('leaves no run folder behind', () => {
    expect(readdirSync(cwd, { recursive: true }).filter(name => `${name}`.startsWith('runs/'))).toEqual([]);
  });

  test('in the environment names the variable', async () => {
    const ended = await dlcourse(['train'], { cwd, env: { DLCOURSE_EPOCHS: 'many' } });
    expect(ended).toMatchObject({
      status: 2,
      stderr: "dlcourse: DLCOURSE_EPOCHS: expected a whole number of at least 1, got 'many'\n",
    });
  });

  test('with --json is one object on stdout too', async () => {
    const ended = await dlcourse(['train', '--epochs', 'x', '--json'], { cwd });
    expect(JSON.parse(ended.stdout)).toEqual({
      error: { code: 'E_OPTION', exit: 2, message: "--epochs: expected a whole number of at least 1, got 'x'" },
    });
  });
});
