// Speed of a network's training step or inference.

import { elements, type Graph, type Node, rows } from '../../src/graph/graph.js';
import type { Model } from '../../src/layers/model.js';
import { defineState } from '../../src/models/weights.js';
import { native } from '../../src/native.js';
import { Arena, type Data, Program, Store } from '../../src/runtime/program.js';
import { evaluationGraph } from '../../src/train/evaluation.js';
import { makeRecipe } from '../../src/train/recipe.js';
import { parameterGroups, trainingGraph } from '../../src/train/step.js';
import { buildNetwork, type Form, findNetwork, formFor, publishedInput } from '../../src/zoo/zoo.js';
import { type Profile, profileOf } from './profile.js';
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
  /** Instruction set; by default the best of the machine. */
  readonly isa?: string;
  /** Compute parts of the forward pass again in the backward pass. */
  readonly checkpointActivations: boolean;
}

/** What `bench --model --json` prints. */
export interface ModelBench {
  model: string;
  form: Form;
  mode: 'train' | 'infer';
  input: number[];
  batchSize: number;
  isa: string;
  threads: number;
  exact: boolean;
  checkpointActivations: boolean;
  imagesPerSecond: number;
  medianImagesPerSecond: number;
  /** Of the FMA peak measured in between; a training step counts as three times the forward pass. */
  percentOfPeak: number;
  peakGflops: number;
  /** Of the forward pass for one image. */
  multiplyAdds: number;
  /** Of the process, the program itself included. */
  peakMemoryBytes: number;
  /** What a step needs as planned: state, intermediate values, scratch, weights made ready, feeds. */
  memoryBytes: number;
  /** Intermediate values alone. */
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

export async function benchModel(options: ModelBenchOptions): Promise<ModelBench> {
  const { mode, batchSize, threads, repeats, exact, checkpointActivations } = options;
  const isa = options.isa ?? native().info().isa;
  const network = await findNetwork(options.model);
  const [height, width] = options.input ?? publishedInput(network, options.form);
  const form = formFor(network, height, width, options.form);
  const { classes, input } = network.forms[form]!;
  const model = await buildNetwork(options.model, [height, width, input[2]], classes, {
    form,
    auxiliary: mode === 'train',
  });
  const store = new Store();
  const { graph, forward } = mode === 'train' ? trainingStep(model, store) : inference(model, store);
  const arena = new Arena();
  const program = new Program(graph, {
    ...{ batch: batchSize, store, threads, isa, arena, exact },
    ...(forward && checkpointActivations ? { recomputes: forward } : {}),
  });
  const labels = Int32Array.from({ length: batchSize }, (_, i) => i % classes);
  const feeds = stepFeeds(noise(batchSize * elements(model.inputShape())), labels);

  const peak = new Peak(threads, isa);
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
      ? await latencyOf(
          new Program(inferenceGraph(model), { batch: 1, store, threads, isa, arena, exact }),
          model,
          repeats,
        )
      : undefined;

  const times = summarise(seconds);
  const multiplyAdds = countMultiplyAdds(model);
  const flops = 2 * multiplyAdds * batchSize * (mode === 'train' ? 3 : 1);
  // Before the arrays of the bandwidth take their share.
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
  return {
    model: options.model,
    form,
    mode,
    input: [height, width, input[2]],
    batchSize,
    isa,
    threads,
    exact,
    imagesPerSecond: batchSize / times.best,
    medianImagesPerSecond: batchSize / times.median,
    percentOfPeak: peak.percent(flops / times.best / 1e9),
    peakGflops: peak.gflops,
    multiplyAdds,
    checkpointActivations,
    peakMemoryBytes,
    memoryBytes: program.memoryBytes + store.bytes,
    arenaBytes: program.plan.arenaBytes,
    ...(latency ? { latency } : {}),
    ...(options.profile ? { profile: await profileOf(program.plan, best, batchSize, peak) } : {}),
  };
}

const input = (model: Model) => rows(model.inputShape());

interface Step {
  readonly graph: Graph;
  readonly forward?: ReadonlySet<Node>;
}

/** The graph of a step of SGD, and its forward pass; the store gets the state. */
export function trainingStep(model: Model, store: Store, recipe = makeRecipe()): Step {
  const { graph, state, forward } = trainingGraph({
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
  return { graph, forward };
}

const inferenceGraph = (model: Model) => evaluationGraph(model, g => g.feed('x', input(model)));

/** The graph of the evaluation; the store gets the state. */
export function inference(model: Model, store: Store): Step {
  defineState(store, model.state, 1);
  return { graph: inferenceGraph(model) };
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
export function stepFeeds(x: Float32Array, labels: Int32Array): Record<string, Data> {
  const [zero, one, decay] = [Float32Array.of(0), Float32Array.of(1), Float32Array.of(5e-4)];
  return {
    x,
    labels,
    partner_labels: labels,
    mix: new Float32Array(labels.length).fill(1),
    'lr.weights': zero,
    'lr.exempt': zero,
    'decay.weights': decay,
    'decay.exempt': zero,
    momentum: Float32Array.of(0.9),
    clip: zero,
    loss_weight: one,
    progress: one,
    random: Int32Array.of(1, 0, 0, 0),
  };
}

/** Of convolutions and linear layers in the forward pass for one image. */
export function countMultiplyAdds(model: Model): number {
  return model.evaluationGraph.nodes.reduce((sum, node) => {
    const count = node.op.spec.multiplyAdds?.(
      node.inputs.map(v => v.type),
      node.outputs.map(v => v.type),
      node.attributes as never,
    );
    return sum + (count ?? 0);
  }, 0);
}
