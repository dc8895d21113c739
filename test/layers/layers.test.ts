// Every registered kind of layer through one conformance check, and what is particular to some.

import { describe, expect, test } from '@jest/globals';
import { samePadding } from '../../src/layers/convolution.js';
import {
  activate,
  adaptiveAvgPool,
  adaptiveMaxPool,
  add,
  avgPool,
  batchNorm,
  branches,
  channelDropout,
  channelShuffle,
  concat,
  conv1d,
  conv2d,
  crop,
  depthwiseConv2d,
  dropout,
  flatten,
  gelu,
  globalAvgPool,
  globalMaxPool,
  groupNorm,
  instanceNorm,
  layerNorm,
  linear,
  localResponseNorm,
  logSoftmax,
  Model,
  type ModelConfig,
  maxPool,
  multiply,
  pad,
  relu,
  reshapeTo,
  residual,
  residualSum,
  resize,
  scaleBy,
  scaleChannels,
  seq,
  slice,
  softmax,
  stochasticDepth,
  subsample,
  tanh,
} from '../../src/layers/index.js';
import { initialValues, weightInitializer } from '../../src/layers/initializers.js';
import { layerKinds } from '../../src/layers/layer.js';
import { type ActivationName, activations } from '../../src/ops/activations.js';
import { compile } from '../../src/train/learner.js';
import { conforms, type LayerCase } from './conformance.js';

const image = [5, 4, 4];
const sequence = [7, 4];
const vector = [6];

const on = (input: readonly number[], write: LayerCase['write']): LayerCase => ({ input, write });

