// Simplification: what is computed twice, and activations before maxima.

import { describe, expect, test } from '@jest/globals';
import { fixed, Graph, rows, type Value } from '../../src/graph/graph.js';
import { activation } from '../../src/ops/activations.js';
import { add } from '../../src/ops/arithmetic.js';
import { batchNorm } from '../../src/ops/normalization.js';
import { maxPool2d } from '../../src/ops/pooling.js';
import { dropout } from '../../src/ops/random.js';
import { differentiate } from '../../src/passes/autodiff.js';
import { fuse } from '../../src/passes/fuse.js';
import { simplify } from '../../src/passes/simplify.js';
import { Program, Store } from '../../src/runtime/program.js';

const image = rows([5, 6, 4]);
const window = { kernel: [3, 3], stride: [2, 2], pad: [1, 1, 1, 1] };

function graphOf(build: (x: Value, graph: Graph) => Record<string, Value>): Graph {
  const graph = new Graph();
  const x = graph.feed('x', image);
  // A first op, for a value of the graph that is not fed.
  const sum = add([x, x])[0]!;
  for (const [name, value] of Object.entries(build(sum, graph))) graph.outputs.set(name, value);
  return graph;
}

const ops = (graph: Graph): string[] =>
  graph.nodes.map(n => (n.attributes['activation'] === 'relu' ? `${n.op.name}+relu` : n.op.name));

const feed = Float32Array.from({ length: 2 * 5 * 6 * 4 }, (_, i) => Math.sin(i * 1.7) * 2);

async function run(graph: Graph): Promise<Record<string, unknown>> {
  return (await new Program(graph, { batch: 2, store: new Store() }).run({ x: feed }, 2)).results;
}

describe('what is computed twice', () => {
  const twice = (x: Value): Record<string, Value> => {
    const [a, b] = [activation('relu', x), activation('relu', x)];
    return { y: add([maxPool2d([a], window)[0]!, maxPool2d([b], window)[0]!])[0]!, tanh: activation('tanh', a), b };
  };

  test('is computed once, and all that follows from it', async () => {
    const graph = graphOf(twice);
    const before = await run(graphOf(twice));
    simplify(graph);
    expect(ops(graph)).toEqual(['add', 'relu', 'max_pool2d', 'add', 'tanh']);
    expect(await run(graph)).toEqual(before);
  });

  test('stays where attributes or inputs differ, and where masks are drawn', () => {
    const graph = graphOf((x, of) => {
      const random = [of.fromStore('rate', fixed([1])), of.feed('random', fixed([4], 'i32'))];
      const masks = [1, 2].map(key => dropout([x, ...random], { key })[0]!);
      const pools = [window, { ...window, stride: [1, 1] }].map(a => maxPool2d([x], a)[0]!);
      return { a: masks[0]!, b: masks[1]!, c: pools[0]!, d: pools[1]!, e: activation('relu', masks[0]!) };
    });
    const before = ops(graph);
    simplify(graph);
    expect(ops(graph)).toEqual(before);
  });

  test('is found by its old name', () => {
    const graph = graphOf(() => ({}));
    const x = graph.nodes[0]!.outputs[0]!;
    const [a, b] = [activation('relu', x), activation('relu', x)];
    const now = simplify(graph);
    expect(now(b)).toBe(a);
    expect(now(x)).toBe(x);
  });
});

describe('an activation before a maximum', () => {
  const pooled = (x: Value): Record<string, Value> => {
    const once = maxPool2d([activation('relu', x)], window)[0]!;
    return { y: maxPool2d([once], window)[0]! };
  };

  test('moves behind it and into it, with the same bytes', async () => {
    const graph = graphOf(pooled);
    const before = await run(graphOf(pooled));
    simplify(graph);
    expect(ops(graph)).toEqual(['add', 'max_pool2d', 'max_pool2d', 'relu']);
    fuse(graph);
    expect(ops(graph)).toEqual(['add', 'max_pool2d', 'max_pool2d+relu']);
    expect(await run(graph)).toEqual(before);
  });

  test('has the same gradient', async () => {
    const gradient = async (simplified: boolean): Promise<Record<string, unknown>> => {
      const graph = graphOf(() => ({}));
      const x = graph.nodes[0]!.outputs[0]!;
      const y = maxPool2d([activation('relu6', x)], window)[0]!;
      const now = simplified ? simplify(graph) : (value: Value) => value;
      const dy = graph.feed('dy', y.type);
      const input = graph.feeds.get('x')!;
      graph.outputs.set('dx', differentiate(graph, new Map([[now(y), dy]]), [input]).get(input)!);
      const values = Float32Array.from({ length: 2 * 3 * 3 * 4 }, (_, i) => Math.cos(i));
      // Steep enough for both ends of relu6.
      const x4 = feed.map(v => 4 * v);
      return (await new Program(graph, { batch: 2, store: new Store() }).run({ x: x4, dy: values }, 2)).results;
    };
    const [plain, simplified] = [await gradient(false), await gradient(true)];
    expect((plain['dx'] as Float32Array).some(v => v !== 0)).toBe(true);
    expect(simplified).toEqual(plain);
  });

  test('stays where something else reads its result, behind norms, and where it may fall', () => {
    const graphs = [
      graphOf(x => {
        const active = activation('relu', x);
        return { y: maxPool2d([active], window)[0]!, z: activation('tanh', active) };
      }),
      graphOf((x, graph) => {
        const [mean, variance] = ['mean', 'variance'].map(name => graph.fromStore(name, fixed([4])));
        const norm = batchNorm([x, mean!, variance!], { affine: false, statistics: 'constant' })[0]!;
        return { y: maxPool2d([activation('relu', norm)], window)[0]! };
      }),
      graphOf(x => ({ y: maxPool2d([activation('silu', x)], window)[0]! })),
    ];
    for (const graph of graphs) {
      const before = ops(graph);
      simplify(graph);
      expect(ops(graph)).toEqual(before);
    }
  });
});
