// Speed of a network's training step or inference, and where its time goes.

import { elements, rows } from '../../src/graph/graph.js';
import { opList } from '../../src/graph/op.js';
import type { Model } from '../../src/layers/model.js';
import { defineState } from '../../src/models/weights.js';
import { native } from '../../src/native.js';
import { conv2d, conv2dGradInput, conv2dGradWeight } from '../../src/ops/conv2d.js';
import type { BuiltPlan } from '../../src/plan/build.js';
import { Arena, type Data, Program, Store } from '../../src/runtime/program.js';
import { makeRecipe } from '../../src/train/recipe.js';
import { evaluationGraph, parameterGroups, trainingGraph } from '../../src/train/step.js';
import { buildNetwork, type Form, findNetwork, formFor } from '../../src/zoo/zoo.js';
import { noise, Peak, summarise } from './timing.js';

export interface ModelBenchOptions {
  readonly model: string;
  readonly mode: 'train' | 'infer';
  /** Height and width; the published ones of the form by default. */
  readonly input?: readonly [number, number];
  readonly form?: Form;
  readonly batchSize: number;
  readonly threads: number;
  readonly repeats: number;
  readonly exact: boolean;
  readonly profile: boolean;
}

/** What `bench --model --json` prints. */
export interface ModelBench {
  model: string;
  mode: 'train' | 'infer';
  input: number[];
  batchSize: number;
  isa: string;
  threads: number;
  imagesPerSecond: number;
  medianImagesPerSecond: number;
  /** Of the FMA peak measured in between; a training step counts as three times the forward pass. */
  percentOfPeak: number;
  peakGflops: number;
  /** Of the forward pass for one image. */
  multiplyAdds: number;
  peakMemoryBytes: number;
  /** Bytes of intermediate values. */
  arenaBytes: number;
  /** Of inference, one image at a time. */
  latency?: Latency;
  profile?: Profile;
}

export interface Latency {
  medianMilliseconds: number;
  p95Milliseconds: number;
  runs: number;
}

export interface ProfileRow {
  name: string;
  steps: number;
  milliseconds: number;
  share: number;
  /** For convolutions and linear layers. */
  gflops?: number;
  percentOfPeak?: number;
}

export interface Profile {
  /** Of the best time of each step, in milliseconds. */
  total: number;
  ops: ProfileRow[];
  layers: ProfileRow[];
  /** Each step of the plan: `name` is op, layer and output shape. */
  steps: ProfileRow[];
}

export async function benchModel(options: ModelBenchOptions): Promise<ModelBench> {
  const { mode, batchSize, threads, repeats, exact } = options;
  const network = await findNetwork(options.model);
  const [height, width] = options.input ?? Object.values(network.forms)[0]!.input;
  const form = formFor(network, height, width, options.form);
  const { classes, input } = network.forms[form]!;
  const model = await buildNetwork(options.model, [height, width, input[2]], classes, {
    form,
    auxiliary: mode === 'train',
  });
  const store = new Store();
  const graph = mode === 'train' ? trainingStep(model, store) : inference(model, store);
  const arena = new Arena();
  const program = new Program(graph, { batch: batchSize, store, threads, arena, exact });
  const feeds = stepFeeds(model, batchSize, classes);

  const peak = new Peak(threads);
  await peak.measure();
  await program.run(feeds, batchSize);
  const seconds: number[] = [];
  const best = new Float64Array(program.plan.wire.steps.length).fill(Number.POSITIVE_INFINITY);
  for (let i = 0; i < repeats; i++) {
    const begin = performance.now();
    const { nanoseconds } = await program.run(feeds, batchSize, { timed: options.profile });
    seconds.push((performance.now() - begin) / 1000);
    nanoseconds?.forEach((time, step) => {
      best[step] = Math.min(best[step]!, time);
    });
    if (i % 4 === 0) await peak.measure(0.02);
  }
  await peak.measure();
  const latency =
    mode === 'infer'
      ? await latencyOf(new Program(inferenceGraph(model), { batch: 1, store, threads, arena, exact }), model, repeats)
      : undefined;

  const times = summarise(seconds);
  const multiplyAdds = countMultiplyAdds(model);
  const flops = 2 * multiplyAdds * batchSize * (mode === 'train' ? 3 : 1);
  return {
    model: options.model,
    mode,
    input: [height, width, input[2]],
    batchSize,
    isa: native().info().isa,
    threads,
    imagesPerSecond: batchSize / times.best,
    medianImagesPerSecond: batchSize / times.median,
    percentOfPeak: peak.percent(flops / times.best / 1e9),
    peakGflops: peak.gflops,
    multiplyAdds,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    arenaBytes: program.plan.arenaBytes,
    ...(latency ? { latency } : {}),
    ...(options.profile ? { profile: profileOf(program.plan, best, batchSize, peak) } : {}),
  };
}

const input = (model: Model) => rows(model.inputShape());