/** At least one case for each kind; activations all have the same. */
const cases: Record<string, LayerCase[]> = {
  ...Object.fromEntries(
    Object.keys(activations).map(name => [
      name,
      [
        on(image, activate(name as ActivationName)),
        on(sequence, activate(name as ActivationName)),
        on(vector, activate(name as ActivationName)),
      ],
    ]),
  ),
  softmax: [on(vector, softmax()), on(image, softmax())],
  log_softmax: [on(vector, logSoftmax()), on(sequence, logSoftmax())],
  add: [
    on(image, x => add(x, tanh()(x))),
    on(vector, x => add(x, x, tanh()(x))),
    on(image, x => relu()(add(...Array.from({ length: 11 }, () => tanh()(x))))),
  ],
  residual: [on(image, x => residual(tanh())(x)), on(vector, x => residualSum(tanh()(x), x))],
  multiply: [on(image, x => multiply(x, tanh()(x))), on(vector, x => multiply(x, x))],
  scale_channels: [image, sequence].map(input =>
    on(input, x => scaleChannels(x, activate('sigmoid')(globalAvgPool()(x)))),
  ),
  scale: [on(image, scaleBy(0.3)), on(vector, x => tanh()(scaleBy(-2)(x)))],
  concat: [
    on(image, x => concat(tanh()(x), x, relu()(x))),
    on(sequence, x => concat(x, tanh()(x))),
    on(vector, x => concat(tanh()(x), x)),
    on(image, x => concat(...Array.from({ length: 12 }, () => tanh()(x)))),
  ],
  flatten: [on(image, flatten()), on(sequence, flatten()), on(vector, flatten())],
  slice_channels: [
    on(image, slice(1, 3)),
    on(sequence, slice(0, 1)),
    on(vector, slice(2, 6)),
    on(image, x => tanh()(slice(1, 4)(x))),
  ],
  channel_shuffle: [on(image, channelShuffle(2)), on(sequence, channelShuffle(4)), on([2, 2, 6], channelShuffle(3))],
  pad: [on(image, pad({ pad: [1, 0, 2, 1] })), on(image, pad({ pad: [0, 1, 0, 0], channels: [1, 2], value: -0.5 }))],
  crop: [on(image, crop([1, 0, 0, 2])), on([6, 7, 2], seq(tanh(), crop([2, 3, 1, 1])))],
  subsample: [on(image, subsample(2)), on([6, 7, 2], subsample(3))],
  resize: [
    on(image, resize([8, 6])),
    on(image, resize([3, 7], { alignCorners: true })),
    on(image, resize([9, 3], { mode: 'nearest' })),
  ],
  reshape: [
    on(image, reshapeTo([20, 4])),
    on(vector, reshapeTo([1, 2, 3])),
    on([20, 4], x => conv2d(3, 3)(reshapeTo([5, 4, 4])(x))),
  ],
  dropout: [
    on(image, dropout(0.4)),
    on(vector, dropout(0.4)),
    on(image, stochasticDepth(0.5)),
    on(image, stochasticDepth(0.5, { schedule: 'linear' })),
    on(image, channelDropout(0.5)),
  ],
  conv2d: [
    on(image, conv2d(3, 3)),
    on(image, conv2d(3, [3, 1], { stride: [1, 2], padding: [0, 1, 2, 1], bias: false })),
    on(image, conv2d(6, 3, { groups: 2, dilation: 2 })),
    on(image, conv2d(5, 3, { stride: 2, padding: 'same' })),
    on(image, conv2d(17, 1, { stride: 2 })),
    on(image, depthwiseConv2d(3, { multiplier: 2 })),
    on(image, depthwiseConv2d(3, { stride: 2 })),
    on([4, 4, 1], conv2d(2, 2, { padding: 'valid' })),
    on(image, seq(conv2d(4, 3), tanh(), conv2d(2, 4))),
  ],
  conv1d: [
    on(sequence, conv1d(3, 3)),
    on(sequence, conv1d(4, 3, { stride: 2, padding: 'same', groups: 4 })),
    on(sequence, conv1d(2, 2, { dilation: 3, padding: [1, 2] })),
  ],
  linear: [on(vector, linear(5)), on(vector, linear(1, { bias: false }))],
  max_pool: [
    on(image, maxPool(2)),
    on(image, maxPool(3, { stride: 2, padding: 1 })),
    on(image, maxPool([2, 3], { stride: [2, 1], ceil: true })),
    on(sequence, maxPool(3, { stride: 2, padding: 1 })),
  ],
  avg_pool: [
    on(image, avgPool(2)),
    on(image, avgPool(3, { stride: 2, padding: 1, ceil: true })),
    on(image, avgPool(3, { stride: 1, padding: [1, 0, 1, 1], countIncludePad: false })),
    on(sequence, avgPool(2)),
  ],
  adaptive_avg_pool: [
    on(image, adaptiveAvgPool(2)),
    on(image, globalAvgPool()),
    on(sequence, adaptiveAvgPool(3)),
    on(sequence, globalAvgPool()),
  ],
  adaptive_max_pool: [
    on(image, adaptiveMaxPool([3, 2])),
    on(image, globalMaxPool()),
    on(sequence, adaptiveMaxPool(2)),
    on(sequence, globalMaxPool()),
  ],
  batch_norm: [
    on(image, batchNorm()),
    on(sequence, batchNorm({ momentum: 0.3, epsilon: 1e-3 })),
    on(vector, batchNorm()),
    on(image, batchNorm({ affine: false })),
    on(image, batchNorm({ scale: false })),
    on(image, batchNorm({ frozen: true })),
    on(image, x => tanh()(batchNorm()(conv2d(3, 3, { bias: false })(x)))),
    on(image, x => tanh()(residual(seq(conv2d(4, 3), batchNorm()))(x))),
    on(image, x => tanh()(residual(seq(conv2d(4, 3), batchNorm({ frozen: true })))(x))),
    on(image, residual(seq(conv2d(4, 3), batchNorm()))),
    on(image, residual(seq(conv2d(4, 3), batchNorm({ frozen: true })))),
  ],
  layer_norm: [on(image, layerNorm()), on(sequence, layerNorm({ axes: 1 })), on(vector, layerNorm({ affine: false }))],
  group_norm: [
    on(image, groupNorm(2)),
    on(sequence, groupNorm(4)),
    on(image, instanceNorm()),
    on(image, instanceNorm({ affine: true })),
    on(vector, groupNorm(3)),
  ],
  lrn: [on(image, localResponseNorm({ size: 3, alpha: 0.5, k: 2 })), on(image, localResponseNorm())],
};

describe('conformance', () => {
  test.each([...layerKinds.keys()])('%s', async kind => {
    expect(cases[kind]?.length ?? 0).toBeGreaterThan(0);
    for (const one of cases[kind]!) await conforms(kind, one);
  });
});

const run = async (input: readonly number[], block: LayerCase['write'], x: number[]): Promise<number[]> => {
  const learner = compile(Model.from(input, block));
  for (const { name, role } of learner.model.state) {
    if (role === 'weight') learner.store.write(name, learner.store.read(name).fill(1) as Float32Array);
    if (role === 'bias') learner.store.write(name, learner.store.read(name).fill(0) as Float32Array);
  }
  return [...(await learner.predict(Float32Array.from(x)))];
};

