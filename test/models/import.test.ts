// Weights come and go: import, export and import again change no bit; preprocessing and names go with the model.

import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { LayoutName } from '../../src/io/layouts/layout.js';
import { openPytorch } from '../../src/io/pytorch.js';
import { openSafetensors } from '../../src/io/safetensors.js';
import { openWeights } from '../../src/io/weights-file.js';
import { classNames, namesOf } from '../../src/models/class-names.js';
import { type ExportFormat, exportModel } from '../../src/models/export.js';
import { FORMAT, type LoadedModel, loadModel, saveModel } from '../../src/models/file.js';
import { importModel } from '../../src/models/import.js';
import { Store } from '../../src/runtime/program.js';
import { buildNetwork, type Form } from '../../src/zoo/zoo.js';
import { errorOf } from '../io/fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'import-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

/** A network with other values in every place of every tensor. */
async function filledModel(name: string, form: Form, classes: number): Promise<LoadedModel> {
  const side = form === 'cifar' ? 32 : 224;
  const model = await buildNetwork(name, [side, side, 3], classes, { form });
  const store = new Store();
  let count = 0;
  for (const spec of model.state) {
    store.define(spec.name, spec.shape);
    const values = new Float32Array(spec.shape.reduce((p, d) => p * d, 1));
    for (let i = 0; i < values.length; i++) values[i] = ++count;
    store.write(spec.name, values);
  }
  const card = { format: FORMAT, model: model.config, classes: Array.from({ length: classes }, (_, i) => `c${i}`) };
  return { model, card, store };
}

/** A digest of every tensor. */
const valuesOf = ({ model, store }: LoadedModel): Record<string, string> =>
  Object.fromEntries(
    model.state.map(({ name }) => {
      const { buffer, byteOffset, byteLength } = store.read(name) as Float32Array;
      return [
        name,
        createHash('sha256')
          .update(new Uint8Array(buffer, byteOffset, byteLength))
          .digest('hex'),
      ];
    }),
  );

describe('there and back', () => {
  const cases: [name: string, form: Form, layout: LayoutName | undefined, expected: LayoutName][] = [
    ['squeezenet1_0', 'cifar', 'weiaicunzai', 'weiaicunzai'],
    ['resnet20', 'cifar', undefined, 'akamaster'],
    ['mobilenet_v1_x0_25', 'imagenet', undefined, 'kuangliu'],
    ['mobilenet_v2', 'imagenet', 'timm', 'timm'],
    ['squeezenet1_1', 'imagenet', undefined, 'torchvision'],
    ['shufflenet_v2_x0_5', 'cifar', undefined, 'kuangliu'],
    // Nobody else has it.
    ['preact_resnet164', 'cifar', undefined, 'dlcourse'],
  ];
  for (const [name, form, layout, expected] of cases) {
    for (const format of ['pytorch', 'safetensors'] as ExportFormat[]) {
      test(`${name}, ${form}, ${layout ?? 'default'}, ${format}`, async () => {
        const model = await filledModel(name, form, 10);
        const [file, again] = [at(`${name}.${format}`), at(`${name}-again.${format}`)];
        const exported = await exportModel(file, model, { format, layout });
        expect(exported).toMatchObject({ layout: expected, form, background: false });
        const options = { form, layout: expected };
        const back = await importModel([file], options);
        expect(valuesOf(back)).toEqual(valuesOf(model));
        expect(back.recognised).toMatchObject({ network: name, form, classes: 10 });
        await exportModel(again, back, { format, layout });
        expect(readFileSync(again).equals(readFileSync(file))).toBe(true);
      });
    }
  }
});

test('squeeze-and-excitation is a convolution elsewhere', async () => {
  const model = await filledModel('se_resnet18', 'cifar', 10);
  await exportModel(at('se.pth'), model, { format: 'pytorch' });
  const file = await openPytorch(at('se.pth'));
  expect(file.tensors.get('layer1.0.fc1.weight')?.shape).toEqual([4, 64, 1, 1]);
  await file.close();
  expect(valuesOf(await importModel([at('se.pth')]))).toEqual(valuesOf(model));
});

