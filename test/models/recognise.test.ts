// Every network under every layout is recognised from keys and shapes alone; everything else is told apart or refused.

import { describe, expect, test } from '@jest/globals';
import { DlcourseError } from '../../src/errors.js';
import type { Layout } from '../../src/io/layouts/layout.js';
import { layouts } from '../../src/io/layouts/list.js';
import { foreignTensors } from '../../src/models/foreign.js';
import { type Hints, type Recognised, recognise, type Shapes } from '../../src/models/recognise.js';
import { buildNetwork, type Form, findNetwork, networkNames } from '../../src/zoo/zoo.js';
import { seeded } from '../io/mutate.js';

interface Options {
  classes?: number;
  auxiliary?: boolean;
}

/** What a file of a layout holds for a network, with the counters that PyTorch adds. */
async function fileOf(layout: Layout, network: string, options: Options = {}): Promise<Map<string, readonly number[]>> {
  const info = (await findNetwork(network)).forms[layout.form]!;
  const { classes = info.classes, auxiliary = false } = options;
  const model = await buildNetwork(network, info.input, classes, { form: layout.form, auxiliary });
  return new Map(
    // The background class stands in published files only.
    foreignTensors(model, { ...layout, background: layout.background && classes === info.classes }).flatMap(
      ({ name, shape }) => [
        [name, shape] as const,
        ...(name.endsWith('running_var') ? [[name.replace('running_var', 'num_batches_tracked'), []] as const] : []),
      ],
    ),
  );
}

const find = (network: string, form: Form, layout = 'torchvision'): Layout =>
  layouts.find(l => l.layout === layout && l.form === form && l.networks.includes(network))!;

const failure = async (shapes: Shapes, hints: Hints = {}): Promise<DlcourseError> => {
  try {
    await recognise(shapes, hints, 'x.pth');
  } catch (error) {
    if (error instanceof DlcourseError) return error;
    throw error;
  }
  throw new Error('expected an error');
};

const said = ({ network, form, classes, auxiliary }: Recognised) => ({ network, form, classes, auxiliary });

describe('every layout', () => {
  for (const layout of layouts) {
    for (const network of layout.networks) {
      if (!networkNames.includes(network)) continue;
      test(`${network}, ${layout.form}, ${layout.layout}`, async () => {
        const { forms } = await findNetwork(network);
        const info = forms[layout.form]!;
        expect(info).toBeDefined();
        const { form } = layout;
        const expected = { network, form, classes: info.classes, auxiliary: false };
        const found = await recognise(await fileOf(layout, network), {}, 'x');
        expect(said(found)).toEqual(expected);
        // Where two files look alike, the number of classes does not tell and the form must be said.
        const other = await recognise(await fileOf(layout, network, { classes: 7 }), { model: network, form }, 'x');
        expect(said(other)).toEqual({ ...expected, classes: 7 });
        if (info.auxiliaryParams === undefined) return;
        const whole = await recognise(await fileOf(layout, network, { auxiliary: true }), {}, 'x');
        expect(said(whole)).toEqual({ ...expected, auxiliary: true });
      });
    }
  }
});

describe('our own names', () => {
  for (const network of networkNames) {
    test(network, async () => {
      const { forms } = await findNetwork(network);
      for (const form of Object.keys(forms) as Form[]) {
        const own: Layout = { layout: 'dlcourse', networks: [network], form, rules: [] };
        // Some networks differ in arithmetic alone, so that only their own name tells them apart.
        const found = await recognise(await fileOf(own, network), { layout: 'dlcourse', model: network, form }, 'x');
        expect(said(found)).toMatchObject({ network, form });
      }
    });
  }
});

test('two layouts of one network fit: the first is taken, the other on request', async () => {
  const file = await fileOf(find('resnet18', 'imagenet'), 'resnet18');
  expect((await recognise(file, {}, 'x')).layout.layout).toBe('torchvision');
  expect((await recognise(file, { layout: 'timm' }, 'x')).layout.layout).toBe('timm');
});

test('two forms with the same keys and shapes: the number of classes decides, else the form must be said', async () => {
  const layout = find('mobilenet_v1', 'imagenet', 'kuangliu');
  const form = async (classes: number, hints: Hints = {}) =>
    (await recognise(await fileOf(layout, 'mobilenet_v1', { classes }), hints, 'x')).form;
  expect(await form(1000)).toBe('imagenet');
  expect(await form(10)).toBe('cifar');
  expect(await form(37, { form: 'imagenet' })).toBe('imagenet');
  expect(await form(1000, { form: 'cifar' })).toBe('cifar');
  const error = await failure(await fileOf(layout, 'mobilenet_v1', { classes: 37 }));
  expect(error.code).toBe('E_AMBIGUOUS');
  expect(error.message).toContain('mobilenet_v1 (form cifar, kuangliu) and mobilenet_v1 (form imagenet, kuangliu)');
  expect(error.hint).toBe('choose with --form');
});

test('the names of DenseNet before PyTorch 0.4', async () => {
  const file = await fileOf(find('densenet121', 'imagenet'), 'densenet121');
  const old = new Map(
    [...file].map(([name, shape]) => [name.replace(/(denselayer\d+\.(?:norm|conv))(\d)/, '$1.$2'), shape]),
  );
  expect([...old.keys()]).toContain('features.denseblock1.denselayer1.norm.1.weight');
  expect(said(await recognise(old, {}, 'x'))).toMatchObject({ network: 'densenet121', form: 'imagenet' });
});