function trainingStep(model: Model, store: Store) {
  const recipe = makeRecipe();
  const { graph, state } = trainingGraph({
    model,
    input: g => g.feed('x', input(model)),
    loss: 'cross_entropy',
    labelSmoothing: 0,
    optimizer: recipe.optimizer,
    optimizerOptions: recipe,
    groups: parameterGroups(model),
    ema: false,
    accumulate: 1,
  });
  defineState(store, [...model.state, ...state], 1);
  return graph;
}

const inferenceGraph = (model: Model) => evaluationGraph(model, g => g.feed('x', input(model)));

function inference(model: Model, store: Store) {
  defineState(store, model.state, 1);
  return inferenceGraph(model);
}

/** Seconds and runs that a fair tail of the latencies takes, beyond the repeats that were asked for. */
const TAIL_SECONDS = 2;
const TAIL_RUNS = 200;

async function latencyOf(program: Program, model: Model, repeats: number): Promise<Latency> {
  const x = noise(elements(model.inputShape()));
  // Weights are folded and packed in the first run.
  for (let i = 0; i < 3; i++) await program.run({ x }, 1);
  const seconds: number[] = [];
  const begin = performance.now();
  const wantsMore = () => performance.now() - begin < TAIL_SECONDS * 1000 && seconds.length < TAIL_RUNS;
  while (seconds.length < repeats || wantsMore()) {
    const start = performance.now();
    await program.run({ x }, 1);
    seconds.push((performance.now() - start) / 1000);
  }
  const { median, p95 } = summarise(seconds);
  return { medianMilliseconds: 1000 * median, p95Milliseconds: 1000 * p95, runs: seconds.length };
}

/** A learning rate of 0 keeps the weights, so that every repeat computes the same. */
function stepFeeds(model: Model, n: number, classes: number): Record<string, Data> {
  const labels = Int32Array.from({ length: n }, (_, i) => i % classes);
  const zero = new Float32Array(1);
  const one = Float32Array.of(1);
  return {
    x: noise(n * model.inputShape().reduce((p, d) => p * d, 1)),
    labels,
    partner_labels: labels,
    mix: new Float32Array(n).fill(1),
    'lr.weights': zero,
    'lr.exempt': zero,
    'decay.weights': zero,
    'decay.exempt': zero,
    momentum: Float32Array.of(0.9),
    clip: zero,
    loss_weight: one,
    progress: one,
    random: Int32Array.of(1, 0, 0, 0),
  };
}

function countMultiplyAdds(model: Model): number {
  return model.evaluationGraph.nodes.reduce((sum, node) => {
    const count = node.op.spec.multiplyAdds?.(
      node.inputs.map(v => v.type),
      node.outputs.map(v => v.type),
    );
    return sum + (count ?? 0);
  }, 0);
}

/** Multiply-adds of each step of a plan for one row: a gradient has those of the layer's forward pass. */
function multiplyAddsOf({ wire, paths }: BuiltPlan): number[] {
  const type = (i: number) => {
    const { dtype, shape, count } = wire.tensors[i]!;
    return { dtype, count, shape: count < 0 ? shape : shape.slice(1) };
  };
  const forward = new Map<string, number>();
  wire.steps.forEach((step, i) => {
    const count = opList.get(step.op)?.spec.multiplyAdds;
    if (count) forward.set(paths[i]!, count(step.inputs.map(type), step.outputs.map(type)));
  });
  const counted = new Set([conv2d, conv2dGradInput, conv2dGradWeight].map(op => op.name));
  return wire.steps.map((step, i) => (counted.has(step.op) ? (forward.get(paths[i]!) ?? 0) : 0));
}

function profileOf(plan: BuiltPlan, nanoseconds: Float64Array, batch: number, peak: Peak): Profile {
  const work = multiplyAddsOf(plan);
  const total = nanoseconds.reduce((a, b) => a + b, 0);
  const group = (name: (step: number) => string): ProfileRow[] => {
    const groups = new Map<string, { steps: number; time: number; flops: number; timeOfFlops: number }>();
    nanoseconds.forEach((time, i) => {
      const key = name(i);
      const sums = groups.get(key) ?? { steps: 0, time: 0, flops: 0, timeOfFlops: 0 };
      groups.set(key, sums);
      sums.steps++;
      sums.time += time;
      sums.flops += 2 * work[i]! * batch;
      if (work[i]! > 0) sums.timeOfFlops += time;
    });
    return [...groups]
      .map(([key, { steps, time, flops, timeOfFlops }]) => {
        const row = { name: key, steps, milliseconds: time / 1e6, share: time / total };
        const gflops = flops / timeOfFlops;
        return flops > 0 ? { ...row, gflops, percentOfPeak: peak.percent(gflops) } : row;
      })
      .sort((a, b) => b.milliseconds - a.milliseconds);
  };
  const { wire, paths } = plan;
  const shape = (i: number): string =>
    wire.tensors[wire.steps[i]!.outputs[0] ?? wire.steps[i]!.inputs[0]!]!.shape.join('×');
  return {
    total: total / 1e6,
    ops: group(i => wire.steps[i]!.op),
    layers: group(i => paths[i] || '(step)'),
    steps: group(i => `${wire.steps[i]!.op} ${paths[i]} ${shape(i)} #${i}`),
  };
}