describe('values by hand', () => {
  test("'same' padding puts the odd pixel after, as TensorFlow does", async () => {
    expect([
      samePadding(5, 3, 2, 1),
      samePadding(6, 3, 2, 1),
      samePadding(7, 2, 1, 3),
      samePadding(9, 1, 4, 1),
    ]).toEqual([
      [1, 1],
      [0, 1],
      [1, 2],
      [0, 0],
    ]);
    expect(await run([4, 1], conv1d(1, 3, { stride: 2, padding: 'same' }), [1, 2, 3, 4])).toEqual([6, 7]);
  });

  test('convolution along sequences', async () => {
    expect(await run([4, 1], conv1d(1, 3), [1, 2, 3, 4])).toEqual([3, 6, 9, 7]);
    expect(await run([4, 1], conv1d(1, 2, { padding: 'valid', dilation: 2 }), [1, 2, 3, 4])).toEqual([4, 6]);
  });

  test('flatten puts channels outermost, as PyTorch does', async () => {
    expect(await run([1, 2, 3], flatten(), [1, 2, 3, 4, 5, 6])).toEqual([1, 4, 2, 5, 3, 6]);
    expect(await run([2, 2], flatten(), [1, 2, 3, 4])).toEqual([1, 3, 2, 4]);
  });

  test('rows of pooling hang over the end only in ceil mode', async () => {
    expect(await run([5, 1], maxPool(2), [1, 5, 2, 4, 3])).toEqual([5, 4]);
    expect(await run([5, 1], maxPool(2, { ceil: true }), [1, 5, 2, 4, 3])).toEqual([5, 4, 3]);
    expect(await run([3, 1], avgPool(3, { stride: 1, padding: 1, countIncludePad: false }), [1, 2, 6])).toEqual([
      1.5, 3, 4,
    ]);
  });

  test('channel shuffle spreads groups', async () => {
    expect(await run([1, 1, 6], channelShuffle(2), [0, 1, 2, 3, 4, 5])).toEqual([0, 3, 1, 4, 2, 5]);
  });

  test('gelu has two forms', async () => {
    expect((await run([1], gelu(), [1]))[0]).toBeCloseTo(0.8413447, 6);
    expect((await run([1], gelu({ approximate: true }), [1]))[0]).toBeCloseTo(0.841192, 6);
  });
});

describe('initial values', () => {
  const spreadOf = (name: Parameters<typeof weightInitializer>[0], fanIn: number, fanOut: number) => {
    const values = initialValues(weightInitializer(name, [1, 1, fanIn, fanOut]), fanIn * fanOut, 1, 'w');
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return {
      mean,
      std: Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length),
      most: Math.max(...values),
    };
  };
  test.each([
    ['default', 1 / Math.sqrt(3 * 150)],
    ['kaiming_normal', Math.sqrt(2 / 150)],
    ['kaiming_fan_out', Math.sqrt(2 / 600)],
    ['xavier_uniform', Math.sqrt(2 / 750)],
    ['normal_0.01', 0.01],
  ] as const)('%s has its standard deviation', (name, std) => {
    const found = spreadOf(name, 150, 600);
    expect(Math.abs(found.mean)).toBeLessThan(0.03 * std);
    expect(Math.abs(found.std / std - 1)).toBeLessThan(0.02);
  });

  // Of torch.nn.init on weights [64, 16, 3, 3] of a convolution with 64 / 16 = 4 groups.
  test.each([
    ['default', 1 / Math.sqrt(3 * 144)],
    ['kaiming_normal', Math.sqrt(2 / 144)],
    ['kaiming_fan_out', Math.sqrt(2 / 576)],
    ['xavier_uniform', Math.sqrt(2 / 720)],
  ] as const)('%s counts the weights of a grouped convolution as PyTorch does', (init, std) => {
    const { store } = compile(Model.from([4, 4, 64], conv2d(64, 3, { groups: 4, init })));
    const weights = store.read('conv2d.weight') as Float32Array;
    expect(weights.length).toBe(64 * 144);
    expect(Math.abs(Math.sqrt(weights.reduce((sum, w) => sum + w * w, 0) / weights.length) / std - 1)).toBeLessThan(
      0.03,
    );
    const bias = store.read('conv2d.bias') as Float32Array;
    expect(Math.max(...bias.map(Math.abs)) <= (init === 'default' ? 1 / 12 : 0)).toBe(true);
  });

  test('partial identity: the first outputs are the middle pixels of the inputs', async () => {
    for (const [inputs, outputs, kernel, middle] of [
      [2, 5, 3, 4],
      [4, 3, 2, 3],
    ] as const) {
      const { store } = compile(
        Model.from([4, 4, inputs], conv2d(outputs, kernel, { init: 'partial_identity', bias: false })),
      );
      const weights = store.read('conv2d.weight') as Float32Array;
      weights.forEach((w, i) => {
        const [o, c, tap] = [i % outputs, Math.floor(i / outputs) % inputs, Math.floor(i / outputs / inputs)];
        if (o < inputs) expect(w).toBe(c === o && tap === middle ? 1 : 0);
        else expect(Math.abs(w)).toBeLessThanOrEqual(1 / Math.sqrt(inputs * kernel ** 2));
      });
    }
  });

  test('biases begin where they are told to', () => {
    const write = seq({
      conv: conv2d(3, 1, { biasInit: 1 }),
      plain: conv2d(3, 1, { init: 'normal_0.01' }),
      flatten: flatten(),
      fc: linear(2, { biasInit: -0.25, init: 'normal_0.01' }),
    });
    const model = Model.from([1, 1, 4], write);
    const { store } = compile(Model.fromConfig(JSON.parse(JSON.stringify(model.config)) as ModelConfig));
    expect([...store.read('conv.bias')]).toEqual([1, 1, 1]);
    expect([...store.read('plain.bias')]).toEqual([0, 0, 0]);
    expect([...store.read('fc.bias')]).toEqual([-0.25, -0.25]);
  });

  test('norms begin as the identity, or as nothing', () => {
    const { store } = compile(Model.from([4], seq(batchNorm(), batchNorm({ zeroGamma: true }))));
    const values = ['0.weight', '0.bias', '0.running_mean', '0.running_var', '1.weight'].map(
      name => store.read(name)[0],
    );
    expect(values).toEqual([1, 0, 0, 1, 0]);
  });

  test('depend on seed and path, not on order', () => {
    const values = (seed: number, path: string) => initialValues({ kind: 'normal', std: 1 }, 8, seed, path);
    expect(values(1, 'a')).toEqual(values(1, 'a'));
    expect(values(1, 'a')).not.toEqual(values(2, 'a'));
    expect(values(1, 'a')).not.toEqual(values(1, 'b'));
    expect(values(1, 'a')).not.toEqual(values(1 + 2 ** 32, 'a'));
  });
});

