// Norms that move into the convolutions that read them.

import { describe, expect, test } from '@jest/globals';
import { fixed, Graph, rows, type Value } from '../../src/graph/graph.js';
import { add } from '../../src/ops/arithmetic.js';
import { conv2d, conv2dGradWeight } from '../../src/ops/conv2d.js';
import { batchNorm } from '../../src/ops/normalization.js';
import { moveIntoReaders } from '../../src/passes/prologue.js';
import { Program } from '../../src/runtime/program.js';
import { store } from './norm-store.js';

const image = rows([6, 6, 8]);
const border = { pad: [1, 1, 1, 1] };

/** A norm of x, and what reads it. */
function graphOf(read: (graph: Graph, norm: Value, x: Value) => Record<string, Value>, residual = false): Graph {
  const graph = new Graph();
  const x = graph.feed('x', image);
  const parameters = ['mean', 'variance', 'gamma', 'beta'].map(name => graph.fromStore(name, fixed([8])));
  const operands = [x, ...parameters, ...(residual ? [x] : [])];
  const norm = batchNorm(operands, { activation: 'relu', epsilon: 0.01, residual })[0]!;
  for (const [name, value] of Object.entries(read(graph, norm, x))) graph.outputs.set(name, value);
  return graph;
}

const weight = (graph: Graph): Value => graph.fromStore('w', fixed([3, 3, 8, 16]));

const convolutions = (graph: Graph, norm: Value): Record<string, Value> => {
  const y = conv2d([norm, weight(graph)], border)[0]!;
  return { y, dw: conv2dGradWeight([norm, y], { ...border, kernel: [3, 3] })[0]! };
};

const ops = (graph: Graph): string[] => graph.nodes.map(n => (n.attributes['prologue'] ? `${n.op.name}*` : n.op.name));

describe('a norm that only convolutions read', () => {
  test('moves into each of them, with the same bytes', async () => {
    const plain = graphOf((graph, norm) => ({ ...convolutions(graph, norm), norm }));
    const moved = graphOf(convolutions);
    moveIntoReaders(moved);
    expect(ops(moved)).toEqual(['conv2d*', 'conv2d_grad_weight*']);
    const x = Float32Array.from({ length: 2 * 6 * 6 * 8 }, (_, i) => Math.cos(i * 0.9));
    const [expected, got] = await Promise.all(
      [plain, moved].map(async graph => (await new Program(graph, { batch: 2, store: store() }).run({ x }, 2)).results),
    );
    expect(got).toEqual({ y: expected!['y'], dw: expected!['dw'] });
    expect(new Program(moved, { batch: 2, store: store() }).plan.arenaBytes).toBeLessThan(
      new Program(plain, { batch: 2, store: store() }).plan.arenaBytes,
    );
  });

  test('stays where something else reads it, where it is a result, and where it adds a shortcut', () => {
    const others = [
      graphOf((graph, norm, x) => ({ ...convolutions(graph, norm), sum: add([norm, x])[0]! })),
      graphOf((graph, norm) => ({ ...convolutions(graph, norm), norm })),
      graphOf(convolutions, true),
      // As the gradient of the output, not as the input.
      graphOf((_, norm, x) => ({ dw: conv2dGradWeight([x, norm], { ...border, kernel: [3, 3] })[0]! })),
    ];
    for (const graph of others) {
      const before = ops(graph);
      moveIntoReaders(graph);
      expect(ops(graph)).toEqual(before);
    }
  });
});
