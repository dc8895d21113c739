// The commands from end to end, as a user would use them: a small data set, a training, and what follows from it.

import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { cropsOf } from '../../src/data/crops.js';
import { loadPicture } from '../../src/data/image.js';
import { encodeNpy, readNpy } from '../../src/io/npy.js';
import { loadModel } from '../../src/models/file.js';
import { load } from '../../src/train/learner.js';
import type { Prediction } from '../../src/train/metrics.js';
import { dlcourse, type Ended } from './dlcourse.js';
import { scratchFolder } from './scratch.js';

const cwd = scratchFolder();
const env = { DLCOURSE_CACHE: join(cwd, 'cache') };
const run = (...args: string[]): Promise<Ended> => dlcourse(args, { cwd, env });
const small = [
  'train',
  '--data',
  'small',
  '--model',
  'lenet5',
  '--batch-size',
  '8',
  '--lr',
  '0.01',
  '--augment',
  'flip',
];
const json = (ended: Ended) => JSON.parse(ended.stdout);
const read = (...path: string[]) => readFileSync(join(cwd, ...path));

let trained: Ended;
beforeAll(async () => {
  const made = await run('data', 'make', 'small', '--train', '40', '--test', '20', '--json');
  expect(json(made)).toMatchObject({ train: 40, test: 20, size: 32 });
  trained = await run(...small, '--epochs', '2', '--json');
});

