// Gradient sums of norms that move into the convolution that writes the gradient.

import { describe, expect, test } from '@jest/globals';
import { fixed, Graph, rows, type Value } from '../../src/graph/graph.js';
import { add } from '../../src/ops/arithmetic.js';
import { conv2dGradInput } from '../../src/ops/conv2d.js';
import { batchNormGradInput, batchNormGradSums } from '../../src/ops/normalization.js';
import { moveSumsIntoWriters } from '../../src/passes/sums.js';
import { Program } from '../../src/runtime/program.js';
import { store } from './norm-store.js';

const numbers = (length: number, of: (i: number) => number): Float32Array =>
  Float32Array.from({ length }, (_, i) => of(i));

/** The backward pass of norm, ReLU and a convolution of stride `stride`; `between` is done to the gradient. */
function graphOf(stride = 1, between: (dx: Value) => Value = dx => dx): Graph {
  const graph = new Graph();
  const size = 6 / stride;
  const dy = graph.feed('dy', rows([size, size, 16]));
  const x = graph.feed('x', rows([6, 6, 8]));
  const w = graph.fromStore('w', fixed([3, 3, 8, 16]));
  const parameters = ['mean', 'variance', 'gamma', 'beta'].map(name => graph.fromStore(name, fixed([8])));
  const window = { pad: [1, 1, 1, 1], stride: [stride, stride], size: [6, 6] };
  const dz = between(conv2dGradInput([dy, w], window)[0]!);
  const norm = { activation: 'relu', epsilon: 0.01 };
  const [dbeta, dgamma] = batchNormGradSums([dz, x, ...parameters], norm) as [Value, Value];
  const [dx] = batchNormGradInput([dz, x, ...parameters, dbeta, dgamma], norm) as [Value];
  for (const [name, value] of Object.entries({ dx, dbeta, dgamma })) graph.outputs.set(name, value);
  return graph;
}

const ops = (graph: Graph): string[] => graph.nodes.map(n => (n.attributes['sums'] ? `${n.op.name}*` : n.op.name));

describe('gradient sums of a norm', () => {
  test('move into the input gradient of a convolution', async () => {
    const moved = graphOf();
    moveSumsIntoWriters(moved);
    expect(ops(moved)).toEqual(['conv2d_grad_input*', 'batch_norm_grad_input']);
    // An addition between them leaves the sums no convolution to move into.
    const plain = graphOf(1, dx => add([dx, dx.graph.feed('zero', dx.type)])[0]!);
    const feeds = {
      dy: numbers(2 * 6 * 6 * 16, i => Math.cos(i * 0.3)),
      x: numbers(2 * 6 * 6 * 8, i => Math.cos(i * 0.9)),
    };
    const zero = new Float32Array(2 * 6 * 6 * 8);
    const expected = (await new Program(plain, { batch: 2, store: store() }).run({ ...feeds, zero }, 2)).results;
    const got = (await new Program(moved, { batch: 2, store: store() }).run(feeds, 2)).results;
    for (const name of ['dx', 'dbeta', 'dgamma']) {
      const [a, b] = [expected[name] as Float32Array, got[name] as Float32Array];
      const largest = a.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      expect(largest).toBeGreaterThan(1e-2);
      expect(a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0)).toBeLessThan(1e-5 * largest);
    }
  });

  test('stay where the convolution is strided, and where something else wrote the gradient', () => {
    for (const graph of [graphOf(2), graphOf(1, dx => add([dx, dx])[0]!)]) {
      const before = ops(graph);
      moveSumsIntoWriters(graph);
      expect(ops(graph)).toEqual(before);
    }
  });
});
