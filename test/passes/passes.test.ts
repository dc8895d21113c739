// Fusion, differentiation and pruning: a rule, a small graph, what becomes of it.

import { describe, expect, test } from '@jest/globals';
import { fixed, Graph, printGraph, rows, type Value } from '../../src/graph/graph.js';
import { activation } from '../../src/ops/activations.js';
import { add, assign, multiply, reshape, sum } from '../../src/ops/arithmetic.js';
import { conv2d } from '../../src/ops/conv2d.js';
import { batchNorm, moments } from '../../src/ops/normalization.js';
import { sliceChannels } from '../../src/ops/shape.js';
import { differentiate } from '../../src/passes/autodiff.js';
import { foldNorms } from '../../src/passes/fold.js';
import { fuse } from '../../src/passes/fuse.js';
import { prune } from '../../src/passes/prune.js';

/** A graph with the images x, a 3×3 convolution and batch norm's parameters. */
function scene() {
  const graph = new Graph();
  const x = graph.feed('x', rows([4, 4, 2]));
  const parameter = (name: string, shape: number[]): Value => graph.fromStore(name, fixed(shape));
  return {
    graph,
    x,
    conv: (from: Value, name = 'w'): Value => conv2d([from, parameter(name, [3, 3, 2, 2])], { pad: [1, 1, 1, 1] })[0]!,
    norm: (from: Value): Value =>
      batchNorm([from, ...['mean', 'var', 'gamma', 'beta'].map(n => parameter(n, [2]))])[0]!,
    trainingNorm: (from: Value): Value => {
      const [mean, variance] = moments([from]);
      return batchNorm([from, mean!, variance!, parameter('gamma', [2]), parameter('beta', [2])], {
        statistics: 'batch',
      })[0]!;
    },
    relu: (from: Value): Value => activation('relu', from),
  };
}

/** The printed graph without shapes, its values numbered in order. */
function shown(graph: Graph): string[] {
  const numbers = new Map<string, string>();
  return printGraph(graph)
    .replace(/:[n0-9×]+/g, '')
    .replace(/pad=\[1,1,1,1\]/g, 'pad')
    .replace(/%\d+/g, id => numbers.get(id) ?? numbers.set(id, `%${numbers.size}`).get(id)!)
    .split('\n');
}