describe('train', () => {
  test('--json prints the documented keys as one object', () => {
    expect(trained.status).toBe(0);
    const report = json(trained);
    expect(report).toMatchObject({ run: 'runs/lenet5-small-1', model: 'lenet5', data: 'small', epochs: 2, seed: 1 });
    expect(report.test).toMatchObject({ images: 20 });
    for (const key of ['loss', 'top1', 'top5']) expect(typeof report.test[key]).toBe('number');
    for (const key of ['imagesPerSecond', 'peakMemoryBytes']) expect(report[key]).toBeGreaterThan(0);
    expect(existsSync(join(cwd, report.weights))).toBe(true);
  });

  test('in a pipe writes plain lines, an epoch each', () => {
    const lines = trained.stderr.trimEnd().split('\n');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is there is the point
    expect(trained.stderr).not.toMatch(/[\r\u001b]/);
    expect(lines.filter(line => /^epoch [12]\/2 {2}loss \d/.test(line))).toHaveLength(2);
  });

  test('--checkpoint-activations writes the same bytes', async () => {
    const again = [...small, '--epochs', '2', '--checkpoint-activations', '--name', 'less', '--json'];
    expect((await run(...again)).status).toBe(0);
    expect(read('runs/less/model.safetensors')).toEqual(read('runs/lenet5-small-1/model.safetensors'));
    expect(JSON.parse(read('runs/less/config.json').toString()).values).toMatchObject({
      checkpointActivations: true,
    });
  });

  test('what does not fit into memory is refused at once, with the batch size that does', async () => {
    const args = ['train', '--data', 'small', '--model', 'resnet18', '--batch-size', '40', '--name', 'large', '--json'];
    const less = { ...env, DLCOURSE_MEMORY: '350M' };
    const { status, stdout } = await dlcourse(args, { cwd, env: less });
    expect(status).toBe(71);
    const { error } = JSON.parse(stdout);
    expect(error).toMatchObject({ code: 'E_MEMORY', exit: 71 });
    expect(error.message).toMatch(/^training resnet18 on batches of 40: expected to need at most 350 MiB/);
    const fits = Number(/the largest batch size that fits is (\d+)/.exec(error.hint)?.[1]);
    expect(fits).toBeGreaterThan(4);
    expect(fits).toBeLessThan(40);
    expect(existsSync(join(cwd, 'runs/large'))).toBe(false);
    const bench = ['bench', '--model', 'resnet18', '--input', '32x32', '--json'];
    expect(json(await dlcourse(bench, { cwd, env: less })).error).toMatchObject({ code: 'E_MEMORY', exit: 71 });
  });

  test('--recipe fast brings its network and its epochs; eval tests as it did', async () => {
    const args = [
      'train',
      '--data',
      'small',
      '--recipe',
      'fast',
      '--batch-size',
      '20',
      '--epochs',
      '2',
      '--name',
      'fast',
    ];
    const { status, stderr, stdout } = await run(...args, '--json');
    expect(status).toBe(0);
    expect(stderr).toMatch(/^recipe fast, after Jordan 2024.*epochs 2 \(flag\).*whiten true, testCrops 6, testEvery 2/);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ model: 'airbench94', epochs: 2, test: { images: 20 } });
    expect(JSON.parse(read('runs/fast/config.json').toString())).toMatchObject({
      values: { model: 'airbench94', epochs: 2, lookahead: expect.closeTo(0.95 ** 5) },
      origins: { model: 'recipe', epochs: 'flag' },
    });
    const evaluated = json(await run('eval', 'runs/fast', '--json'));
    expect(evaluated).toMatchObject({ images: 20, top1: report.test.top1 });
    expect(evaluated.loss).toBeCloseTo(report.test.loss, 5);
    const once = json(await run('eval', 'runs/fast', '--crops', '1', '--json'));
    expect(once.loss).not.toBeCloseTo(report.test.loss, 5);
    const given = await run(...args.slice(0, -1), 'again', '--init', 'runs/fast', '--json');
    expect(given.status).toBe(2);
    expect(JSON.parse(given.stdout).error).toMatchObject({ code: 'E_WHITEN' });
  });

  test('fills the run folder', () => {
    const names = readdirSync(join(cwd, 'runs/lenet5-small-1'));
    const wanted = ['augmented.png', 'checkpoints', 'config.json', 'confusion.svg', 'curves.svg'];
    expect(names).toEqual(
      expect.arrayContaining([...wanted, 'metrics.csv', 'metrics.jsonl', 'model.safetensors', 'report.json']),
    );
  });

  test('stores each value with its origin: flag before environment before config before default', async () => {
    writeFileSync(join(cwd, 'my.json'), JSON.stringify({ ...{ epochs: 7, seed: 5, clip: 3, ema: 0.9 }, batchSize: 5 }));
    const args = [
      'train',
      '--data',
      'small',
      '--model',
      'lenet5',
      '--epochs',
      '1',
      '--config',
      'my.json',
      '--name',
      'origins',
    ];
    const ended = await dlcourse(args, { cwd, env: { ...env, DLCOURSE_SEED: '9', DLCOURSE_EPOCHS: '3' } });
    expect(ended.status).toBe(0);
    const { values, origins } = JSON.parse(read('runs/origins/config.json').toString());
    expect(values).toMatchObject({
      epochs: 1,
      seed: 9,
      clip: 3,
      ema: 0.9,
      batchSize: 5,
      optimizer: 'sgd',
      lr: 0.02795,
    });
    expect(origins).toMatchObject({
      epochs: 'flag',
      seed: 'environment',
      clip: 'config',
      optimizer: 'default',
      lr: 'default',
    });
    expect(values).not.toHaveProperty('name');
  });

  test('--config repeats a run, to the byte', async () => {
    const ended = await run('train', '--config', 'runs/lenet5-small-1/config.json', '--json', '-q');
    expect(json(ended).run).toBe('runs/lenet5-small-2');
    expect(ended.stderr).toBe('');
    expect(read('runs/lenet5-small-2/model.safetensors').equals(read('runs/lenet5-small-1/model.safetensors'))).toBe(
      true,
    );
  });

  test('refuses a run whose configuration is damaged', async () => {
    cpSync(join(cwd, 'runs/lenet5-small-1'), join(cwd, 'runs/damaged'), { recursive: true });
    writeFileSync(join(cwd, 'runs/damaged/config.json'), '{"values": {');
    const ended = await run('train', '--resume', 'runs/damaged');
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/runs\/damaged\/config\.json: expected JSON, got /);
  });

  test('never touches an existing run', async () => {
    const before = read('runs/lenet5-small-1/report.json');
    const ended = await run(...small, '--epochs', '1', '--name', 'lenet5-small-1');
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/--name: expected a new folder, got runs\/lenet5-small-1, which exists; .*--resume/);
    expect(read('runs/lenet5-small-1/report.json').equals(before)).toBe(true);
  });

  test('another optimizer brings its own rate', async () => {
    const args = [
      'train',
      '--data',
      'small',
      '--model',
      'lenet5',
      '--epochs',
      '1',
      '--optimizer',
      'adam',
      '--name',
      'adam',
    ];
    expect((await run(...args)).status).toBe(0);
    expect(JSON.parse(read('runs/adam/config.json').toString()).values).toMatchObject({ lr: 0.001, weightDecay: 0 });
  });

  test('--init begins with given weights', async () => {
    const args = [...small, '--epochs', '1', '--lr', '0', '--name', 'init', '--init', 'runs/lenet5-small-1', '--json'];
    const ended = await run(...args, '--weight-decay', '0');
    // With a rate of 0 the weights are still those that were given.
    expect(json(ended).test.loss).toBe(json(trained).test.loss);
  });

  test('--min-accuracy fails with status 80 and prints the result all the same', async () => {
    const ended = await run(...small, '--epochs', '1', '--name', 'gate', '--min-accuracy', '1', '--json');
    expect(ended.status).toBe(80);
    expect(json(ended)).toMatchObject({ run: 'runs/gate', error: { code: 'E_MIN_ACCURACY', exit: 80 } });
    expect(ended.stderr).toMatch(/^dlcourse: runs\/gate: expected a test accuracy of at least 1, got 0\.?\d*; /m);
  });

  test('--progress json writes JSON lines on stderr, the next command ends stdout', async () => {
    const ended = await run(...small, '--epochs', '1', '--name', 'lines', '--progress', 'json');
    const events = ended.stderr
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line));
    expect(events.map(e => e.event)).toEqual(expect.arrayContaining(['start', 'step', 'epoch', 'saved']));
    expect(ended.stdout.trimEnd().split('\n').at(-1)).toBe('dlcourse predict PICTURE.jpg');
  });
});

