// Every network of the zoo, symbolically: the published figures, the shape of the result, and the saved description.

import { describe, expect, test } from '@jest/globals';
import { elements, rows } from '../../src/graph/graph.js';
import { Model, type ModelConfig, summarize } from '../../src/layers/index.js';
import { Program, Store } from '../../src/runtime/program.js';
import { evaluationGraph } from '../../src/train/evaluation.js';
import {
  allNetworks,
  buildNetwork,
  type Form,
  findNetwork,
  formFor,
  networkNames,
  smallestSide,
} from '../../src/zoo/zoo.js';

const networks = await allNetworks();

const forms = networks.flatMap(network =>
  (Object.keys(network.forms) as Form[]).map(form => {
    const { name } = network;
    const info = network.forms[form]!;
    const model = Model.from(info.input, network.write({ form, classes: info.classes, auxiliary: false }), name);
    return { name, form, network, info, model };
  }),
);

describe.each(forms)('$name ($form)', ({ name, form, info, network, model }) => {
  test('has the published parameters and multiply-adds', () => {
    expect(model.parameters).toBe(info.params);
    expect(Math.abs(summarize(model).multiplyAdds / 1e6 - info.multiplyAddsMillions)).toBeLessThanOrEqual(0.005 + 1e-9);
  });

  test('has its auxiliary classifiers when asked', () => {
    const whole = Model.from(info.input, network.write({ form, classes: info.classes, auxiliary: true }), name);
    expect(whole.parameters).toBe(info.auxiliaryParams ?? info.params);
    const [main, ...sides] = Object.keys(whole.config.outputs);
    expect(sides.length > 0).toBe(info.auxiliaryParams !== undefined);
    for (const output of [main!, ...sides]) expect(whole.outputShape(output)).toEqual([info.classes]);
    for (const side of sides) expect(whole.config.outputWeights?.[side]).toBeGreaterThan(0);
  });

  test('ends in one score a class, for any number of classes', async () => {
    expect(model.outputShape()).toEqual([info.classes]);
    expect((await buildNetwork(name, info.input, 7, { form })).outputShape()).toEqual([7]);
  });

  test('is its saved description', () => {
    const saved = JSON.parse(JSON.stringify(model.config)) as ModelConfig;
    const again = Model.fromConfig(saved);
    expect(again.config).toEqual(model.config);
    expect(again.state.map(s => [s.name, s.shape, s.role, s.layout])).toEqual(
      model.state.map(s => [s.name, s.shape, s.role, s.layout]),
    );
    expect(again.outputShape()).toEqual(model.outputShape());
  });
});

/** For each paper and form the smallest network, and one more where others consist of other kinds of layers. */
const smallest = new Map<string, (typeof forms)[number]>();
for (const member of [...forms].sort((a, b) => a.info.params - b.info.params)) {
  const kinds = [...new Set(member.model.config.layers.map(l => l.kind))].sort();
  const key = [member.network.paper, member.form, ...kinds].join();
  if (!smallest.has(key)) smallest.set(key, member);
}

/** A store whose weights are one pattern of variance 2/fanIn over and over: drawing millions of values takes minutes. */
function patterned(model: Model): Store {
  const store = new Store();
  for (const { name, shape, initializer, role } of model.state) {
    store.define(name, shape);
    const values = new Float32Array(elements(shape));
    if (initializer.kind === 'constant') values.fill(initializer.value);
    else if (role === 'weight') {
      const scale = 2 / Math.sqrt(elements(shape.slice(0, -1)));
      const tile = pattern.map(v => v * scale).subarray(0, values.length);
      values.set(tile);
      for (let n = tile.length; n < values.length; n *= 2) values.copyWithin(n, 0, n);
    }
    store.write(name, values);
  }
  return store;
}
const pattern = Float32Array.from({ length: 4093 }, (_, i) => Math.sin(i * i));

