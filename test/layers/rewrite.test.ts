// What any network may be given: gates, stochastic depth, other heads, frozen norms. Figures by hand, or timm's.

import { describe, expect, test } from '@jest/globals';
import { Graph, rows } from '../../src/graph/graph.js';
import {
  batchNorm,
  branches,
  conv2d,
  globalAvgPool,
  linear,
  Model,
  relu,
  residual,
  seq,
} from '../../src/layers/index.js';
import { sideOutput } from '../../src/layers/model.js';
import {
  headsOf,
  headTensors,
  withClasses,
  withFrozenNorms,
  withHeadDropout,
  withInitialisation,
  withOptions,
  withSqueezeExcitation,
  withStochasticDepth,
} from '../../src/layers/rewrite.js';
import { Program, Store } from '../../src/runtime/program.js';
import { buildNetwork, type Form } from '../../src/zoo/zoo.js';

const multiplyAdds = (model: Model): number =>
  model.evaluationGraph.nodes.reduce((sum, { op, inputs, outputs, attributes }) => {
    const count = op.spec.multiplyAdds?.(
      inputs.map(v => v.type),
      outputs.map(v => v.type),
      attributes as never,
    );
    return sum + (count ?? 0);
  }, 0);

const small = await buildNetwork('resnet20', [8, 8, 3], 10);
const plain = await buildNetwork('vgg11', [32, 32, 3], 10);

describe('squeeze-and-excitation', () => {
  test("of ResNet-50 is timm's seresnet50, in parameters and multiply-adds", async () => {
    const model = withSqueezeExcitation(await buildNetwork('resnet50', [224, 224, 3], 1000));
    expect(model.parameters).toBe(28_088_024);
    expect(multiplyAdds(model) / 1e6).toBeCloseTo(4091.7, 2);
  });

  test('adds 2c⌊c/r⌋ + ⌊c/r⌋ + c parameters to a branch of c channels', async () => {
    const model = await buildNetwork('resnet18', [32, 32, 3], 10);
    const added = (r: number) =>
      [64, 128, 256, 512].reduce((sum, c) => sum + 2 * (2 * c * Math.floor(c / r) + Math.floor(c / r) + c), 0);
    for (const r of [16, 8]) expect(withSqueezeExcitation(model, r).parameters).toBe(model.parameters + added(r));
  });

  test('keeps the names of all tensors, and names its own below the block', () => {
    const model = withSqueezeExcitation(small);
    const names = model.state.map(s => s.name);
    expect(names).toEqual(expect.arrayContaining(small.state.map(s => s.name)));
    expect(names).toContain('stage1.0.sum.squeeze_excitation.fc1.weight');
    expect(Model.fromConfig(JSON.parse(JSON.stringify(model.config))).config).toEqual(model.config);
  });

  test('computes x · σ(W₂ relu(W₁ mean(x) + b₁) + b₂) before the sum', async () => {
    const model = withSqueezeExcitation(
      Model.from([1, 2, 2], seq({ block: residual(conv2d(2, 1, { bias: false })) })),
      2,
    );
    const store = new Store();
    const values: Record<string, number[]> = {
      'block.weight': [1, 0, 0, 1],
      'block.squeeze_excitation.fc1.weight': [1, -2],
      'block.squeeze_excitation.fc1.bias': [0.5],
      'block.squeeze_excitation.fc2.weight': [1, -1],
      'block.squeeze_excitation.fc2.bias': [0, 0.25],
    };
    for (const { name, shape } of model.state) {
      store.define(name, shape);
      store.write(name, Float32Array.from(values[name]!));
    }
    const x = [1, 2, 3, -4];
    const { y } = (await run(model, store, Float32Array.from(x), 1, false)).results;
    // means 2 and −1: hidden 2 + 2 + 0.5 = 4.5
    const gate = [4.5, -4.5 + 0.25].map(v => 1 / (1 + Math.exp(-v)));
    x.forEach((v, i) => {
      expect(y![i]).toBeCloseTo(v + v * gate[i % 2]!, 5);
    });
  });

  test('is refused where it is already, and where nothing is summed', async () => {
    const refused = expect.objectContaining({ code: 'E_OPTION', class: 'usage' });
    const gated = await buildNetwork('se_resnet50', [32, 32, 3], 10);
    for (const model of [gated, withSqueezeExcitation(small), plain])
      expect(() => withSqueezeExcitation(model)).toThrow(refused);
  });
});