describe('interrupt and resume', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s saves and says how to go on; the end is as if nothing had happened', async (signal, status) => {
    const name = `stopped-${signal}`;
    const long = [...small, '--epochs', '12', '--progress', 'json', '--name', name];
    let sent = false;
    const onStderr = (text: string, child: { kill: (s: NodeJS.Signals) => boolean }): void => {
      if (sent || !text.includes('"event":"step"')) return;
      sent = true;
      child.kill(signal);
    };
    const stopped = await dlcourse(long, { cwd, env, onStderr });
    expect(stopped.status).toBe(status);
    expect(stopped.stderr).toMatch(
      new RegExp(`everything is saved; go on with: dlcourse train --resume runs/${name}\n$`),
    );
    expect(existsSync(join(cwd, 'runs', name, 'report.json'))).toBe(false);

    const other = await run('train', '--resume', `runs/${name}`, '--epochs', '13');
    expect(other.status).toBe(78);
    expect(other.stderr).toBe(
      `dlcourse: --epochs: expected 12 as in runs/${name}, got 13; ` +
        'leave it out, or begin a new run with --init and the weights of this one\n',
    );
    const resumed = await run('train', '--resume', `runs/${name}`, '--threads', '1', '--json');
    expect(resumed.status).toBe(0);
    expect(json(resumed)).toMatchObject({ run: `runs/${name}`, epochs: 12 });
    const whole = `whole-${signal}`;
    await run(...long.slice(0, -1), whole);
    expect(read('runs', name, 'model.safetensors').equals(read('runs', whole, 'model.safetensors'))).toBe(true);
  });

  test('a finished run says so', async () => {
    const ended = await run('train', '--resume', 'runs/lenet5-small-1', '--json');
    expect(ended.status).toBe(0);
    expect(ended.stderr).toMatch(/is finished/);
    expect(json(ended).test).toEqual(json(trained).test);
  });
});