describe('another input', () => {
  const convolutional = Model.from(
    [8, 8, 3],
    seq({ conv: conv2d(4, 3, { stride: 2, padding: 'same' }), pool: globalAvgPool(), fc: linear(5) }),
    'convolutional',
  );

  test('is taken where the weights keep their shapes', () => {
    const larger = convolutional.withInput([13, 10, 3]);
    expect(larger.inputShape()).toEqual([13, 10, 3]);
    expect(larger.state.map(s => [s.name, s.shape])).toEqual(convolutional.state.map(s => [s.name, s.shape]));
    // TensorFlow's padding is that of the new size.
    expect(larger.shapeOfLayer(1)).toEqual([7, 5, 4]);
  });

  test('is refused where they would not, or where a layer finds nothing to work on', () => {
    const flat = Model.from([8, 8, 3], seq({ conv: conv2d(4, 3), flatten: flatten(), fc: linear(5) }), 'flat');
    expect(() => flat.withInput([9, 9, 3])).toThrow(
      'input 9×9×3: expected fc.weight to be 1×1×256×5, got 1×1×324×5 for this input; ' +
        'stay at the 8×8×3 that flat was made for',
    );
    const deep = Model.from([8, 8, 3], seq({ pool: maxPool(8), mean: globalAvgPool(), fc: linear(5) }), 'deep');
    expect(() => deep.withInput([4, 4, 3])).toThrow(
      /^input 4×4×3: expected a size that every layer can work on, .*pool/,
    );
  });
});

