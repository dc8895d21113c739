// Shared memory: where views, concatenations and overwriting put values, and that no result depends on it.

import { describe, expect, test } from '@jest/globals';
import { elements, FIXED, fixed, Graph, printGraph, rows, type Value } from '../../src/graph/graph.js';
import { generator } from '../../src/layers/initializers.js';
import { native } from '../../src/native.js';
import { activation } from '../../src/ops/activations.js';
import { add, broadcastAdd, multiply, reshape, scale } from '../../src/ops/arithmetic.js';
import { conv2d } from '../../src/ops/conv2d.js';
import { softmax } from '../../src/ops/loss.js';
import { batchNorm, groupNorm, layerNorm, moments } from '../../src/ops/normalization.js';
import { avgPool2d, maxPool2d } from '../../src/ops/pooling.js';
import { dropout } from '../../src/ops/random.js';
import { channelShuffle, concat, flatten, pad, sliceChannels, unflatten } from '../../src/ops/shape.js';
import { differentiate } from '../../src/passes/autodiff.js';
import { prune } from '../../src/passes/prune.js';
import { buildPlan } from '../../src/plan/build.js';
import type { WireTensor } from '../../src/plan/wire.js';
import { type Data, Program, Store } from '../../src/runtime/program.js';

const relu = (x: Value): Value => activation('relu', x);
const tanh = (x: Value): Value => activation('tanh', x);

/** The planned steps as `op inputs -> outputs` with the places of the operands. */
function planned(graph: Graph): {
  ops: string[];
  of: (op: string, which?: number) => { inputs: WireTensor[]; outputs: WireTensor[] };
} {
  prune(graph);
  const { wire } = buildPlan(graph, [2], native());
  return {
    ops: wire.steps.map(s => s.op),
    of: (op, which = 0) => {
      const step = wire.steps.filter(s => s.op === op)[which]!;
      return { inputs: step.inputs.map(i => wire.tensors[i]!), outputs: step.outputs.map(i => wire.tensors[i]!) };
    },
  };
}

const image = (): { graph: Graph; x: Value } => {
  const graph = new Graph();
  return { graph, x: graph.feed('x', rows([3, 3, 4])) };
};