describe('eval', () => {
  test('finds what the training found, on a run and on its model file', async () => {
    for (const weights of ['runs/lenet5-small-1', 'runs/lenet5-small-1/model.safetensors']) {
      const ended = await run('eval', weights, '--json');
      const { test: found, model } = json(trained);
      expect(json(ended)).toMatchObject({ model, data: 'small', images: 20, top1: found.top1, top5: found.top5 });
      expect(json(ended).loss).toBeCloseTo(found.loss, 6);
      expect(json(ended).classes).toHaveLength(10);
    }
  });

  test('takes other data whole, and refuses other classes', async () => {
    mkdirSync(join(cwd, 'other'));
    for (const name of ['cat', 'car']) {
      mkdirSync(join(cwd, 'other', name));
      copyFileSync(join(cwd, `small/test/${name}/0001.webp`), join(cwd, `other/${name}/a.webp`));
    }
    const ended = await run('eval', 'runs/lenet5-small-1', '--data', 'other', '--json');
    expect(json(ended)).toMatchObject({ data: 'other', images: 2 });
    mkdirSync(join(cwd, 'foreign/spoon'), { recursive: true });
    copyFileSync(join(cwd, 'small/test/cat/0001.webp'), join(cwd, 'foreign/spoon/a.webp'));
    const refused = await run('eval', 'runs/lenet5-small-1', '--data', 'foreign');
    expect(refused.stderr).toMatch(/spoon/);
    expect(refused.status).not.toBe(0);
  });

  test('--min-accuracy', async () => {
    expect((await run('eval', 'runs/lenet5-small-1', '--min-accuracy', '0')).status).toBe(0);
    expect((await run('eval', 'runs/lenet5-small-1', '--min-accuracy', '1')).status).toBe(80);
  });
});

