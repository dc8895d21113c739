// Recomputation: what is computed again, where, and what it saves.

import { describe, expect, test } from '@jest/globals';
import { FIXED, fixed, Graph, type Node, rows, type Value } from '../../src/graph/graph.js';
import { activation } from '../../src/ops/activations.js';
import { conv2d } from '../../src/ops/conv2d.js';
import { batchNorm, moments } from '../../src/ops/normalization.js';
import { differentiate } from '../../src/passes/autodiff.js';
import { prune } from '../../src/passes/prune.js';
import { recompute } from '../../src/passes/recompute.js';
import { bytesOf } from '../../src/passes/storage.js';
import { planFor } from '../../src/runtime/program.js';
import { makeRecipe } from '../../src/train/recipe.js';
import { parameterGroups, trainingGraph } from '../../src/train/step.js';
import { buildNetwork } from '../../src/zoo/zoo.js';

const ROWS = 4;
const PIXELS = [8, 8, 4];
const BLOCK = 4 * ROWS * 8 * 8 * 4;

/** A chain of `length` layers, differentiated with respect to the first one's weights and fed gradients at its end. */
function chain(length: number, layer: (x: Value, name: string) => Value) {
  const graph = new Graph();
  let y = graph.feed('x', rows(PIXELS));
  for (let i = 0; i < length; i++) y = layer(y, `layer${i}`);
  const forward = new Set<Node>(graph.nodes);
  const weights = [...graph.state.values()];
  const gradients = differentiate(graph, new Map([[y, graph.feed('dy', rows(PIXELS))]]), weights);
  for (const [name, value] of graph.state) {
    const gradient = gradients.get(value);
    if (gradient) graph.outputs.set(`gradient of ${name}`, gradient);
  }
  prune(graph);
  return { graph, forward };
}

const convolution = (x: Value, name: string): Value =>
  activation('tanh', conv2d([x, x.graph.fromStore(name, fixed([3, 3, 4, 4]))], { pad: [1, 1, 1, 1] })[0]!);

/** Most bytes of a graph's own values that are alive at one time, without weights and their gradients. */
function peak(graph: Graph): number {
  const last = new Map<Value, number>();
  graph.nodes.forEach((node, at) => {
    for (const value of [...node.outputs, ...node.inputs]) if (value.source.kind === 'node') last.set(value, at);
  });
  let alive = 0;
  let most = 0;
  graph.nodes.forEach((node, at) => {
    const grows = (v: Value): number => (v.type.count === FIXED ? 0 : bytesOf(v, [ROWS]));
    for (const value of node.outputs) alive += grows(value);
    most = Math.max(most, alive);
    for (const value of new Set([...node.inputs, ...node.outputs])) if (last.get(value) === at) alive -= grows(value);
  });
  return most;
}

const none = new Map<Node, number>();

describe('recompute', () => {
  test.each([16, 64, 256])('a chain of %i layers needs of the order of √n blocks', length => {
    const plain = chain(length, convolution);
    expect(peak(plain.graph)).toBeGreaterThan(length * BLOCK);
    const { graph, forward } = chain(length, convolution);
    recompute(graph, forward, [ROWS], none);
    expect(peak(graph)).toBeLessThan((3 * Math.sqrt(length) + 4) * BLOCK);
    // One forward pass more at most.
    expect(graph.nodes.length - plain.graph.nodes.length).toBeLessThan(2 * length);
  });

  test('every operand is computed before it is read, and the forward pass stays as it was', () => {
    const { graph, forward } = chain(32, convolution);
    const before = graph.nodes.filter(node => forward.has(node));
    recompute(graph, forward, [ROWS], none);
    expect(graph.nodes.slice(0, before.length)).toEqual(before);
    const known = new Set<Value>([...graph.feeds.values(), ...graph.state.values()]);
    for (const node of graph.nodes) {
      for (const value of node.inputs) expect(known.has(value)).toBe(true);
      for (const value of node.outputs) known.add(value);
    }
    expect(new Set(graph.nodes).size).toBe(graph.nodes.length);
  });

  test('moments are kept', () => {
    const layer = (x: Value, name: string): Value => {
      const [mean, variance] = moments([x]);
      return convolution(batchNorm([x, mean!, variance!], { affine: false, statistics: 'batch' })[0]!, name);
    };
    const { graph, forward } = chain(24, layer);
    const count = (op: string): number => graph.nodes.filter(node => node.op.name === op).length;
    recompute(graph, forward, [ROWS], none);
    expect(count('moments')).toBe(24);
    expect(count('batch_norm')).toBeGreaterThan(24 + 12);
  });

  test('what writes is written once', async () => {
    const model = await buildNetwork('resnet20', [32, 32, 3], 10);
    const step = (recomputed: boolean) => {
      const { graph, forward } = trainingGraph({
        ...{ model, loss: 'cross_entropy', labelSmoothing: 0, optimizer: 'sgd', optimizerOptions: makeRecipe() },
        input: g => g.feed('x', rows([32, 32, 3])),
        groups: parameterGroups(model),
        ema: true,
        accumulate: 2,
      });
      const plan = planFor(graph, { batch: 16, ...(recomputed ? { recomputes: forward } : {}) });
      return {
        plan,
        writes: graph.nodes.filter(n => (n.op.spec.updates?.(n.attributes, n.inputs.length) ?? []).length),
      };
    };
    const [usual, less] = [step(false), step(true)];
    expect(less.plan.wire.steps.length).toBeGreaterThan(usual.plan.wire.steps.length);
    expect(less.writes.map(n => n.op.name)).toEqual(usual.writes.map(n => n.op.name));
    expect(less.plan.wire.segments.map(s => s.name)).toEqual(usual.plan.wire.segments.map(s => s.name));
    expect(less.plan.arenaBytes).toBeLessThan(0.6 * usual.plan.arenaBytes);
  });

  test('a workspace that is larger than everything leaves nothing to gain', () => {
    const { graph, forward } = chain(16, convolution);
    const before = [...graph.nodes];
    recompute(graph, forward, [ROWS], new Map([[graph.nodes.at(-1)!, 1000 * BLOCK]]));
    expect(graph.nodes).toEqual(before);
  });
});