describe('where values lie', () => {
  test('producers write into their part of a concatenation', () => {
    const { graph, x } = image();
    graph.outputs.set('y', softmax(concat([relu(x), tanh(x)]))[0]!);
    const plan = planned(graph);
    expect(plan.ops).toEqual(['relu', 'tanh', 'softmax']);
    const [first] = plan.of('relu').outputs;
    const [second] = plan.of('tanh').outputs;
    const [whole] = plan.of('softmax').inputs;
    expect([first!.stride, second!.stride, whole!.stride]).toEqual([8, 8, 8]);
    expect([first!.offset, second!.offset - 4 * 4]).toEqual([whole!.offset, whole!.offset]);
  });

  test('what cannot be written there is copied: feeds, views, what is there already, results', () => {
    const { graph, x } = image();
    const a = relu(x);
    const wide = concat([x, a, a]);
    graph.outputs.set('y', softmax(wide)[0]!);
    expect(planned(graph).ops).toEqual(['relu', 'copy', 'copy', 'softmax']);

    const other = image();
    const b = relu(other.x);
    other.graph.outputs
      .set('b', b)
      .set('y', softmax(concat([b, sliceChannels([tanh(other.x)], { begin: 1, end: 3 })[0]!]))[0]!);
    expect(planned(other.graph).ops).toEqual(['relu', 'tanh', 'copy', 'copy', 'softmax']);
  });

  test('an op that wants dense operands gets a copy of a slice', () => {
    const { graph, x } = image();
    const part = sliceChannels([relu(x)], { begin: 1, end: 3 })[0]!;
    graph.outputs.set('y', layerNorm([part], { affine: false })[0]!);
    expect(planned(graph).ops).toEqual(['relu', 'copy', 'layer_norm']);
  });

  test('what is made dense, or wanted dense through a view, is not written into a concatenation', () => {
    const { graph, x } = image();
    const norm = layerNorm([x], { affine: false })[0]!;
    const a = relu(x);
    const rowsOfA = reshape([reshape([a], { shape: [3, 3, 4] })[0]!], { shape: [9, 4] })[0]!;
    graph.outputs.set('y', softmax(concat([norm, a]))[0]!).set('z', tanh(rowsOfA));
    const plan = planned(graph);
    expect(plan.ops).toEqual(['layer_norm', 'relu', 'copy', 'copy', 'softmax', 'tanh']);
    expect([plan.of('layer_norm').outputs[0]!.stride, plan.of('relu').outputs[0]!.stride]).toEqual([4, 4]);
  });

  test('a result overwrites an operand that nobody reads any more', () => {
    const { graph, x } = image();
    graph.outputs.set('y', tanh(relu(relu(x))));
    const plan = planned(graph);
    const places = [plan.of('relu'), plan.of('relu', 1), plan.of('tanh')].map(s => s.outputs[0]!.offset);
    expect(new Set(places).size).toBe(1);
    expect(plan.of('relu').inputs[0]!.place).toBe('feed');
  });

  test.each<[string, (a: Value, graph: Graph) => Value]>([
    ['is read later', a => multiply([tanh(a), a])[0]!],
    [
      'is a result',
      (a, graph) => {
        graph.outputs.set('a', a);
        return tanh(a);
      },
    ],
    [
      'is seen through a view later',
      a => {
        const view = reshape([a], { shape: [9, 4] })[0]!;
        return add([reshape([tanh(a)], { shape: [9, 4] })[0]!, view])[0]!;
      },
    ],
    [
      'is part of a wider value',
      a => add([tanh(sliceChannels([a], { begin: 0, end: 2 })[0]!), sliceChannels([a], { begin: 2, end: 4 })[0]!])[0]!,
    ],
  ])('an operand that %s is left alone', (_, write) => {
    const { graph, x } = image();
    graph.outputs.set('y', write(relu(x), graph));
    const plan = planned(graph);
    const [from] = plan.of('tanh').inputs;
    const [to] = plan.of('tanh').outputs;
    expect(to!.offset).not.toBe(from!.offset);
  });
});

/** A random graph of branches, concatenations, slices, views and ops that can run in place; all of its values. */
function randomGraph(seed: number, gradients: boolean): { graph: Graph; values: Value[]; outputs: Value[] } {
  const random = generator(seed, 'graph');
  const whole = (below: number): number => Math.floor(random() * below);
  const graph = new Graph();
  const x = graph.feed('x', rows([4, 3, 6]));
  const values = [x];
  let states = 0;
  const state = (shape: number[]): Value => graph.fromStore(`s${states++}`, fixed(shape));
  const images = (): Value[] => values.filter(v => v.type.shape.length === 3 && v.type.dtype === 'f32');
  const pick = (): Value => {
    const list = images();
    return list[whole(2) ? list.length - 1 : whole(list.length)]!;
  };
  const like = (v: Value): Value => {
    const list = images().filter(o => o.type.shape.join() === v.type.shape.join());
    return list[whole(list.length)]!;
  };
  const channels = (v: Value): number => v.type.shape.at(-1)!;
  const makers: ((v: Value) => Value | undefined)[] = [
    relu,
    tanh,
    v => activation('silu', v),
    v => add([v, like(v)])[0],
    v => add([like(v), v, like(v)])[0],
    v => multiply([v, like(v)])[0],
    v => {
      const beside = images().filter(
        o => o.type.shape.slice(0, 2).join() === v.type.shape.slice(0, 2).join() && channels(o) < 20,
      );
      if (beside.length === 0) return undefined;
      return concat([beside[whole(beside.length)]!, v, ...(whole(2) ? [beside[whole(beside.length)]!] : [])])[0];
    },
    v => {
      const begin = whole(channels(v));
      return sliceChannels([v], { begin, end: begin + 1 + whole(channels(v) - begin) })[0];
    },
    v => reshape([v], { shape: v.type.shape })[0],
    v => {
      const [h, w, c] = v.type.shape as [number, number, number];
      return reshape([relu(reshape([v], { shape: [h * w, c] })[0]!)], { shape: [w, h, c] })[0];
    },
    v => unflatten(flatten([v]), { shape: v.type.shape })[0],
    v => (channels(v) % 2 ? undefined : channelShuffle([v], { groups: 2 })[0]),
    v => pad([v], { channels: [1, 0] })[0],
    v => broadcastAdd([v, state([channels(v)])])[0],
    v => layerNorm([v], { axes: 1 + whole(3), affine: false })[0],
    v => (channels(v) % 2 ? undefined : groupNorm([v], { groups: 2, affine: false })[0]),
    v => {
      const [mean, variance] = moments([v]);
      return batchNorm([v, mean!, variance!], { affine: false, epsilon: 0.1, statistics: 'batch' })[0];
    },
    v => conv2d([v, state([1, 1, channels(v), 1 + whole(7)])])[0],
    v => conv2d([v, state([3, 3, 1, channels(v)])], { pad: [1, 1, 1, 1], groups: channels(v) })[0],
    v => maxPool2d([v], { kernel: [2, 2], pad: [1, 0, 0, 1] })[0],
    v => avgPool2d([v], { kernel: [2, 1], pad: [1, 0, 0, 0] })[0],
    v => softmax([v])[0],
    v => dropout([v, graph.feed('rate', fixed([1])), graph.feed('random', fixed([4], 'i32'))], { key: 3 })[0],
    v => scale([v, graph.feed('factor', fixed([1]))])[0],
  ];
  for (let n = 4 + whole(14); n > 0; n--) {
    const made = makers[whole(makers.length)]!(pick());
    if (made) values.push(made);
  }
  const outputs = [values.at(-1)!, values[whole(values.length)]!, values[whole(values.length)]!];
  if (gradients) {
    const seeds = new Map(outputs.map(v => [v, v]));
    const wrt = [x, ...graph.state.values()];
    outputs.push(...differentiate(graph, seeds, wrt).values());
  }
  values.push(...graph.nodes.flatMap(node => node.outputs));
  return { graph, values, outputs };
}