test('an exported checkpoint: contents at multiples of 64, counters for strict loading, PyTorch order of dimensions', async () => {
  const model = await filledModel('resnet20', 'cifar', 10);
  await exportModel(at('e.pth'), model, { format: 'pytorch' });
  const file = await openPytorch(at('e.pth'));
  expect(file.tensors.get('conv1.weight')).toMatchObject({ dtype: 'F32', shape: [16, 3, 3, 3], stride: [27, 9, 3, 1] });
  expect(file.tensors.get('linear.weight')?.shape).toEqual([10, 64]);
  // [oc, ic, kh, kw] of what lies as [kh, kw, ic, oc] here.
  const [theirs, ours] = [await file.float32('conv1.weight'), model.store.read('stem.conv.weight')];
  expect(theirs[((5 * 3 + 2) * 3 + 0) * 3 + 1]).toBe(ours[((0 * 3 + 1) * 3 + 2) * 16 + 5]);
  expect(file.tensors.get('layer3.2.bn2.num_batches_tracked')).toMatchObject({ dtype: 'I64', shape: [] });
  expect([...file.tensors.keys()].filter(n => n.endsWith('num_batches_tracked')).length).toBe(19);
  expect(file.scalars.size).toBe(0);
  await file.close();
  const bytes = readFileSync(at('e.pth'));
  let found = 0;
  for (let i = bytes.indexOf('PK\x03\x04'); i >= 0; i = bytes.indexOf('PK\x03\x04', i + 4)) {
    expect((i + 30 + bytes.readUInt16LE(i + 26) + bytes.readUInt16LE(i + 28)) % 64).toBe(0);
    found++;
  }
  expect(found).toBe(file.tensors.size + 3);
  await exportModel(at('e.safetensors'), model, { format: 'safetensors' });
  const other = await openSafetensors(at('e.safetensors'));
  expect(other.metadata.get('format')).toBe('pt');
  await other.close();
});

describe('export refuses', () => {
  test('a layout that does not have the network', async () => {
    const model = await filledModel('resnet20', 'cifar', 10);
    const error = await errorOf(() => exportModel(at('x.pth'), model, { format: 'pytorch', layout: 'torchvision' }));
    expect(error).toMatchObject({ code: 'E_LAYOUT', hint: 'there is akamaster, dlcourse' });
    expect(existsSync(at('x.pth'))).toBe(false);
  });

  test('a layout for a model that is not as the zoo builds it', async () => {
    const { model, card, store } = await filledModel('resnet20', 'cifar', 10);
    const { Model } = await import('../../src/layers/index.js');
    const other = Model.fromConfig({ ...model.config, name: 'resnet32' });
    const error = await errorOf(() =>
      exportModel(at('x.pth'), { model: other, card, store }, { format: 'pytorch', layout: 'akamaster' }),
    );
    expect(error).toMatchObject({ code: 'E_LAYOUT', hint: 'there is dlcourse' });
    await exportModel(at('own.pth'), { model: other, card, store }, { format: 'pytorch' });
    const file = await openWeights([at('own.pth')]);
    expect([...file.tensors.keys()]).toContain('stage1.0.sum.conv1.weight');
    await file.close();
  });
});

