// Networks with folded norms: the same answers as without, whatever is in the store.

import { describe, expect, test } from '@jest/globals';
import { Graph, rows } from '../../src/graph/graph.js';
import { batchNorm, conv1d, conv2d, flatten, linear, Model, relu, seq } from '../../src/layers/index.js';
import { fuse } from '../../src/passes/fuse.js';
import { prune } from '../../src/passes/prune.js';
import { Program, Store } from '../../src/runtime/program.js';
import { evaluationGraph } from '../../src/train/evaluation.js';
import { buildNetwork } from '../../src/zoo/zoo.js';

const BATCH = 3;

/** The same numbers in every run, uniform from `low` to `high`. */
function random(seed: number): (length: number, low: number, high: number) => Float32Array {
  let state = seed >>> 0;
  return (length, low, high) =>
    Float32Array.from({ length }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return low + ((high - low) * state) / 2 ** 32;
    });
}

/** A store with weights of about the size that keeps activations as they are, and statistics of every kind. */
function filled(model: Model, seed: number): Store {
  const draw = random(seed);
  const store = new Store();
  for (const { name, shape } of model.state) {
    const length = shape.reduce((p, d) => p * d, 1);
    const fanIn = length / shape.at(-1)!;
    store.define(name, shape);
    store.write(
      name,
      name.endsWith('running_var')
        ? draw(length, 0.2, 2)
        : shape.length > 1
          ? draw(length, -2 / Math.sqrt(fanIn), 2 / Math.sqrt(fanIn))
          : draw(length, -0.5, 1),
    );
  }
  return store;
}

const input = (model: Model) => (graph: Graph) => graph.feed('x', rows(model.inputShape()));

/** As evaluationGraph, but norms stay ops of their own. */
function unfolded(model: Model): Graph {
  const graph = new Graph();
  const built = model.build(graph, { training: false, inputs: { input: input(model)(graph) } });
  graph.outputs.set('output', Object.values(built.outputs)[0]!);
  prune(graph);
  fuse(graph);
  return graph;
}

const count = (graph: Graph, op: string): number => graph.nodes.filter(n => n.op.name === op).length;

const feed = (model: Model): Float32Array => random(7)(BATCH * model.inputShape().reduce((p, d) => p * d, 1), -1, 1);

const answer = async (program: Program, x: Float32Array): Promise<Float32Array> =>
  (await program.run({ x }, BATCH)).results['output'] as Float32Array;

const largest = (values: Float32Array): number => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);

/** Networks with norms after dense, grouped, depthwise and strided convolutions, before them, and between. */
const networks: readonly (readonly [string, number])[] = [
  ['resnet20', 0],
  ['mobilenet_v1_x0_25', 0],
  ['mobilenet_v2', 0],
  ['shufflenet_v1_g3', 0],
  ['shufflenet_v2_x0_5', 0],
  // Norms of sums and of concatenations, which no convolution has made, stay.
  ['preact_resnet18', 8],
  ['densenet_bc100', 51],
];

describe('folded networks', () => {
  test.each(networks)('%s', async (name, staying) => {
    const model = await buildNetwork(name, [32, 32, 3], 10);
    const store = filled(model, 1);
    const [folded, plain] = [evaluationGraph(model, input(model)), unfolded(model)];
    expect(count(folded, 'batch_norm')).toBe(staying);
    expect(count(plain, 'batch_norm')).toBeGreaterThan(staying);
    const x = feed(model);
    const expected = await answer(new Program(plain, { batch: BATCH, store }), x);
    const got = await answer(new Program(folded, { batch: BATCH, store, threads: 1 }), x);
    const limit = 1e-5 * largest(expected);
    expect(limit).toBeGreaterThan(0);
    expect(got.every((v, i) => Math.abs(v - expected[i]!) <= limit)).toBe(true);
    const again = evaluationGraph(model, input(model));
    expect(await answer(new Program(again, { batch: BATCH, store, threads: 3 }), x)).toEqual(got);
  });

  test('1-D convolutions and linear layers', async () => {
    const model = Model.from(
      [12, 4],
      seq(conv1d(6, 3), batchNorm(), relu(), flatten(), linear(9), batchNorm({ epsilon: 0.01, affine: false })),
    );
    const store = filled(model, 2);
    const graph = evaluationGraph(model, input(model));
    expect(count(graph, 'batch_norm')).toBe(0);
    const expected = await answer(new Program(unfolded(model), { batch: BATCH, store }), feed(model));
    const got = await answer(new Program(graph, { batch: BATCH, store }), feed(model));
    expect(largest(got.map((v, i) => v - expected[i]!))).toBeLessThanOrEqual(1e-5 * largest(expected));
  });

  test('every tensor of the store that changes changes the answer of a program that has run', async () => {
    const model = Model.from(
      [6, 6, 4],
      seq(
        seq({ conv: conv2d(8, 3), norm: batchNorm(), relu: relu() }),
        seq({ depthwise: conv2d(8, 3, { groups: 8, bias: false }), norm: batchNorm() }),
      ),
    );
    const store = filled(model, 3);
    const program = new Program(evaluationGraph(model, input(model)), { batch: BATCH, store });
    const x = feed(model);
    let before = await answer(program, x);
    expect(await answer(program, x)).toEqual(before);
    for (const { name } of model.state) {
      store.write(
        name,
        store.read(name).map((v: number) => v + 0.25),
      );
      const after = await answer(program, x);
      expect(after).not.toEqual(before);
      const anew = new Program(evaluationGraph(model, input(model)), { batch: BATCH, store });
      expect(after).toEqual(await answer(anew, x));
      before = after;
    }
  });
});