describe('errors', () => {
  const written = (input: readonly number[], block: LayerCase['write']) => () => Model.from(input, block);

  test('a shape error names the layer and what to change', () => {
    expect(
      written([8, 8, 3], seq({ features: seq(conv2d(4, 3), conv2d(4, 9, { padding: 'valid' })), fc: linear(2) })),
    ).toThrow(
      expect.objectContaining({ code: 'E_SHAPE', where: 'features.1', hint: expect.stringContaining('larger input') }),
    );
    expect(written([8, 8, 3], seq({ conv: conv2d(4, 3), fc: linear(2) }))).toThrow(
      expect.objectContaining({ code: 'E_SHAPE', where: 'fc', hint: expect.stringContaining('flatten') }),
    );
    expect(written([8, 8, 3], seq({ block: residual(conv2d(4, 3)) }))).toThrow(
      expect.objectContaining({ code: 'E_SHAPE', where: 'block.add' }),
    );
    expect(written([8, 8, 3], seq({ mixed: branches({ a: conv2d(4, 3), b: maxPool(2) }) }))).toThrow(
      expect.objectContaining({ code: 'E_SHAPE', where: 'mixed.concat' }),
    );
  });

  test.each([
    ['a convolution of a sequence', [7, 4], conv2d(3, 3)],
    ['a sequence convolution of an image', [5, 5, 4], conv1d(3, 3)],
    ['groups that do not divide the input', [5, 5, 4], conv2d(6, 3, { groups: 3 })],
    ['groups that do not divide the output', [5, 5, 4], conv2d(5, 3, { groups: 2 })],
    ['a slice beyond the channels', [5, 5, 4], slice(2, 5)],
    ['an empty slice', [5, 5, 4], slice(2, 2)],
    ['shuffled channels that do not divide', [5, 5, 4], channelShuffle(3)],
    ['groups that do not divide a norm', [5, 5, 4], groupNorm(3)],
    ['a pool larger than its input', [3, 3, 4], maxPool(4)],
    ['a pool of vectors', [4], maxPool(2)],
    ['padding of a sequence', [7, 4], pad({ pad: [1, 1, 1, 1] })],
    ['a crop of all', [5, 5, 4], crop([2, 3, 0, 0])],
    ['subsampling of a sequence', [7, 4], subsample(2)],
    ['resizing of a sequence', [7, 4], resize([2, 2])],
    ['another number of elements', [7, 4], reshapeTo([5, 5])],
    ['a norm over more axes than there are', [7, 4], layerNorm({ axes: 3 })],
    ['adaptive pooling of vectors', [4], adaptiveAvgPool(2)],
  ] as [string, number[], LayerCase['write']][])('%s is refused', (_, input, block) => {
    expect(written(input, block)).toThrow(expect.objectContaining({ name: 'DlcourseError', code: 'E_SHAPE' }));
  });

  test.each([
    ['no channels', conv2d(0, 3)],
    ['half a channel', conv2d(1.5, 3)],
    ['a kernel of 0', conv2d(3, 0)],
    ['a stride of 0', conv2d(3, 3, { stride: 0 })],
    ['a dilation of 0', conv2d(3, 3, { dilation: 0 })],
    ['negative padding', conv2d(3, 3, { padding: -1 })],
    ['no groups', conv2d(3, 3, { groups: 0 })],
    ['a pool of 0', maxPool(0)],
    ['a pool stride of 0', avgPool(2, { stride: 0 })],
    ['a negative rate', dropout(-0.1)],
    ['a rate above 1', dropout(1.1)],
    ['bins of 0', adaptiveAvgPool(0)],
    ['a window of 0 channels', localResponseNorm({ size: 0 })],
    ['a window of half a channel', localResponseNorm({ size: 1.5 })],
    ['biases from nowhere', conv2d(3, 3, { biasInit: Number.NaN })],
    ['no epsilon', batchNorm({ epsilon: Number.NaN })],
    ['padding as wide as the pool', maxPool(2, { padding: 2 })],
  ] as [string, LayerCase['write']][])('%s is refused', (_, block) => {
    expect(written([8, 8, 4], block)).toThrow(expect.objectContaining({ name: 'DlcourseError' }));
  });

  const config = Model.from([4], seq({ fc: linear(2), act: relu() })).config;
  const layers = config.layers;
  test.each([
    ['a kind that is unknown', { layers: [{ ...layers[0]!, kind: 'lineer' }] }],
    ['an input that comes later', { layers: [{ ...layers[0]!, inputs: [2] }, layers[1]!] }],
    ['two inputs of one', { layers: [{ ...layers[0]!, inputs: [0, 0] }] }],
    ['no input', { layers: [{ ...layers[0]!, inputs: [] }] }],
    ['a path twice', { layers: [layers[0]!, { ...layers[1]!, path: 'fc' }] }],
    ['an id twice', { layers: [layers[0]!, { ...layers[1]!, id: 1 }] }],
    ['an id of an input', { layers: [{ ...layers[0]!, id: 0 }] }],
    ['a setting that is unknown', { layers: [{ ...layers[0]!, config: { features: 2, size: 1 } }] }],
    ['a width beyond reason', { layers: [{ ...layers[0]!, config: { features: 2 ** 40 } }] }],
    ['an output that is not there', { outputs: { output: 9 } }],
    ['an input without size', { inputs: [{ name: 'input', shape: [0] }] }],
  ] as [string, Partial<ModelConfig>][])('a description with %s is refused', (_, change) => {
    expect(() =>
      Model.fromConfig({ ...config, layers: layers.slice(0, 1), outputs: { output: 1 }, ...change }),
    ).toThrow(expect.objectContaining({ name: 'DlcourseError' }));
  });
});