async function run(model: Model, store: Store, x: Float32Array, count: number, training: boolean, step = 1) {
  const graph = new Graph();
  const input = graph.feed('x', rows(model.inputShape()));
  graph.outputs.set('y', model.build(graph, { training, inputs: { input } }).outputs['output']!);
  const program = new Program(graph, { batch: count, store });
  return program.run({ x, random: Int32Array.of(7, 0, step, 0) }, count);
}

describe('stochastic depth', () => {
  /** Four blocks x + x. */
  const doubling = Model.from(
    [1, 1, 1],
    seq(...Array.from({ length: 4 }, () => residual(conv2d(1, 1, { bias: false })))),
  );
  const store = new Store();
  for (const { name, shape } of doubling.state) {
    store.define(name, shape);
    store.write(name, Float32Array.of(1));
  }
  const model = withStochasticDepth(doubling, 0.7);
  const count = 4000;
  const ones = new Float32Array(count).fill(1);

  test('of L blocks drops the branch of block l with probability rate · l/L, and scales the others up', async () => {
    const { y } = (await run(model, store, ones, count, true)).results;
    const rates = [0.175, 0.35, 0.525, 0.7];
    const dropped = [0, 0, 0, 0];
    for (const value of y!) {
      // Which blocks a row went through shows in the product of their factors 1 + 1/(1 − rate).
      const set = Array.from({ length: 16 }, (_, bits) => bits).find(bits => {
        const product = rates.reduce((p, rate, l) => p * (bits & (1 << l) ? 1 : 1 + 1 / (1 - rate)), 1);
        return Math.abs(product / value - 1) < 1e-4;
      })!;
      expect(set).toBeDefined();
      for (let l = 0; l < 4; l++) if (set & (1 << l)) dropped[l]!++;
    }
    rates.forEach((rate, l) => {
      const deviation = Math.sqrt(rate * (1 - rate) * count);
      expect(Math.abs(dropped[l]! - rate * count)).toBeLessThan(5 * deviation);
    });
    const again = (await run(model, store, ones, count, true, 2)).results['y']!;
    expect(again).not.toEqual(y);
  });

  test('drops nothing in evaluation', async () => {
    const { y } = (await run(model, store, ones, count, false)).results;
    expect(new Set(y)).toEqual(new Set([16]));
    expect(model.evaluationGraph.nodes.some(node => node.op.name === 'dropout')).toBe(false);
  });

  test('keeps tensors and shapes, and is refused where nothing is summed', () => {
    const deep = withStochasticDepth(small, 0.5);
    expect(deep.state.map(s => s.name)).toEqual(small.state.map(s => s.name));
    expect(deep.outputShape()).toEqual([10]);
    const rates = deep.config.layers.filter(l => l.kind === 'dropout').map(l => l.config['rate']);
    expect(rates).toEqual(Array.from({ length: 9 }, (_, i) => (0.5 * (i + 1)) / 9));
    expect(() => withStochasticDepth(plain, 0.5)).toThrow(expect.objectContaining({ code: 'E_OPTION' }));
  });
});