describe('fuse', () => {
  // relu(conv(x)) → conv{relu}(x)
  test('an activation moves into the op before it', () => {
    const { graph, x, conv, relu } = scene();
    graph.outputs.set('y', relu(conv(x)));
    fuse(graph);
    expect(shown(graph)).toEqual(['%0 = conv2d(x, w, pad, activation="relu")', 'y -> %0']);
  });

  // leaky_relu's derivative reads x, which would be gone
  test('an activation whose derivative reads its operand stays', () => {
    const { graph, x, conv } = scene();
    graph.outputs.set('y', activation('leaky_relu', conv(x)));
    fuse(graph);
    expect(shown(graph)).toEqual(['%0 = conv2d(x, w, pad)', '%1 = leaky_relu(%0)', 'y -> %1']);
  });

  // relu(c), c with another reader: both stay
  test('what somebody else reads, or is a result, stays', () => {
    const { graph, x, conv, relu } = scene();
    const c = conv(x);
    graph.outputs.set('y', add([relu(c), c])[0]!);
    fuse(graph);
    expect(shown(graph)).toEqual(['%0 = conv2d(x, w, pad)', '%1 = relu(%0)', '%2 = add(%1, %0)', 'y -> %2']);

    const other = scene();
    const kept = other.conv(other.x);
    other.graph.outputs.set('c', kept).set('y', other.relu(kept));
    fuse(other.graph);
    expect(shown(other.graph)).toEqual(['%0 = conv2d(x, w, pad)', '%1 = relu(%0)', 'c -> %0', 'y -> %1']);
  });

  // relu(relu(conv(x))) → relu(conv{relu}(x)): an op applies one activation
  test('a second activation stays', () => {
    const { graph, x, conv, relu } = scene();
    graph.outputs.set('y', relu(relu(conv(x))));
    fuse(graph);
    expect(shown(graph)).toEqual(['%0 = conv2d(x, w, pad, activation="relu")', '%1 = relu(%0)', 'y -> %1']);
  });

  // relu(add(bn(conv(x)), x)) → bn{residual, relu}(conv(x), x), on either side of the sum
  test.each([0, 1])('a shortcut and the activation after it move into the norm, operand %d', side => {
    const { graph, x, conv, norm, relu } = scene();
    const branch = norm(conv(x));
    graph.outputs.set('y', relu(add(side === 0 ? [branch, x] : [x, branch])[0]!));
    fuse(graph);
    expect(shown(graph)).toEqual([
      '%0 = conv2d(x, w, pad)',
      '%1 = batch_norm(%0, mean, var, gamma, beta, x, residual=true, activation="relu")',
      'y -> %1',
    ]);
  });

  // add(bn(a), bn(b)): one of them takes the other, which comes first
  test('of two norms one takes the other', () => {
    const { graph, x, conv, norm } = scene();
    graph.outputs.set('y', add([norm(conv(x, 'w1')), norm(conv(x, 'w2'))])[0]!);
    fuse(graph);
    expect(shown(graph)).toEqual([
      '%0 = conv2d(x, w1, pad)',
      '%1 = conv2d(x, w2, pad)',
      '%2 = batch_norm(%1, mean, var, gamma, beta)',
      '%3 = batch_norm(%0, mean, var, gamma, beta, %2, residual=true)',
      'y -> %3',
    ]);
  });

  // add(bn(x), bn(x)) of one value has two uses: nothing moves
  test('a norm added to itself stays', () => {
    const { graph, x, norm } = scene();
    const n = norm(x);
    graph.outputs.set('y', add([n, n])[0]!);
    fuse(graph);
    expect(shown(graph)).toEqual(['%0 = batch_norm(x, mean, var, gamma, beta)', '%1 = add(%0, %0)', 'y -> %1']);
  });

  // moments(c), norm(c): the convolution computes the moments while it stores; its relu must not then move in
  test('moments move into the convolution before a norm', () => {
    const { graph, x, conv, trainingNorm, relu } = scene();
    graph.outputs.set('y', relu(trainingNorm(conv(x))));
    fuse(graph);
    expect(shown(graph)).toEqual([
      '%0, %1, %2, %3 = conv2d(x, w, pad, moments=true)',
      '%4 = batch_norm(%0, %1, %2, gamma, beta, activation="relu", statistics="batch")',
      'y -> %4',
    ]);
  });

  test('moments are of what the convolution stored before its activation', () => {
    const { graph, x, conv, trainingNorm, relu } = scene();
    const c = conv(x);
    graph.outputs.set('y', trainingNorm(relu(c)));
    fuse(graph);
    expect(shown(graph)[0]).toBe('%0 = conv2d(x, w, pad, activation="relu")');
    expect(shown(graph)[1]).toBe('%1, %2, %3 = moments(%0)');

    const other = scene();
    const raw = other.conv(other.x);
    const [mean] = moments([raw]);
    other.graph.outputs.set('mean', mean!).set('y', other.relu(raw));
    fuse(other.graph);
    expect(shown(other.graph)).toEqual([
      '%0, %1, %2, %3 = conv2d(x, w, pad, moments=true)',
      '%4 = relu(%0)',
      'mean -> %1',
      'y -> %4',
    ]);
  });

  test('says what a value became', () => {
    const { graph, x, conv, relu } = scene();
    const c = conv(x);
    const y = relu(c);
    const now = fuse(graph);
    expect(now(y)).toBe(graph.nodes[0]!.outputs[0]);
    expect(now(c)).toBe(now(y));
    expect(now(x)).toBe(x);
  });
});

