// What every layer must keep: shape rule = real shape, saved = loaded, gradients = finite differences, trains.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from '@jest/globals';
import { elements, fixed, Graph, rows, type Value } from '../../src/graph/graph.js';
import { type Block, batchNorm, Model, type ModelConfig, named } from '../../src/layers/index.js';
import { generator } from '../../src/layers/initializers.js';
import { isLearned } from '../../src/layers/layer.js';
import { defineState } from '../../src/models/weights.js';
import { differentiate } from '../../src/passes/autodiff.js';
import { fuse } from '../../src/passes/fuse.js';
import { Program, Store } from '../../src/runtime/program.js';
import { evaluationGraph } from '../../src/train/evaluation.js';
import { compile, load } from '../../src/train/learner.js';

export interface LayerCase {
  readonly input: readonly number[];
  readonly write: Block;
}

/** Largest batch of the programs, and a smaller one that runs in them. */
const LARGEST = 4;
const ROWS = 3;
/** Step of the finite differences, and half of the distance between two inputs: no kink or tie lies within a step. */
const STEP = 2 ** -6;
const SPACING = 0.06;
/** Float32 forward passes give about four digits of a difference quotient. */
const TOLERANCE = 3e-3;

/** Distinct values around 0, shuffled, none nearer to a multiple of SPACING (0, 3 and 6 are) than half of it. */
export function spread(count: number, key: string): Float32Array {
  const random = generator(7, key);
  const places = Array.from({ length: count }, (_, i) => i - Math.floor(count / 2));
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [places[i], places[j]] = [places[j]!, places[i]!];
  }
  return Float32Array.from(places, p => (p + 0.5) * SPACING);
}

/** Initial values that leave nothing out: ones and zeros are moved. */
function filledStore(model: Model): Store {
  const store = new Store();
  defineState(store, model.state, 1);
  for (const spec of model.state) {
    const random = generator(3, spec.name);
    store.write(
      spec.name,
      (store.read(spec.name) as Float32Array).map(v => v + (spec.role === 'weight' ? 0 : 0.3 * random())),
    );
  }
  return store;
}

export async function conforms(kind: string, { input, write }: LayerCase): Promise<void> {
  const model = Model.from(input, write, kind);
  expect(model.config.layers.map(l => l.kind)).toContain(kind);
  const again = Model.fromConfig(JSON.parse(JSON.stringify(model.config)) as ModelConfig);
  expect(again.config).toEqual(model.config);
  expect(again.state).toEqual(model.state);
  await hasItsShape(model);
  await savesAndLoads(model);
  await trains(Model.from(input, x => write(named('first', batchNorm())(x)), kind));
  await checkGradients(model);
}

async function hasItsShape(model: Model): Promise<void> {
  const program = new Program(evaluationGraph(model, inputOf(model)), { batch: LARGEST, store: filledStore(model) });
  for (const n of [LARGEST, 1, ROWS]) {
    const { results } = await program.run({ x: spread(n * elements(model.inputShape()), 'x') }, n);
    expect(results['output']!.length).toBe(n * elements(model.outputShape()));
    expect(results['output']!.every(Number.isFinite)).toBe(true);
  }
  program.dispose();
}

const inputOf =
  (model: Model) =>
  (graph: Graph): Value =>
    graph.feed('x', rows(model.inputShape()));

async function savesAndLoads(model: Model): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'dlcourse-layer-'));
  try {
    const learner = compile(model);
    const x = spread(ROWS * elements(model.inputShape()), 'x');
    const file = path.join(folder, 'model.safetensors');
    await learner.save(file);
    expect(await (await load(file)).predict(x)).toEqual(await learner.predict(x));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** One epoch, with a norm before the layer: gradients pass through it also where it has no parameters. */
async function trains(model: Model): Promise<void> {
  const learner = compile(model, { loss: 'mse', epochs: 1, batchSize: 2, lr: 1e-3, optimizer: 'adamw' });
  const before = model.state.map(s => learner.store.read(s.name));
  const x = spread(ROWS * elements(model.inputShape()), 'x');
  const y = spread(ROWS * elements(model.outputShape()), 'y');
  const [epoch] = await learner.fit({ x, y });
  expect(epoch!.train.loss).toBeGreaterThan(0);
  expect(epoch!.train.loss).toBeLessThan(Number.POSITIVE_INFINITY);
  model.state.forEach((spec, i) => {
    const after = learner.store.read(spec.name);
    expect(after.every(Number.isFinite)).toBe(true);
    const frozen = model.config.layers.some(l => l.config['frozen'] === true);
    if (spec.role === 'fixed') {
      expect([spec.name, after]).toEqual([spec.name, before[i]]);
    } else if (!(frozen && spec.role === 'statistic')) {
      expect([spec.name, after]).not.toEqual([spec.name, before[i]]);
    }
  });
}

/** d(Σ weights · output) of inputs and parameters, against central differences through the whole engine. */
async function checkGradients(model: Model): Promise<void> {
  const store = filledStore(model);
  const graph = new Graph();
  const x = graph.feed('x', rows(model.inputShape()));
  const built = model.build(graph, { training: true, inputs: { input: x } });
  const now = fuse(graph);
  const y = now(built.outputs['output']!);
  const learned = model.state.filter(isLearned).map(s => s.name);
  const wrt = [x, ...learned.map(name => graph.state.get(name)!)];
  graph.outputs.set('y', y);
  const gradients = differentiate(graph, new Map([[y, graph.feed('dy', y.type)]]), wrt);
  wrt.forEach((value, i) => {
    graph.outputs.set(i === 0 ? 'x' : learned[i - 1]!, gradients.get(value)!);
  });
  const program = new Program(graph, { batch: LARGEST, store });

  const values = spread(ROWS * elements(x.type.shape), 'x');
  const weights = spread(ROWS * elements(y.type.shape), 'dy');
  const feeds = { x: values, dy: weights, random: Int32Array.of(5, 0, 2, 0), progress: Float32Array.of(0.8) };
  const { results } = await program.run(feeds, ROWS);
  const output = async (): Promise<number> => {
    const { results } = await program.run(feeds, ROWS);
    return (results['y'] as Float32Array).reduce((sum, v, i) => sum + v * weights[i]!, 0);
  };

  for (const [i, { type }] of wrt.entries()) {
    const name = i === 0 ? 'x' : learned[i - 1]!;
    const gradient = results[name] as Float32Array;
    const point = i === 0 ? values : (store.read(name) as Float32Array);
    expect(gradient.length).toBe(i === 0 ? values.length : elements(fixed(type.shape).shape));
    const scale = gradient.reduce((most, g) => Math.max(most, Math.abs(g)), 1);
    const stride = Math.max(1, Math.floor(point.length / 40));
    for (let at = 0; at < point.length; at += stride) {
      const there = point[at]!;
      const sides: number[] = [];
      for (const step of [STEP, -STEP]) {
        point[at] = there + step;
        if (i > 0) store.write(name, point);
        sides.push(await output());
      }
      point[at] = there;
      if (i > 0) store.write(name, point);
      const difference = (sides[0]! - sides[1]!) / (2 * STEP);
      if (!(Math.abs(difference - gradient[at]!) <= TOLERANCE * scale)) {
        throw new Error(`${model.name}: d/d${name}[${at}] is ${gradient[at]}, finite differences give ${difference}`);
      }
    }
  }
  program.dispose();
}