describe('predict', () => {
  const weights = ['--weights', 'runs/lenet5-small-1'];

  test('files, folders and patterns; a bad one sets the status and stops nothing', async () => {
    writeFileSync(join(cwd, 'bad.jpg'), 'no picture');
    const ended = await run(
      'predict',
      'small/test/cat',
      'bad.jpg',
      'small/**/car/0002.webp',
      ...weights,
      '--json',
      '--top',
      '3',
    );
    expect(ended.status).toBe(65);
    expect(ended.stderr).toMatch(/using runs\/lenet5-small-1\/model\.safetensors/);
    expect(ended.stderr).toMatch(/^dlcourse: bad\.jpg: expected a picture, got unknown data; /m);
    const { model, images, failed } = json(ended);
    expect(model).toBe('lenet5');
    const files = [
      'small/test/cat/0001.webp',
      'small/test/cat/0002.webp',
      'small/test/car/0002.webp',
      'small/train/car/0002.webp',
    ];
    expect(images.map((i: { file: string }) => i.file)).toEqual(files);
    for (const { predictions } of images) {
      expect(predictions).toHaveLength(3);
      expect(Object.keys(predictions[0])).toEqual(['index', 'label', 'probability']);
      expect(predictions[0].probability).toBeGreaterThanOrEqual(predictions[1].probability);
    }
    expect(failed).toEqual([{ file: 'bad.jpg', error: expect.objectContaining({ code: 'E_IMAGE', exit: 65 }) }]);
    const missing = await run('predict', 'none.png', 'none-*.png', ...weights, '--json');
    expect(missing.status).toBe(66);
    expect(json(missing)).toMatchObject({ images: [], failed: [{ file: 'none.png' }, { file: 'none-*.png' }] });
  });

  test('an array is answered like the picture that it came from', async () => {
    const file = join(cwd, 'small/test/boat/0001.webp');
    const pixels = await sharp(file).removeAlpha().raw().toBuffer();
    const { card } = await loadModel(join(cwd, 'runs/lenet5-small-1/model.safetensors'));
    const { mean, std } = card.preprocessing!;
    const nhwc = Float32Array.from(pixels, (byte, i) => (byte / 255 - mean[i % 3]!) / std[i % 3]!);
    const nchw = Float32Array.from(nhwc, (_, i) => nhwc[(i % 1024) * 3 + Math.floor(i / 1024)]!);
    writeFileSync(join(cwd, 'nhwc.npy'), encodeNpy(nhwc, [1, 32, 32, 3]));
    writeFileSync(join(cwd, 'nchw.npy'), encodeNpy(nchw, [1, 3, 32, 32]));
    const header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 32, 32, 3), }".padEnd(117);
    writeFileSync(
      join(cwd, 'u8.npy'),
      Buffer.concat([Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1'), Buffer.from(`${header}\n`), pixels]),
    );
    const planes = Uint8Array.from(pixels, (_, i) => pixels[(i % 1024) * 3 + Math.floor(i / 1024)]!);
    writeFileSync(
      join(cwd, 'u8-nchw.npy'),
      Buffer.concat([
        Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1'),
        Buffer.from(`${header.replace('32, 32, 3', '3, 32, 32')}\n`),
        planes,
      ]),
    );
    const [image, ...arrays] = await Promise.all([
      run('predict', file, ...weights, '--json', '--logits'),
      ...['nhwc', 'nchw', 'u8', 'u8-nchw'].map(name =>
        run('predict', '--tensor', `${name}.npy`, ...weights, '--json', '--logits'),
      ),
    ]);
    const logits = json(image!).images[0].logits as number[];
    expect(logits).toHaveLength(10);
    for (const array of arrays) {
      const found = json(array).images[0].logits as number[];
      found.forEach((value, i) => {
        expect(value).toBeCloseTo(logits[i]!, 4);
      });
    }
    const wrong = await run('predict', '--tensor', 'nhwc.npy', ...weights, '--threads', '0');
    expect(wrong.status).toBe(2);
  });

  test('--logits FILE writes those of all pictures', async () => {
    const files = ['small/test/cat/0001.webp', 'small/test/car/0001.webp'];
    const printed = await run('predict', ...files, ...weights, '--json', '--logits');
    const wanted = json(printed).images.map((i: { logits: number[] }) => i.logits);
    const array = await run('predict', ...files, ...weights, '--json', '--logits', 'logits.npy');
    expect(json(array).images[0]).not.toHaveProperty('logits');
    const { descr, shape, data } = await readNpy(join(cwd, 'logits.npy'));
    expect([descr, shape, [...data]]).toEqual(['<f4', [2, 10], wanted.flat()]);
    await run('predict', ...files, ...weights, '--logits', 'logits.json');
    const written = JSON.parse(read('logits.json').toString());
    expect(written.classes).toHaveLength(10);
    expect(written.images).toEqual(files.map((file, i) => ({ file, logits: wanted[i] })));
  });

  test('--crops averages the probabilities of crops that are asked about one by one', async () => {
    const file = 'small/test/cat/0001.webp';
    const ended = await run('predict', file, ...weights, '--resize', '40', '--crops', '10', '--top', '10', '--json');
    const learner = await load(join(cwd, 'runs/lenet5-small-1/model.safetensors'));
    const { card } = await loadModel(join(cwd, 'runs/lenet5-small-1/model.safetensors'));
    const { mean, std } = card.preprocessing!;
    const picture = await loadPicture(join(cwd, file), 3);
    const pixels = cropsOf(picture, { ...card.preprocessing!, cropFraction: 32 / 40 }, 10);
    const scores = await learner.predict(Float32Array.from(pixels, (v, i) => (v / 255 - mean[i % 3]!) / std[i % 3]!));
    const average = new Float64Array(10);
    for (let crop = 0; crop < 10; crop++) {
      const powers = [...scores.subarray(crop * 10, crop * 10 + 10)].map(Math.exp);
      const sum = powers.reduce((a, b) => a + b);
      powers.forEach((power, c) => {
        average[c]! += power / sum / 10;
      });
    }
    for (const { index, probability } of json(ended).images[0].predictions as Prediction[]) {
      expect(probability).toBeCloseTo(average[index]!, 5);
    }
    const [answer] = await learner.classify(join(cwd, file), { resize: 40, crops: 10, top: 10 });
    expect(answer!.predictions).toEqual(json(ended).images[0].predictions);
  });

  test('eval averages crops as predict does', async () => {
    const cut = ['--resize', '36', '--crops', '5', '--json'];
    const found = json(await run('eval', 'runs/lenet5-small-1', ...cut, '--batch-size', '8'));
    const { images } = json(await run('predict', 'small/test', ...weights, '--top', '10', ...cut));
    const answers = images as { file: string; predictions: Prediction[] }[];
    const own = answers.map(({ file, predictions }) => predictions.find(p => file.split('/')[2] === p.label)!);
    const right = answers.filter(({ file, predictions }) => file.split('/')[2] === predictions[0]!.label).length;
    expect(found).toMatchObject({ images: 20, top1: right / 20 });
    expect(found.loss).toBeCloseTo(own.reduce((sum, p) => sum - Math.log(p.probability), 0) / 20, 5);
    expect(found.loss).not.toBeCloseTo(json(trained).test.loss, 3);
  });

  test('another crop is refused where the weights would not fit', async () => {
    const ended = await run('predict', 'small/test/cat/0001.webp', ...weights, '--crop', '40');
    expect(ended.status).toBe(78);
    expect(ended.stderr).toMatch(/input 40×40×3: expected [\w.]+\.weight to be .*; stay at the 32×32×3 that lenet5/);
    const small = await run('predict', 'small/test/cat/0001.webp', ...weights, '--resize', '31');
    expect([small.status, small.stderr]).toEqual([2, expect.stringContaining("at least the crop's 32 pixels, got 31")]);
  });

  test('takes the newest finished run by default', async () => {
    const ended = await run('predict', 'small/test/cat/0001.webp', '--json');
    const reports = readdirSync(join(cwd, 'runs')).flatMap(name => {
      const report = join(cwd, 'runs', name, 'report.json');
      return existsSync(report) ? [{ name, at: statSync(report).mtimeMs }] : [];
    });
    const newest = reports.sort((a, b) => b.at - a.at)[0]!.name;
    expect(json(ended).weights).toBe(`runs/${newest}/model.safetensors`);
  });
});