test.each<[string, Form, number]>([
  ['resnet50', 'imagenet', 16],
  ['wide_resnet50_2', 'cifar', 16],
  ['resnext29_32x4d', 'cifar', 9],
  ['preact_resnet18', 'cifar', 8],
  ['preact_resnet164', 'cifar', 54],
  ['se_resnet18', 'cifar', 8],
  // Stride 1 and equal widths: 1 + 2 + 3 + 2 + 2 of the 17 units.
  ['mobilenet_v2', 'imagenet', 10],
  ['shufflenet_v1_g3', 'imagenet', 13],
  ['xception', 'cifar', 12],
  ['dpn92', 'cifar', 30],
  ['se_resnext50_32x4d', 'imagenet', 16],
  ['squeezenet1_0', 'cifar', 3],
])('%s (%s) has its residual sums', async (name, form, sums) => {
  const model = withStochasticDepth(await buildNetwork(name, [64, 64, 3], 10, { form }), 0.2);
  expect(model.config.layers.filter(node => node.path.endsWith('stochastic_depth'))).toHaveLength(sums);
});

describe('heads', () => {
  test('are the last linear layers or 1×1 convolutions, of side outputs too', async () => {
    const side = (x: number) => seq({ pool: globalAvgPool(), fc: linear(x) });
    const model = Model.from(
      [8, 8, 3],
      seq({
        conv: conv2d(8, 3),
        aux: sideOutput('aux', 0.3, side(5)),
        scores: conv2d(5, 1),
        relu: relu(),
        pool: globalAvgPool(),
      }),
    );
    expect(headsOf(model).map(h => [h.output, h.node.path, h.classes])).toEqual([
      ['output', 'scores', 5],
      ['aux', 'aux.aux.fc', 5],
    ]);
    const seven = withClasses(model, 7);
    expect([seven.outputShape(), seven.outputShape('aux')]).toEqual([[7], [7]]);
    expect(seven.config.outputWeights).toEqual({ aux: 0.3 });
    expect([...headTensors(await buildNetwork('squeezenet1_1', [64, 64, 3], 3))]).toEqual([
      'conv10.weight',
      'conv10.bias',
    ]);
  });

  test('are missed where something is learned behind, or branches join', () => {
    for (const end of [seq(linear(4), batchNorm()), branches({ a: linear(2), b: linear(2) })]) {
      expect(() => headsOf(Model.from([6], end))).toThrow(expect.objectContaining({ code: 'E_HEAD', class: 'usage' }));
    }
  });

  test('dropout goes before them, in place of one that is there', async () => {
    const dropped = withHeadDropout(small, 0.3);
    const at = dropped.config.layers.findIndex(node => node.kind === 'dropout');
    expect(dropped.config.layers.slice(at, at + 2).map(node => node.kind)).toEqual(['dropout', 'linear']);
    expect(dropped.config.layers[at]!.config).toMatchObject({ rate: 0.3, per: 'element' });
    const vgg = withHeadDropout(await buildNetwork('vgg11', [32, 32, 3], 4, { form: 'imagenet' }), 0.3);
    const rates = vgg.config.layers.filter(node => node.kind === 'dropout').map(node => node.config['rate']);
    expect(rates).toEqual([0.5, 0.3]);
  });
});

test('norms are frozen where neither of their parameters is trained', () => {
  const model = Model.from([4, 4, 3], seq({ a: batchNorm(), b: batchNorm(), c: batchNorm({ affine: false }) }));
  const frozen = (trained: (name: string) => boolean) =>
    withFrozenNorms(model, trained).config.layers.map(node => node.config['frozen']);
  expect(frozen(name => name.startsWith('b.'))).toEqual([true, false, true]);
  expect(frozen(name => name === 'a.bias' || name === 'c.running_mean')).toEqual([false, true, false]);
  expect(withFrozenNorms(model, () => true)).toBe(model);
});

test('another initialisation is that of every convolution and linear layer', () => {
  const kinds = withInitialisation(small, 'normal_0.01').state.filter(s => s.role === 'weight');
  expect(new Set(kinds.map(s => JSON.stringify(s.initializer)))).toEqual(
    new Set([JSON.stringify({ kind: 'normal', std: 0.01 })]),
  );
  expect(withOptions(small, { initialisation: 'network' })).toBe(small);
});