describe('what does not fit', () => {
  const layout = find('resnet18', 'imagenet');

  test('one key too many, one missing, one of another shape: each is named, with the nearest network first', async () => {
    const file = await fileOf(layout, 'resnet18');
    file.set('fc.scale', [1000]);
    file.delete('layer4.1.bn2.running_mean');
    file.set('bn1.weight', [65]);
    const { code, message } = await failure(file);
    expect(code).toBe('E_RECOGNISE');
    expect(message).toContain(
      "nearest are resnet18 (imagenet, torchvision): 1 missing ('layer4.1.bn2.running_mean'), " +
        "1 unexpected ('fc.scale'), 1 of another shape ('bn1.weight' is 65 instead of 64); ",
    );
    // The second is another network or form.
    expect(message).toMatch(/; resnet\w+ \(\w+, \w+\): \d/);
  });

  test('with the network named, it alone is compared', async () => {
    const file = await fileOf(layout, 'resnet18');
    const error = await failure(file, { model: 'resnet34', form: 'imagenet', layout: 'torchvision' });
    expect(error.code).toBe('E_WEIGHTS');
    expect(error.message).toContain('expected the tensors of resnet34 (imagenet, torchvision), but 80 missing (');
    expect(error.message).toContain(' and 70 more)');
  });

  test('the first shard alone is nearest to its network', async () => {
    const file = new Map([...(await fileOf(layout, 'resnet18'))].slice(0, 30));
    expect((await failure(file)).message).toContain('; nearest are resnet18 (imagenet, torchvision): 77 missing (');
  });

  test('a statistic alone that is missing is an error, a counter is not', async () => {
    const file = await fileOf(layout, 'resnet18');
    for (const name of [...file.keys()]) if (name.endsWith('num_batches_tracked')) file.delete(name);
    expect((await recognise(file, {}, 'x')).network).toBe('resnet18');
    file.delete('bn1.running_var');
    expect((await failure(file)).message).toContain("1 missing ('bn1.running_var')");
  });

  test('names from files are escaped and cut', async () => {
    const file = new Map<string, readonly number[]>([
      ['\u001b[31m\u202e', [1]],
      ['x'.repeat(500), []],
    ]);
    const { message } = await failure(file);
    expect(message).toContain("'\\u{1b}[31m\\u{202e}'");
    expect(message).toContain(`${'x'.repeat(200)}…`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is there is the point
    expect(message).not.toMatch(/[\u0000-\u001f\u202e]/);
  });

  test('nothing at all, absurd shapes', async () => {
    expect((await failure(new Map())).code).toBe('E_RECOGNISE');
    const file = await fileOf(layout, 'resnet18');
    file.set('fc.weight', [2 ** 40, 512]);
    expect((await failure(file)).code).toBe('E_RECOGNISE');
    file.set('fc.weight', [0, 512]);
    expect((await failure(file)).code).toBe('E_RECOGNISE');
    file.set('fc.weight', []);
    expect((await failure(file)).code).toBe('E_RECOGNISE');
  });

  test('a layout that does not have the network', async () => {
    const error = await failure(new Map(), { model: 'resnet18', layout: 'akamaster' });
    expect(error.code).toBe('E_LAYOUT');
    expect(error.hint).toContain('torchvision (imagenet)');
  });
});

test('500 changed sets of keys: recognised when nothing that matters changed, else refused with an error', async () => {
  const random = seeded(7);
  const below = (limit: number): number => Math.floor(random() * limit);
  const hints: Hints = { model: 'mobilenet_v1_x0_25', form: 'cifar', layout: 'kuangliu' };
  const original = await fileOf(find('mobilenet_v1_x0_25', 'cifar', 'kuangliu'), 'mobilenet_v1_x0_25');
  const essential = (shapes: Shapes): string =>
    JSON.stringify([...shapes].filter(([name]) => !name.endsWith('num_batches_tracked')).sort());
  const ends = { recognised: 0, refused: 0 };
  for (let i = 0; i < 500; i++) {
    const file = new Map(original);
    for (let n = below(3); n >= 0; n--) {
      const [name, shape] = [...file][below(file.size)]!;
      const extents = [...shape];
      switch (below(6)) {
        case 0:
          file.delete(name);
          break;
        case 1:
          file.set(`${name}${String.fromCharCode(below(0x2100))}`, shape);
          break;
        case 2:
          extents[below(extents.length + 1)] = [0, 1, 2 ** 31, 2 ** 52][below(4)]!;
          file.set(name, extents);
          break;
        case 3:
          file.set(name, extents.reverse());
          break;
        case 4:
          file.delete(name);
          file.set(name, shape);
          break;
        default:
          file.set(
            name.replace(/\d+/, digits => String(Number(digits) + 1)),
            shape,
          );
      }
    }
    const same = essential(file) === essential(original);
    try {
      expect([(await recognise(file, hints, 'x')).classes, same]).toEqual([10, true]);
      ends.recognised++;
    } catch (error) {
      if (!(error instanceof DlcourseError)) throw error;
      expect([error.code, same]).toEqual(['E_WEIGHTS', false]);
      ends.refused++;
    }
  }
  expect(ends.recognised).toBeGreaterThan(25);
  expect(ends.refused).toBeGreaterThan(250);
});