describe('help and information', () => {
  test.each(['', 'train', 'eval', 'predict', 'models', 'data', 'data get', 'info', 'bench'])(
    '%s --help begins with examples',
    async verb => {
      const ended = await run(...verb.split(' ').filter(Boolean), '--help');
      expect(ended.status).toBe(0);
      expect(ended.stderr).toBe('');
      expect(ended.stdout).toMatch(/^Examples:\n {2}dlcourse /);
    },
  );

  test('--version', async () => {
    expect((await run('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test('models --svg', async () => {
    const drawn = json(await run('models', 'resnet20', '--svg', 'resnet20.svg', '--unfold', 'stage2.0', '--json'));
    expect(drawn).toMatchObject({ models: [{ name: 'resnet20' }], svg: 'resnet20.svg' });
    const svg = read('resnet20.svg').toString();
    expect(svg).toContain('<title>resnet20, cifar form</title>');
    expect(svg).toContain('stage2.0.sum.conv1');
    expect(svg).not.toContain('stage1.0.sum.conv1');
  });

  test('models', async () => {
    const { models } = json(await run('models', '--json'));
    const found = models.find((m: { name: string }) => m.name === 'resnet50');
    expect(found).toMatchObject({ family: 'ResNet', year: 2015 });
    expect(found.forms.find((f: { form: string }) => f.form === 'imagenet')).toMatchObject({
      ...{ input: [224, 224, 3], classes: 1000, params: 25_557_032 },
    });
    const [one] = json(await run('models', 'lenet5', '--input', '32x32', '--channels', '3', '--json')).models;
    expect(one.forms[0].layers[0]).toMatchObject({
      path: 'c1',
      kind: 'conv2d',
      output: [32, 32, 6],
      parameters: 456,
      multiplyAdds: 460_800,
    });
  });

  test('data ls, data info, info', async () => {
    const { datasets } = json(await run('data', 'ls', '--json'));
    expect(datasets.map((d: { name: string }) => d.name)).toContain('stickers');
    const found = json(await run('data', 'info', 'small', '--json'));
    expect(found).toMatchObject({ train: { images: 40 }, test: { images: 20 }, channels: 3, bad: [] });
    const info = json(await run('info', '--json'));
    expect(info.addon.isas).toContain(info.addon.isa);
  });

  test('data info lists bad files and fails', async () => {
    mkdirSync(join(cwd, 'mixed/cat'), { recursive: true });
    copyFileSync(join(cwd, 'small/test/cat/0001.webp'), join(cwd, 'mixed/cat/good.webp'));
    writeFileSync(join(cwd, 'mixed/cat/bad.webp'), '');
    const ended = await run('data', 'info', 'mixed', '--json');
    expect(ended.status).toBe(65);
    expect(json(ended).bad).toEqual([{ file: expect.stringContaining('bad.webp'), reason: 'is empty' }]);
  });

  test('names from files are shown without their control characters', async () => {
    mkdirSync(join(cwd, 'hostile/\u001b[31mred'), { recursive: true });
    copyFileSync(join(cwd, 'small/test/cat/0001.webp'), join(cwd, 'hostile/\u001b[31mred/\u001b[2J.webp'));
    const info = await run('data', 'info', 'hostile');
    expect(info.stdout).toContain('\\u{1b}[31mred');
    const answer = await run('predict', 'hostile', '--weights', 'runs/lenet5-small-1');
    expect(answer.stdout).toContain('\\u{1b}[2J.webp');
    expect(info.stdout + info.stderr + answer.stdout + answer.stderr).not.toContain('\u001b');
  });
});