describe.each([...smallest.values()])('$name ($form) on small pictures', ({ name, form, network, info }) => {
  const channels = info.input[2];
  const least = smallestSide(network, { form, classes: 5, auxiliary: false }, channels)!;

  test('runs', async () => {
    const side = Math.max(least, form === 'cifar' ? 8 : 32);
    const input = [side, side, channels] as const;
    const model = await buildNetwork(name, input, 5, { form });
    const graph = evaluationGraph(model, g => g.feed('x', rows(input)));
    const store = patterned(model);
    const program = new Program(graph, { batch: 2, store });
    const x = Float32Array.from({ length: 2 * elements(input) }, (_, i) => Math.sin(i * i));
    const { output } = (await program.run({ x }, 2)).results;
    program.dispose();
    store.dispose();
    expect(output!.length).toBe(2 * 5);
    expect(output!.every(Number.isFinite)).toBe(true);
    // Scores are of the picture: two pictures have two.
    expect(output!.slice(0, 5)).not.toEqual(output!.slice(5));
  });

  test('has its auxiliary classifiers there too', async () => {
    const model = await buildNetwork(name, [least, least, channels], 5, { form, auxiliary: true });
    for (const output of Object.keys(model.config.outputs)) expect(model.outputShape(output)).toEqual([5]);
  });

  test('says how large pictures must be', async () => {
    if (least === 1) return;
    const error = await buildNetwork(name, [least - 1, least - 1, channels], 5, { form }).catch(e => e);
    expect(error).toMatchObject({ code: 'E_SHAPE', hint: expect.stringContaining(`${least}×${least} pixels`) });
    // The layer whose window does not fit is one of the network's.
    const layer = error.where.slice(`${name}.`.length);
    expect((await buildNetwork(name, info.input, 5, { form })).config.layers.map(l => l.path)).toContain(layer);
  });
});

test("AlexNet's biases begin at 1 where the paper says so", async () => {
  const { state } = await buildNetwork('alexnet_grouped', [227, 227, 3], 10);
  const ones = state.filter(s => s.initializer.kind === 'constant' && s.initializer.value === 1).map(s => s.name);
  expect(ones).toEqual(['conv2.bias', 'conv4.bias', 'conv5.bias', 'fc6.bias', 'fc7.bias']);
});

test('the smallest pictures are as large as torchvision says', async () => {
  // `min_size` of its weights, which it found by trying.
  const sides = { alexnet: 63, vgg11: 32, googlenet: 15, inception_v3: 75, squeezenet1_0: 21, squeezenet1_1: 17 };
  for (const [name, side] of Object.entries({ ...sides, densenet121: 29, resnet18: 1, mobilenet_v2: 1 })) {
    const network = await findNetwork(name);
    expect([name, smallestSide(network, { form: 'imagenet', classes: 5, auxiliary: false })]).toEqual([name, side]);
  }
});

test('pictures too small for one form may fit another', async () => {
  await expect(buildNetwork('inception_v3', [32, 32, 3], 10, { form: 'imagenet' })).rejects.toMatchObject({
    code: 'E_SHAPE',
    hint: 'give pictures of at least 75×75 pixels to the form imagenet, or take the form cifar',
  });
});

test('the list names what the files hold', () => {
  expect(networks.map(n => n.name).sort()).toEqual([...networkNames].sort());
  expect(new Set(networkNames).size).toBe(networkNames.length);
});

test('a misspelt name is answered with the nearest', async () => {
  await expect(findNetwork('resnet21')).rejects.toMatchObject({
    code: 'E_MODEL_NAME',
    hint: "did you mean 'resnet20'?",
  });
});

test('up to 64 pixels a network takes its form for small pictures', async () => {
  const resnet = await findNetwork('resnet18');
  expect([32, 64, 65, 224].map(side => formFor(resnet, side, side))).toEqual([
    'cifar',
    'cifar',
    'imagenet',
    'imagenet',
  ]);
  expect(formFor(resnet, 32, 65)).toBe('imagenet');
  expect(formFor(await findNetwork('resnet20'), 224, 224)).toBe('cifar');
  expect(formFor(resnet, 32, 32, 'imagenet')).toBe('imagenet');
  expect(() => formFor(networks[0]!, 32, 32, 'imagenet')).toThrow(expect.objectContaining({ code: 'E_FORM' }));
});
