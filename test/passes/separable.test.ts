// Depthwise convolutions that become one op with the pointwise ones around them.

import { describe, expect, test } from '@jest/globals';
import { fixed, Graph, rows, type Value } from '../../src/graph/graph.js';
import { add } from '../../src/ops/arithmetic.js';
import { conv2d } from '../../src/ops/conv2d.js';
import { channelShuffle } from '../../src/ops/shape.js';
import { joinSeparable } from '../../src/passes/separable.js';
import { planFor } from '../../src/runtime/program.js';
import { evaluationGraph } from '../../src/train/evaluation.js';
import { buildNetwork } from '../../src/zoo/zoo.js';

const border = [1, 1, 1, 1];

/** expand, depthwise, project; `between` may look at their results and change what the next one reads. */
function graphOf(between: (name: string, value: Value, graph: Graph) => Value, groups = 1): Graph {
  const graph = new Graph();
  const x = graph.feed('x', rows([6, 6, 8]));
  const weights = (name: string, shape: number[]): Value => graph.fromStore(name, fixed(shape));
  const layer = (name: string, input: Value, w: Value, attributes: object): Value =>
    between(
      name,
      graph.scoped(`block.${name}`, () => conv2d([input, w], attributes)[0]!),
      graph,
    );
  const expanded = layer('expand', x, weights('e', [1, 1, 8 / groups, 32]), { activation: 'relu6', groups });
  const filtered = layer('filter', expanded, weights('f', [3, 3, 1, 32]), { pad: border, groups: 32 });
  graph.outputs.set('y', layer('project', filtered, weights('p', [1, 1, 32 / groups, 8]), { groups }));
  return graph;
}

const ops = (graph: Graph): string[] =>
  graph.nodes.map(n => (n.attributes['expand'] ? `expanded ${n.op.name}` : n.op.name));

describe('a depthwise convolution', () => {
  test('joins the pointwise ones around it, and the shortcut', () => {
    const graph = graphOf((name, value, of) =>
      name === 'project'
        ? conv2d([value, of.fromStore('q', fixed([1, 1, 8, 8])), value], { residual: true })[0]!
        : value,
    );
    joinSeparable(graph);
    expect(ops(graph)).toEqual(['expanded separable_conv2d', 'conv2d']);
    const [joined, after] = graph.nodes;
    expect(joined!.path).toBe('block');
    expect(joined!.attributes).toMatchObject({ expandActivation: 'relu6', activation: 'none', pad: border });
    expect(after!.inputs[0]).toBe(joined!.outputs[0]);
    expect(after!.inputs[2]).toBe(joined!.outputs[0]);
  });

  test('joins pointwise ones of groups, and what shuffles channels between', () => {
    const graph = graphOf((name, value) => (name === 'expand' ? channelShuffle([value], { groups: 4 })[0]! : value), 4);
    joinSeparable(graph);
    expect(ops(graph)).toEqual(['expanded separable_conv2d']);
    expect(graph.nodes[0]!.attributes).toMatchObject({
      shuffle: 4,
      expandGroups: 4,
      projectGroups: 4,
    });
  });

  test('joins only the one behind it where the result before is read elsewhere', () => {
    const graph = graphOf((name, value, of) => {
      if (name === 'expand') of.outputs.set('other', value);
      return value;
    });
    joinSeparable(graph);
    expect(ops(graph)).toEqual(['conv2d', 'separable_conv2d']);
  });

  test('stays where something else reads its result, or changes it', () => {
    const read = graphOf((name, value, of) => {
      if (name === 'filter') of.outputs.set('other', value);
      return value;
    });
    const changed = graphOf((name, value) => (name === 'filter' ? add([value, value])[0]! : value));
    for (const graph of [read, changed]) {
      const before = ops(graph);
      joinSeparable(graph);
      expect(ops(graph)).toEqual(before);
    }
  });
});

// What the networks come down to: convolutions that stay alone, and joined ones with and without an expansion.
test.each([
  // Stem, head and classifier; the shortcuts of four blocks.
  ['mobilenet_v2', 3 + 4, 17, 0],
  ['mobilenet_v1', 2, 0, 13],
  // Stem and classifier; its shuffles are within the rest.
  ['shufflenet_v1_g3', 2, 16, 0],
  ['resnet20', 20, 0, 0],
] as const)('%s', async (name, alone, expanded, plain) => {
  const model = await buildNetwork(name, [32, 32, 3], 10);
  const graph = evaluationGraph(model, of => of.feed('x', rows(model.inputShape())));
  planFor(graph, { batch: 2 });
  const counts = ['conv2d', 'expanded separable_conv2d', 'separable_conv2d'].map(
    op => ops(graph).filter(other => other === op).length,
  );
  expect(counts).toEqual([alone, expanded, plain]);
});
