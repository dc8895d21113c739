// Ops as the graph sees them: attributes, shape rules, and the gradients that no layer reaches.

import { describe, expect, test } from '@jest/globals';
import { elements, fixed, Graph, rows, type Value } from '../../src/graph/graph.js';
import { generator } from '../../src/layers/initializers.js';
import { activation } from '../../src/ops/activations.js';
import { add, broadcastAdd, copy, scale } from '../../src/ops/arithmetic.js';
import { conv2d, outputSize } from '../../src/ops/conv2d.js';
import { binaryCrossEntropy, mseLoss, softmaxCrossEntropy, softTargets } from '../../src/ops/loss.js';
import { maxPool2d, pooledSize } from '../../src/ops/pooling.js';
import { channelShuffle, concat, resizeBilinear, sliceChannels } from '../../src/ops/shape.js';
import { differentiate } from '../../src/passes/autodiff.js';
import { type Data, Program, Store } from '../../src/runtime/program.js';

describe('attributes', () => {
  const graph = new Graph();
  const x = graph.feed('x', rows([4, 4, 2]));
  const w = graph.feed('w', fixed([3, 3, 2, 2]));

  test.each<[string, () => unknown]>([
    ['an unknown one', () => conv2d([x, w], { strides: [1, 1] } as never)],
    ['too few numbers', () => conv2d([x, w], { stride: [1] as never })],
    ['half a number', () => conv2d([x, w], { stride: [1.5, 1] })],
    ['a stride of 0', () => conv2d([x, w], { stride: [0, 1] })],
    ['no groups', () => conv2d([x, w], { groups: 0 })],
    ['a text for a flag', () => conv2d([x, w], { bias: 'no' as never })],
    ['infinity', () => softTargets([x], { classes: 2, smoothing: Number.POSITIVE_INFINITY })],
  ])('%s is refused, and the op named', (_, call) => {
    expect(call).toThrow(
      expect.objectContaining({ code: 'E_ATTRIBUTE', where: expect.stringMatching(/^(conv2d|soft_targets)\./) }),
    );
  });
});

describe('shapes', () => {
  const graph = new Graph();
  const image = graph.feed('image', rows([5, 4, 6]));
  const other = graph.feed('other', rows([5, 4, 5]));
  const weights = graph.feed('weights', fixed([3, 3, 6, 2]));

  test.each<[string, () => unknown]>([
    ['sums of different shapes', () => add([image, other])],
    ['a convolution of other channels', () => conv2d([other, weights])],
    ['a kernel larger than the image', () => conv2d([image, weights], { dilation: [3, 1] })],
    ['a pool larger than the image', () => maxPool2d([image], { kernel: [6, 1] })],
    ['branches of different sizes', () => concat([image, maxPool2d([image], { kernel: [2, 2] })[0]!])],
    ['a slice that ends before it begins', () => sliceChannels([image], { begin: 3, end: 2 })],
    ['groups that do not divide the channels', () => channelShuffle([image, other], { groups: 2 })],
    ['shuffled channels that nobody takes', () => channelShuffle([image], { groups: 2, outputs: [3, 2] })],
    ['as many biases as there are not channels', () => broadcastAdd([image, graph.feed('b', fixed([5]))])],
    ['targets of other classes', () => softmaxCrossEntropy([graph.feed('l', rows([4])), graph.feed('t', rows([5]))])],
  ])('%s do not fit', (_, call) => {
    expect(() => graph.scoped('stage2.conv', call)).toThrow(
      expect.objectContaining({ code: 'E_SHAPE', where: 'stage2.conv' }),
    );
  });

  test('a name is one tensor', () => {
    expect(graph.feed('image', rows([5, 4, 6]))).toBe(image);
    expect(() => graph.feed('image', rows([5, 4, 7]))).toThrow(
      expect.objectContaining({ code: 'E_SHAPE', where: 'image' }),
    );
    expect(() => graph.feed('image', rows([5, 4, 6], 'u8'))).toThrow(expect.objectContaining({ code: 'E_SHAPE' }));
    expect(() => graph.feed('image', fixed([5, 4, 6]))).toThrow(expect.objectContaining({ code: 'E_SHAPE' }));
  });

  test('sizes are those of PyTorch', () => {
    // torch.nn.Conv2d(1, 1, 7, 2, 3)(224), (…, 3, 2, 1, dilation=2)(9), (…, 5, 3)(4)
    expect([outputSize(224, 7, 2, 6, 1), outputSize(9, 3, 2, 2, 2), outputSize(4, 5, 3, 0, 1)]).toEqual([112, 4, 0]);
    // torch.nn.MaxPool2d(k, s, p, ceil_mode): the last window must begin inside the input or its leading padding
    const sizes = [
      pooledSize(5, 2, 2, [0, 0], 1, false),
      pooledSize(5, 2, 2, [0, 0], 1, true),
      pooledSize(5, 3, 3, [1, 1], 1, true),
      pooledSize(4, 2, 3, [1, 1], 1, true),
      pooledSize(6, 2, 4, [0, 0], 1, true),
    ];
    expect(sizes).toEqual([2, 3, 2, 2, 2]);
  });
});

