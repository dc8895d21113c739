// Every network of the zoo, symbolically: the published figures, the shape of the result, and the saved description.

import { describe, expect, test } from '@jest/globals';
import { elements, rows } from '../../src/graph/graph.js';
import { Model, type ModelConfig } from '../../src/layers/model.js';
import { Program, Store } from '../../src/runtime/program.js';
import { evaluationGraph } from '../../src/train/step.js';
import { allNetworks, buildNetwork, type Form, findNetwork, formFor, networkNames } from '../../src/zoo/zoo.js';

const networks = await allNetworks();

const forms = networks.flatMap(network =>
  (Object.keys(network.forms) as Form[]).map(form => ({
    name: network.name,
    form,
    network,
    info: network.forms[form]!,
  })),
);

/** Multiply-adds of convolutions and linear layers for one image. */
const multiplyAdds = (model: Model): number =>
  model.evaluationGraph.nodes.reduce((sum, { op, inputs, outputs }) => {
    const types = [inputs, outputs].map(values => values.map(v => v.type));
    return sum + (op.spec.multiplyAdds?.(types[0]!, types[1]!) ?? 0);
  }, 0);

describe.each(forms)('$name ($form)', ({ name, form, info, network }) => {
  const model = Model.from(info.input, network.write({ form, classes: info.classes, auxiliary: false }), name);

  test('has the published parameters and multiply-adds', () => {
    expect(model.parameters).toBe(info.params);
    expect(Math.abs(multiplyAdds(model) / 1e6 - info.multiplyAddsMillions)).toBeLessThanOrEqual(0.005 + 1e-9);
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

/** One small forward a family: a network, its form, and a small input that it takes. */
const small: [name: string, form: Form, input: readonly [number, number, number]][] = [
  ['alexnet', 'imagenet', [63, 63, 3]],
  ['alexnet_grouped', 'imagenet', [67, 67, 3]],
  ['squeezenet1_0', 'cifar', [32, 32, 3]],
  ['squeezenet1_1', 'imagenet', [32, 32, 3]],
  ['densenet_bc100', 'cifar', [8, 8, 3]],
  ['densenet121', 'imagenet', [32, 32, 3]],
  ['wide_resnet50_2', 'imagenet', [32, 32, 3]],
  ['resnext50_32x4d', 'imagenet', [32, 32, 3]],
  ['resnext29_32x4d', 'cifar', [8, 8, 3]],
  ['preact_resnet18', 'cifar', [8, 8, 3]],
  ['preact_resnet164', 'cifar', [8, 8, 3]],
  ['mobilenet_v1_x0_25', 'imagenet', [32, 32, 3]],
  ['mobilenet_v1_x0_5', 'cifar', [16, 16, 3]],
  ['shufflenet_v1_g8', 'imagenet', [32, 32, 3]],
  ['shufflenet_v1_g3', 'cifar', [8, 8, 3]],
  ['shufflenet_v2_x0_5', 'imagenet', [32, 32, 3]],
  ['shufflenet_v2_x1_0', 'cifar', [8, 8, 3]],
  ['se_resnet18', 'cifar', [8, 8, 3]],
  ['se_resnet50', 'imagenet', [32, 32, 3]],
];

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

test.each(small)('%s (%s) runs', async (name, form, input) => {
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