describe('foldNorms', () => {
  const folded = 'conv2d(x, w, mean, var, gamma, beta, pad, norm=true)';

  // bn(conv(x)) → conv{norm}(x)
  test('a norm with running statistics moves into the convolution before it', () => {
    const { graph, x, conv, norm } = scene();
    graph.outputs.set('y', norm(conv(x)));
    foldNorms(graph);
    expect(shown(graph)).toEqual([`%0 = ${folded}`, 'y -> %0']);
  });

  // relu(add(bn(conv(x)), x)) → conv{norm, residual, relu}(x)
  test('the shortcut and the activation behind it follow', () => {
    const { graph, x, conv, norm, relu } = scene();
    graph.outputs.set('y', relu(add([norm(conv(x)), x])[0]!));
    foldNorms(graph);
    fuse(graph);
    expect(shown(graph)).toEqual([
      '%0 = conv2d(x, w, mean, var, gamma, beta, x, pad, residual=true, activation="relu", norm=true)',
      'y -> %0',
    ]);
  });

  test('epsilon and a missing γ and β go with it', () => {
    const { graph, x, conv } = scene();
    const statistics = ['mean', 'var'].map(name => graph.fromStore(name, fixed([2])));
    graph.outputs.set('y', batchNorm([conv(x), ...statistics], { epsilon: 0.001, affine: false })[0]!);
    foldNorms(graph);
    expect(shown(graph)[0]).toBe('%0 = conv2d(x, w, mean, var, pad, norm=true, epsilon=0.001, affine=false)');
  });

  // bn(reshape(conv(x))) → reshape(conv{norm}(x)), but not where the last dimension is another
  test('views of all channels are no obstacle, others are', () => {
    const { graph, x, conv, norm } = scene();
    graph.outputs.set('y', norm(reshape([conv(x)], { shape: [16, 2] })[0]!));
    foldNorms(graph);
    expect(shown(graph)).toEqual([`%0 = ${folded}`, '%1 = reshape(%0, shape=[16,2])', 'y -> %1']);

    const other = scene();
    const wide = conv2d([other.x, other.graph.fromStore('w', fixed([1, 1, 2, 4]))])[0]!;
    other.graph.outputs.set('y', other.norm(sliceChannels([wide], { begin: 0, end: 2 })[0]!));
    foldNorms(other.graph);
    expect(other.graph.nodes.map(n => n.op.name)).toEqual(['conv2d', 'slice_channels', 'batch_norm']);
  });

  test('a norm before a convolution, of a batch, behind an activation, or of what others read stays', () => {
    const stays = (build: (s: ReturnType<typeof scene>) => Value): void => {
      const s = scene();
      s.graph.outputs.set('y', build(s));
      const before = shown(s.graph);
      foldNorms(s.graph);
      expect(shown(s.graph)).toEqual(before);
    };
    stays(({ x, conv, norm, relu }) => conv(relu(norm(x))));
    stays(({ x, conv, trainingNorm }) => trainingNorm(conv(x)));
    stays(({ x, conv, norm, relu }) => norm(relu(conv(x))));
    stays(({ x, conv, norm }) => {
      const c = conv(x);
      return add([norm(c), c])[0]!;
    });
    stays(({ graph, x, conv, norm }) => {
      const c = conv(x);
      graph.outputs.set('c', c);
      return norm(c);
    });
    // Statistics that are fed, or weights: what is derived from the store alone would not see them.
    stays(({ graph, x, conv }) => {
      const fed = ['m', 'v'].map(name => graph.feed(name, fixed([2])));
      return batchNorm([conv(x), ...fed], { affine: false })[0]!;
    });
    stays(({ graph, x, norm }) => norm(conv2d([x, graph.feed('w', fixed([1, 1, 2, 2]))])[0]!));
  });

  test('of two norms the first moves', () => {
    const { graph, x, conv, norm } = scene();
    graph.outputs.set('y', norm(norm(conv(x))));
    foldNorms(graph);
    expect(shown(graph)).toEqual([`%0 = ${folded}`, '%1 = batch_norm(%0, mean, var, gamma, beta)', 'y -> %1']);
  });
});