describe('gradients that no layer reaches', () => {
  const N = 3;
  type Write = (x: Value, graph: Graph) => Value;
  const targets = (graph: Graph): Value => graph.feed('target', rows([5]));

  test.each<[string, readonly number[], Write]>([
    ['mse_loss', [5], (x, graph) => mseLoss([x, targets(graph)])[0]!],
    ['binary_cross_entropy', [5], (x, graph) => binaryCrossEntropy([x, targets(graph)])[0]!],
    ['softmax_cross_entropy', [5], (x, graph) => softmaxCrossEntropy([x, targets(graph)])[0]!],
    [
      'softmax_cross_entropy of mixed, smoothed labels',
      [5],
      (x, graph) => {
        const labels = ['labels', 'partner'].map(name => graph.feed(name, rows([], 'i32')));
        const soft = softTargets([...labels, graph.feed('mix', rows([]))], { classes: 5, smoothing: 0.2 })[0]!;
        return softmaxCrossEntropy([x, soft])[0]!;
      },
    ],
    ['scale', [2, 2, 3], (x, graph) => scale([activation('tanh', x), graph.feed('factor', fixed([1]))])[0]!],
    ['copy', [2, 2, 3], x => activation('tanh', copy([x])[0]!)],
    ['broadcast_add', [2, 2, 3], (x, graph) => broadcastAdd([x, graph.feed('bias', fixed([3]))])[0]!],
    ['resize_bilinear, antialiased', [6, 5, 2], x => resizeBilinear([x], { size: [3, 4], antialias: true })[0]!],
  ])('%s', async (_, shape, write) => {
    const graph = new Graph();
    const x = graph.feed('x', rows(shape));
    const y = write(x, graph);
    const wrt = [x, ...['bias'].flatMap(name => graph.feeds.get(name) ?? [])];
    const gradients = differentiate(graph, new Map([[y, graph.feed('dy', y.type)]]), wrt);
    graph.outputs.set('y', y);
    for (const value of wrt) graph.outputs.set(nameOf(value), gradients.get(value)!);
    const program = new Program(graph, { batch: N, store: new Store() });
    const feeds: Record<string, Data> = {
      labels: Int32Array.of(0, 3, 4),
      partner: Int32Array.of(1, 3, 0),
    };
    for (const [name, { type }] of graph.feeds) {
      const random = generator(2, name);
      const length = elements(type.shape) * (type.count === 0 ? N : 1);
      if (type.dtype === 'f32')
        feeds[name] = Float32Array.from({ length }, () => (name === 'x' ? 2 * random() - 1 : random()));
    }
    const { results } = await program.run(feeds, N);
    const output = async (): Promise<number> => {
      const { results } = await program.run(feeds, N);
      return (results['y'] as Float32Array).reduce((sum, v, i) => sum + v * feeds['dy']![i]!, 0);
    };
    for (const value of wrt) {
      const point = feeds[nameOf(value)] as Float32Array;
      for (let i = 0; i < point.length; i++) {
        const there = point[i]!;
        point[i] = there + 2 ** -6;
        const above = await output();
        point[i] = there - 2 ** -6;
        const below = await output();
        point[i] = there;
        expect(results[nameOf(value)]![i]!).toBeCloseTo((above - below) * 2 ** 5, 3);
      }
    }
  });

  const nameOf = (value: Value): string => (value.source.kind === 'feed' ? value.source.name : '');
});

test('a loss is the mean over its rows', async () => {
  const graph = new Graph();
  const [x, t] = [graph.feed('x', rows([2])), graph.feed('t', rows([2]))];
  graph.outputs.set('mse', mseLoss([x, t])[0]!);
  graph.outputs.set('bce', binaryCrossEntropy([x, t])[0]!);
  graph.outputs.set('ce', softmaxCrossEntropy([x, t])[0]!);
  const program = new Program(graph, { batch: 8, store: new Store() });
  const { results } = await program.run({ x: Float32Array.of(0, 1, -2, 3), t: Float32Array.of(1, 0, 0.25, 0.75) }, 2);
  // torch.nn.functional: mse_loss, binary_cross_entropy_with_logits, cross_entropy
  expect(results['mse']![0]).toBeCloseTo((1 + 1 + 5.0625 + 5.0625) / 4, 6);
  const bce = (z: number, p: number): number => Math.log1p(Math.exp(z)) - p * z;
  expect(results['bce']![0]).toBeCloseTo((bce(0, 1) + bce(1, 0) + bce(-2, 0.25) + bce(3, 0.75)) / 4, 6);
  const rest = Math.log1p(Math.exp(-5));
  expect(results['ce']![0]).toBeCloseTo((Math.log1p(Math.exp(1)) + (0.25 * (5 + rest) + 0.75 * rest)) / 2, 6);
});
