// Shuffles that read concatenations and write slices: what becomes of a small graph, and that the numbers are the same.

import { describe, expect, test } from '@jest/globals';
import { trainingStep } from '../../cli/bench/model.js';
import { Graph, rows, type Value } from '../../src/graph/graph.js';
import { activation } from '../../src/ops/activations.js';
import { channelShuffle, concat, sliceChannels } from '../../src/ops/shape.js';
import { shuffleInPieces } from '../../src/passes/shuffle.js';
import { Program, planFor, Store } from '../../src/runtime/program.js';
import { buildNetwork } from '../../src/zoo/zoo.js';

const PIXELS = [2, 1] as const;

function scene() {
  const graph = new Graph();
  const [a, b] = [2, 4].map((channels, i) => graph.feed('ab'[i]!, rows([...PIXELS, channels])));
  const shuffle = (x: Value): Value => channelShuffle([x], { groups: 3 })[0]!;
  const slice = (x: Value, begin: number, end: number): Value => sliceChannels([x], { begin, end })[0]!;
  const result = (name: string, value: Value): unknown => graph.outputs.set(name, activation('relu', value));
  return { graph, whole: concat([a!, b!])[0]!, shuffle, slice, result };
}

/** The ops that move data, with their numbers of operands and results. */
const movers = (graph: Graph): string[] =>
  graph.nodes.filter(n => n.op.name !== 'relu').map(n => `${n.op.name} ${n.inputs.length} ${n.outputs.length}`);

describe('shuffleInPieces', () => {
  test('a shuffle reads what was concatenated, and writes the slices', async () => {
    const { graph, whole, shuffle, slice, result } = scene();
    const y = shuffle(whole);
    result('last', slice(y, 1, 6));
    result('first', slice(y, 0, 1));
    shuffleInPieces(graph);
    expect(movers(graph)).toEqual(['channel_shuffle 2 2']);

    const store = new Store();
    const program = new Program(graph, { batch: 1, store });
    const feeds = { a: Float32Array.of(1, 2, 11, 12), b: Float32Array.of(3, 4, 5, 6, 13, 14, 15, 16) };
    const { results } = await program.run(feeds, 1);
    // 3 groups of 2: channels 0, 2, 4, 1, 3, 5
    expect([...results['first']!]).toEqual([1, 11]);
    expect([...results['last']!]).toEqual([3, 5, 2, 4, 6, 13, 15, 12, 14, 16]);
    program.dispose();
    store.dispose();
  });

  test('a concatenation that has another reader stays', () => {
    const { graph, whole, shuffle, result } = scene();
    result('y', shuffle(whole));
    result('whole', whole);
    shuffleInPieces(graph);
    expect(movers(graph)).toEqual(['concat 2 1', 'channel_shuffle 1 1']);
  });

  test.each<[string, (y: Value, s: ReturnType<typeof scene>) => void]>([
    ['have other channels twice', (y, s) => [0, 1].map(i => s.result(`${i}`, s.slice(y, i, 5 + i)))],
    ['leave channels out', (y, s) => [0, 3].map(i => s.result(`${i}`, s.slice(y, i, 2 + i)))],
    ['do not reach the end', (y, s) => [0, 3].map(i => s.result(`${i}`, s.slice(y, i, 3 + (2 * i) / 3)))],
    [
      'are not the only readers',
      (y, s) => [s.result('y', y), s.result('a', s.slice(y, 0, 3)), s.result('b', s.slice(y, 3, 6))],
    ],
    [
      'are of a result',
      (y, s) => [s.graph.outputs.set('y', y), s.result('a', s.slice(y, 0, 3)), s.result('b', s.slice(y, 3, 6))],
    ],
  ])('slices that %s stay', (_, read) => {
    const made = scene();
    read(made.shuffle(made.graph.feed('x', rows([...PIXELS, 6]))), made);
    const before = movers(made.graph);
    shuffleInPieces(made.graph);
    expect(movers(made.graph)).toEqual(before);
  });

  test('a training of ShuffleNetV2 copies nothing', async () => {
    const model = await buildNetwork('shufflenet_v2_x0_5', [32, 32, 3], 10, { form: 'cifar' });
    const store = new Store();
    const { graph } = trainingStep(model, store);
    const ops = planFor(graph, { batch: 2 }).wire.steps.map(step => step.op);
    expect(ops.filter(op => op === 'channel_shuffle')).toHaveLength(32);
    expect(ops.filter(op => op === 'copy' || op === 'pad')).toEqual([]);
    store.dispose();
  });
});