describe('differentiate', () => {
  function products() {
    const graph = new Graph();
    const [a, b, dy] = ['a', 'b', 'dy'].map(name => graph.feed(name, rows([3])));
    return { graph, a: a!, b: b!, dy: dy! };
  }

  // y = a·b + a: da = dy·b + dy, in the order in which backward meets them
  test('a value that is used twice has the sum of both gradients', () => {
    const { graph, a, b, dy } = products();
    const y = add([multiply([a, b])[0]!, a])[0]!;
    const gradients = differentiate(graph, new Map([[y, dy]]), [a, b]);
    graph.outputs.set('da', gradients.get(a)!).set('db', gradients.get(b)!);
    expect(shown(graph)).toEqual([
      '%0 = multiply(a, b)',
      '%1 = add(%0, a)',
      '%2 = multiply(dy, b)',
      '%3 = multiply(dy, a)',
      '%4 = add(dy, %2)',
      'da -> %4',
      'db -> %3',
    ]);
  });

  test.each([
    ['none', true],
    ['relu', false],
  ] as const)('a shortcut added behind a norm with activation %s has dy as its gradient: %s', (name, isDy) => {
    const { graph, x, trainingNorm } = scene();
    const shortcut = graph.feed('shortcut', x.type);
    const sum = add([trainingNorm(x), shortcut])[0]!;
    graph.outputs.set('y', name === 'none' ? sum : activation(name, sum));
    fuse(graph);
    const y = graph.outputs.get('y')!;
    const dy = graph.feed('dy', y.type);
    const gradients = differentiate(graph, new Map([[y, dy]]), [x, shortcut]);
    expect(gradients.get(shortcut) === dy).toBe(isDy);
    // y is kept for the backward pass only where an activation's derivative is told from it.
    expect(graph.nodes.some(node => node.op.name === 'batch_norm_grad_sums' && node.inputs.includes(y))).toBe(!isDy);
  });

  test('only what leads to the values asked for is computed', () => {
    const { graph, a, b, dy } = products();
    const y = multiply([multiply([a, a])[0]!, b])[0]!;
    const gradients = differentiate(graph, new Map([[y, dy]]), [b]);
    expect([...gradients.keys()]).toEqual([b]);
    expect(shown(graph).slice(2)).toEqual(['%2 = multiply(dy, %0)']);
  });

  test('what the outputs do not depend on has no gradient', () => {
    const { graph, a, b, dy } = products();
    const unused = graph.feed('unused', rows([3]));
    expect([...differentiate(graph, new Map([[multiply([a, a])[0]!, dy]]), [b, unused])]).toEqual([]);
  });

  test('gradients are nodes of the layer that they belong to', () => {
    const { graph, a, b, dy } = products();
    const y = graph.scoped('stage1.0', () => multiply([a, b])[0]!);
    differentiate(graph, new Map([[y, dy]]), [a]);
    expect(graph.nodes.at(-1)!.path).toBe('stage1.0');
  });

  test('sums of more than eight are trees', () => {
    const { graph, a, dy } = products();
    expect(sum(Array.from({ length: 20 }, () => a)).source).toMatchObject({ kind: 'node' });
    expect(graph.nodes.map(n => n.inputs.length)).toEqual([8, 8, 6]);
    expect(sum([dy])).toBe(dy);
  });
});

describe('prune', () => {
  test('drops what nobody reads, and keeps what writes state', () => {
    const graph = new Graph();
    const x = graph.feed('x', rows([4]));
    const target = graph.fromStore('s', fixed([4]));
    const read = activation('relu', x);
    activation('tanh', activation('silu', x));
    const part = sliceChannels([read], { begin: 0, end: 2 })[0]!;
    const guard = activation('sigmoid', x);
    assign([target, target]);
    graph.outputs.set('y', part);
    graph.guards.set('main', guard);
    prune(graph);
    expect(graph.nodes.map(n => n.op.name)).toEqual(['relu', 'slice_channels', 'sigmoid', 'assign']);
  });
});