describe('no result depends on who shares memory', () => {
  const BATCH = 3;

  async function results(seed: number, gradients: boolean, apart: boolean, n: number): Promise<Record<string, Data>> {
    const { graph, values, outputs } = randomGraph(seed, gradients);
    outputs.forEach((value, i) => {
      graph.outputs.set(`y${i}`, value);
    });
    // A result of its own is neither overwritten nor written into another value.
    if (apart) for (const [i, value] of values.entries()) graph.outputs.set(`v${i}`, value);
    const numbers = (name: string, length: number): Float32Array => {
      const random = generator(seed, name);
      return Float32Array.from({ length }, () => 2 * random() - 1);
    };
    const store = new Store();
    for (const [name, { type }] of graph.state) {
      store.define(name, type.shape);
      store.write(name, numbers(name, elements(type.shape)));
    }
    const feeds: Record<string, Data> = { random: Int32Array.of(1, 0, 2, 0) };
    for (const [name, { type }] of graph.feeds) {
      if (name !== 'random') feeds[name] = numbers(name, elements(type.shape) * (type.count === FIXED ? 1 : n));
    }
    feeds['rate'] = Float32Array.of(0.3);
    const program = new Program(graph, { batch: BATCH, store, threads: 1 });
    const { results } = await program.run(feeds, n);
    program.dispose();
    store.dispose();
    return results;
  }

  test.each([
    ['forward', false],
    ['with gradients', true],
  ])('random graphs, %s', async (_, gradients) => {
    for (let seed = 1; seed <= 150; seed++) {
      const n = 1 + (seed % BATCH);
      const [shared, apart] = await Promise.all([
        results(seed, gradients, false, n),
        results(seed, gradients, true, n),
      ]);
      for (const [name, values] of Object.entries(shared)) {
        if (Buffer.compare(bytes(values), bytes(apart[name]!)) !== 0) {
          const other = apart[name]!;
          const at = values.findIndex((v, i) => v !== other[i]);
          throw new Error(
            `seed ${seed}: ${name}[${at}] is ${values[at]} shared, ${other[at]} apart:\n${printGraph(randomGraph(seed, gradients).graph)}`,
          );
        }
      }
    }
  });

  const bytes = (data: Data): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
});