describe('what goes with a model', () => {
  const file = at('m.pth');
  const made = (async () => {
    await exportModel(file, await filledModel('mobilenet_v1_x0_25', 'imagenet', 1000), { format: 'pytorch' });
  })();

  test('preprocessing of the published weights, and names of the usual classes, with a notice', async () => {
    await made;
    const notices: string[] = [];
    const { card } = await importModel([file], { onNotice: line => notices.push(line) });
    expect(card.preprocessing).toEqual({
      ...{ height: 224, width: 224, channels: 3, fit: 'crop', cropFraction: 224 / 256, interpolation: 'linear' },
      ...{ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
    });
    expect(card.classes[258]).toBe('Samoyed');
    expect(card.data).toBeUndefined();
    expect(notices.join('\n')).toContain('classes are named as those of imagenet');
  });

  test('what is asked for goes before', async () => {
    await made;
    const options = { preprocess: 'torch', resize: 160, crop: 128, interpolation: 'cubic' } as const;
    const { card, model } = await importModel([file], options);
    expect(card.preprocessing).toMatchObject({ height: 128, cropFraction: 0.8, interpolation: 'cubic' });
    expect(card.preprocessing!.mean).toEqual([0.485, 0.456, 0.406]);
    expect(model.inputShape()).toEqual([128, 128, 3]);
    const error = await errorOf(() => importModel([file], { resize: 200 }));
    expect(error).toMatchObject({ code: 'E_OPTION', class: 'usage' });
  });

  test('names from a text file; another number of names is an error', async () => {
    await made;
    writeFileSync(at('two.txt'), 'cat\r\ndog\n\n');
    expect(await classNames(at('two.txt'), 2)).toEqual(['cat', 'dog']);
    const error = await errorOf(() => importModel([file], { classes: at('two.txt') }));
    expect(error).toMatchObject({ code: 'E_CLASSES', class: 'mismatch' });
    expect(error.message).toContain('expected the names of 1000 classes, got 2');
    const misspelt = await errorOf(() => importModel([file], { classes: 'imagenett' }));
    expect(misspelt).toMatchObject({ code: 'E_NOT_FOUND', hint: "did you mean 'imagenet'?" });
  });

  test('the lists have as many names as the data sets have classes, each once', async () => {
    for (const [list, count] of [
      ['imagenet', 1000],
      ['cifar10', 10],
      ['cifar100', 100],
    ] as const) {
      expect(new Set(await namesOf(list)).size).toBe(count);
    }
  });

  test('loadModel takes such files, and ours as before', async () => {
    await made;
    const foreign = await loadModel(file);
    expect(foreign.card.classes.length).toBe(1000);
    await saveModel(at('ours.safetensors'), foreign);
    const ours = await loadModel(at('ours.safetensors'));
    expect(ours.card).toEqual(foreign.card);
    expect(valuesOf(ours)).toEqual(valuesOf(foreign));
  });
});

const shared =
  process.env['DLCOURSE_WEIGHTS'] ?? fileURLToPath(new URL('../../../../shared/data/weights/', import.meta.url));

describe('published weights', () => {
  const cases = [
    ['cifar10-resnet20-12fca82f.th', 'resnet20', 'cifar', 'akamaster', 'cifar10'],
    ['cifar10-resnet56-4bfd9763.th', 'resnet56', 'cifar', 'akamaster', 'cifar10'],
    ['imagenet-mobilenet_v1_0.25_224.pth', 'mobilenet_v1_x0_25', 'imagenet', 'kuangliu', undefined],
  ] as const;
  for (const [name, network, form, layout, data] of cases) {
    const path = join(shared, name);
    const given = existsSync(path) ? test : test.skip;
    if (!existsSync(path)) console.warn(`${name} is not there: not tested`);
    given(`${name} needs no hint, and comes back from an export as it was`, async () => {
      const model = await importModel([path]);
      expect(model.recognised).toMatchObject({ network, form, layout: { layout } });
      expect(model.card.data).toBe(data);
      await exportModel(at('p.pth'), model, { format: 'pytorch' });
      const [before, after] = [await openWeights([path]), await openWeights([at('p.pth')])];
      const counters = [...after.tensors.keys()].filter(key => key.endsWith('num_batches_tracked'));
      expect(after.tensors.size - counters.length).toBe(
        [...before.tensors.keys()].filter(key => !key.endsWith('num_batches_tracked')).length,
      );
      for (const key of before.tensors.keys()) {
        if (key.endsWith('num_batches_tracked')) continue;
        const [was, is] = [await before.float32(key), await after.float32(key)].map(v => Buffer.from(v.buffer));
        expect(is!.equals(was!)).toBe(true);
      }
      await before.close();
      await after.close();
    });
  }
});
