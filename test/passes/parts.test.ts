// Sums of gradients of some channels: what graph they become, and that it is the sum.

import { describe, expect, test } from '@jest/globals';
import { Graph, rows, type Value } from '../../src/graph/graph.js';
import { generator } from '../../src/layers/initializers.js';
import { sliceChannels } from '../../src/ops/shape.js';
import { type Part, sumOfParts } from '../../src/passes/parts.js';
import { Program, Store } from '../../src/runtime/program.js';

const PIXELS = [2, 3] as const;
const type = (channels: number) => rows([...PIXELS, channels]);

/** Names of the ops that the sum is made of. */
function opsOf(channels: number, make: (feed: (name: string, channels: number) => Value) => Part[]): string[] {
  const graph = new Graph();
  sumOfParts(
    type(channels),
    make((name, width) => graph.feed(name, type(width))),
  );
  return graph.nodes.map(node => node.op.name);
}

const slice = (x: Value, begin: number, end: number): Value => sliceChannels([x], { begin, end })[0]!;

describe('sumOfParts', () => {
  test('parts that lie side by side are joined, whatever their order', () => {
    const ops = opsOf(5, feed => [
      { gradient: feed('b', 3), begin: 2 },
      { gradient: feed('a', 2), begin: 0 },
    ]);
    expect(ops).toEqual(['concat']);
  });

  test('slices of one gradient that go on from one another are that gradient', () => {
    const ops = opsOf(6, feed => {
      const wide = feed('wide', 6);
      return [
        { gradient: slice(wide, 4, 6), begin: 4 },
        { gradient: slice(slice(wide, 0, 5), 0, 4), begin: 0 },
        { gradient: feed('all', 6), begin: 0 },
      ];
    });
    expect(ops.filter(op => op !== 'slice_channels')).toEqual(['add']);
  });

  test('what lies between two slices of one gradient is no part', () => {
    const ops = opsOf(6, feed => {
      const wide = feed('wide', 6);
      return [0, 4].map(begin => ({ gradient: slice(wide, begin, begin + 2), begin }));
    });
    expect(ops).toContain('pad');
  });

  test('only channels that have two parts are added', () => {
    const ops = opsOf(6, feed => [
      { gradient: feed('all', 6), begin: 0 },
      { gradient: feed('some', 2), begin: 4 },
    ]);
    expect(ops).toEqual(['slice_channels', 'slice_channels', 'add', 'concat']);
  });

  test('whole gradients are summed, and one alone is the sum', () => {
    expect(opsOf(4, feed => ['a', 'b'].map(name => ({ gradient: feed(name, 4), begin: 0 })))).toEqual(['add']);
    expect(opsOf(4, feed => [{ gradient: feed('a', 4), begin: 0 }])).toEqual([]);
  });

  test('channels of no part are zero, and those of many their sum, in the order of the parts', async () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = generator(seed, 'parts');
      const whole = (below: number): number => Math.floor(random() * below);
      const channels = 2 + whole(7);
      const graph = new Graph();
      const feeds: Record<string, Float32Array> = {};
      const expected = new Float32Array(PIXELS[0] * PIXELS[1] * channels);
      const wide = graph.feed('wide', type(channels + 3));
      feeds['wide'] = Float32Array.from({ length: 6 * (channels + 3) }, () => random() - 0.5);
      const parts = Array.from({ length: 1 + whole(5) }, (_, i): Part => {
        const begin = whole(channels);
        const width = 1 + whole(channels - begin);
        const from = whole(2) === 0 ? whole(4) : -1;
        const values = from < 0 ? Float32Array.from({ length: 6 * width }, () => random() - 0.5) : feeds['wide']!;
        const [stride, first] = from < 0 ? [width, 0] : [channels + 3, from];
        for (let pixel = 0; pixel < 6; pixel++) {
          for (let c = 0; c < width; c++) {
            expected[pixel * channels + begin + c]! += values[pixel * stride + first + c]!;
          }
        }
        if (from >= 0) return { gradient: slice(wide, from, from + width), begin };
        feeds[`part${i}`] = values;
        return { gradient: graph.feed(`part${i}`, type(width)), begin };
      });
      graph.outputs.set('sum', sumOfParts(type(channels), parts));
      const store = new Store();
      const program = new Program(graph, { batch: 1, store });
      const used = Object.fromEntries(
        Object.entries(feeds).filter(([name]) => program.plan.wire.feeds.some(f => f.name === name)),
      );
      const { results } = await program.run(used, 1);
      expect([seed, ...(results['sum'] as Float32Array)]).toEqual([seed, ...expected]);
      program.dispose();
      store.dispose();
    }
  });
});
