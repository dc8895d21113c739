// A plan as it crosses to the addon: places, ports, segments. What memory is shared is tested with the passes.

import { expect, test } from '@jest/globals';
import { type Graph, rows } from '../../src/graph/graph.js';
import { native } from '../../src/native.js';
import { prune } from '../../src/passes/prune.js';
import { buildPlan } from '../../src/plan/build.js';
import type { WirePlan, WireTensor } from '../../src/plan/wire.js';
import { evaluationGraph } from '../../src/train/evaluation.js';
import { makeRecipe } from '../../src/train/recipe.js';
import { parameterGroups, trainingGraph } from '../../src/train/step.js';
import { buildNetwork } from '../../src/zoo/zoo.js';

const BATCH = 6;
const SIZES = { f32: 4, i32: 4, u8: 1 } as const;

const model = await buildNetwork('resnet20', [32, 32, 3], 10);
const input = (graph: Graph) => graph.feed('x', rows([32, 32, 3]));

function training(accumulate: number): WirePlan {
  const { graph } = trainingGraph({
    model,
    input,
    loss: 'cross_entropy',
    labelSmoothing: 0,
    optimizer: 'sgd',
    optimizerOptions: makeRecipe(),
    groups: parameterGroups(model, { exemptNorms: true }),
    ema: true,
    accumulate,
  });
  prune(graph);
  return buildPlan(graph, [BATCH], native()).wire;
}

function evaluation(): WirePlan {
  const graph = evaluationGraph(model, input);
  prune(graph);
  return buildPlan(graph, [BATCH], native()).wire;
}

const span = ({ shape, stride, dtype }: WireTensor): number => {
  const channels = shape.at(-1) ?? 1;
  const pixels = shape.reduce((p, d) => p * d, 1) / channels;
  return ((pixels - 1) * stride + channels) * SIZES[dtype];
};

test.each([
  ['training', () => training(1)],
  ['training with accumulation', () => training(3)],
  ['evaluation', evaluation],
])('%s: everything lies where there is room for it', (_, make) => {
  const wire = make();
  const room = { arena: wire.arenaBytes, feed: wire.feedBytes };
  for (const tensor of wire.tensors) {
    if (tensor.place === 'state') expect(tensor.offset).toBeLessThan(wire.state.length);
    else expect(tensor.offset + span(tensor)).toBeLessThanOrEqual(room[tensor.place]);
    if (tensor.count >= 0) expect(tensor.shape[0]).toBe(BATCH);
  }
  expect(new Set(wire.state).size).toBe(wire.state.length);
  const feeds = wire.feeds.map(f => wire.tensors[f.tensor]!).sort((a, b) => a.offset - b.offset);
  feeds.slice(1).forEach((feed, i) => {
    expect(feed.offset).toBeGreaterThanOrEqual(feeds[i]!.offset + span(feeds[i]!));
  });
  // Beside what a step reads and writes, its workspace.
  const needs = native().requirements(wire);
  wire.steps.forEach((step, i) => {
    for (const t of [...step.inputs, ...step.outputs].map(t => wire.tensors[t]!)) {
      if (t.place !== 'arena' || needs[i]!.workspace === 0) continue;
      const apart = step.workspace >= t.offset + span(t) || step.workspace + needs[i]!.workspace <= t.offset;
      expect(apart).toBe(true);
    }
  });
});

test('a training plan has its four segments, and writes state in the last alone', () => {
  const wire = training(1);
  expect(wire.segments.map(s => [s.name, s.changesState, s.guard >= 0])).toEqual([
    ['gradients', false, false],
    ['reduce', false, false],
    ['check', false, false],
    ['commit', true, true],
  ]);
  wire.segments.forEach((segment, i) => {
    expect(segment.begin).toBe(i === 0 ? 0 : wire.segments[i - 1]!.end);
  });
  expect(wire.segments.at(-1)!.end).toBe(wire.steps.length);
  const writes = ['sgd', 'ema', 'assign', 'scale_all', 'adam', 'rmsprop'];
  const commit = wire.segments[3]!;
  wire.steps.forEach((step, i) => {
    if (writes.includes(step.op)) expect(i).toBeGreaterThanOrEqual(commit.begin);
    for (const output of step.outputs) expect(wire.tensors[output]!.place).toBe('arena');
  });
});

test('the same graph gives the same plan', () => {
  expect(training(2)).toEqual(training(2));
});

test('an evaluation keeps what it derives from weights, step by step', () => {
  const wire = evaluation();
  const needs = native().requirements(wire);
  const kept = wire.steps.map((step, i) => [step.derived, needs[i]!.derived] as const).filter(([, bytes]) => bytes > 0);
  kept.sort((a, b) => a[0] - b[0]);
  kept.slice(1).forEach(([offset], i) => {
    expect(offset).toBeGreaterThanOrEqual(kept[i]![0] + kept[i]![1]);
  });
  // A training plan derives anew in every step: all share one place.
  expect(new Set(training(1).steps.map(s => s.derived))).toEqual(new Set([0]));
});
