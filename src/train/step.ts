// The training step as one graph: forward, loss, backward, check, update.

import { DlcourseError } from '../errors.js';
import { fixed, Graph, type Node, rows, type Value } from '../graph/graph.js';
import { zeros } from '../layers/initializers.js';
import { isLearned, type StateSpec } from '../layers/layer.js';
import type { BuiltModel, Model } from '../layers/model.js';
import { add, fill, scale } from '../ops/arithmetic.js';
import { binaryCrossEntropy, correct, mseLoss, softmaxCrossEntropy, softTargets } from '../ops/loss.js';
import { accumulate, allFinite, clipScale, ema, globalNorm, scaleAll } from '../ops/optimizers.js';
import { differentiate } from '../passes/autodiff.js';
import { fuse } from '../passes/fuse.js';
import { simplify } from '../passes/simplify.js';
import { emaName } from './evaluation.js';
import { type OptimizerName, type OptimizerOptions, optimizerNamed } from './optimizer.js';

export type LossName = 'cross_entropy' | 'mse' | 'binary_cross_entropy';

/** Parameters that share a learning rate and a decay. */
export interface ParameterGroup {
  readonly name: string;
  readonly parameters: readonly StateSpec[];
  /** Has the backbone's learning rate. */
  readonly backbone: boolean;
  readonly decays: boolean;
  /** Biases of norms. */
  readonly bias: boolean;
  /** Is trained only since the rest was unfrozen. */
  readonly late: boolean;
}

export interface StepOptions {
  readonly model: Model;
  /** Adds the model's input to the graph, from feeds. */
  readonly input: (graph: Graph) => Value;
  readonly loss: LossName;
  readonly labelSmoothing: number;
  readonly optimizer: OptimizerName;
  readonly optimizerOptions: OptimizerOptions;
  readonly groups: readonly ParameterGroup[];
  /** Keep an exponential moving average of all tensors. */
  readonly ema: boolean;
  /** Keep slow weights, see Recipe. */
  readonly lookahead?: boolean;
  /** Micro-batches a step. */
  readonly accumulate: number;
  /** Weight of the loss at each named output; those not named have what the model says, or 1. */
  readonly outputWeights?: Readonly<Record<string, number>>;
  /** Report for every layer whether its result and gradients are finite, and update nothing. */
  readonly probes?: boolean;
}

export interface TrainingGraph {
  readonly graph: Graph;
  /** What the step keeps besides the model's own state. */
  readonly state: readonly StateSpec[];
  /** The nodes of the forward pass, loss included. */
  readonly forward: ReadonlySet<Node>;
}

/** Name in the store of what the optimizer keeps for a parameter. */
export const slotName = (slot: string, parameter: string): string => `optimizer/${slot}/${parameter}`;
/** Name in the store of the slow weights of a tensor. */
export const slowName = (name: string): string => `lookahead/${name}`;

/** Levels of the binary tree that sums `count` micro-batches. */
const levels = (count: number): number => Math.floor(Math.log2(count)) + 1;

/**
 * Feeds: those of `input`; labels, partner_labels (i32[n]) and mix (f32[n]), or target for the other losses; random
 * (i32[4]) and progress (f32[1], the share of all steps that is done), where layers want them; `lr.<group>`,
 * `decay.<group>`, the optimizer's scalars (`step.<group>` counts the steps in which a group was trained), `clip` (largest
 * gradient norm, 0 = off), `ema_decay`, `slow_keep` and `fast_keep` (what stays of the slow weights, and of the trained
 * ones),
 * `loss_weight` (f32[1], 1 where all micro-batches are of one size), `micro`, `micros` (i32[1], index of the micro-batch
 * and how many the step has), `keep_statistics` (f32[1], 0 in the first micro-batch, then 1).
 * Results: loss f32[1], norm f32[1], and hit i32[n] for cross-entropy.
 * The commit is guarded: it happens only when loss, statistics and gradients are finite.
 */
export function trainingGraph(options: StepOptions): TrainingGraph {
  const { model } = options;
  const graph = new Graph();
  const state: StateSpec[] = [];
  graph.segment = 'gradients';
  const built = model.build(graph, {
    training: true,
    inputs: { [model.config.inputs[0]!.name]: options.input(graph) },
  });
  const { loss, hit } = lossOf(graph, built, options);
  const simplified = simplify(graph);
  const fused = fuse(graph);
  const now = (value: Value): Value => fused(simplified(value));
  const total = now(loss);
  if (options.probes) {
    for (const [name, value] of [...graph.feeds]) probe(graph, `input ${name}`, value);
    for (const { path, op, outputs } of [...graph.nodes]) probe(graph, path ? `layer ${path}` : op.name, outputs[0]!);
  }

  const forward = new Set(graph.nodes);

  const parameters = options.groups.flatMap(g => g.parameters).filter(p => graph.state.has(p.name));
  const values = parameters.map(p => graph.state.get(p.name)!);
  const weight = graph.feed('loss_weight', fixed([1]));
  const gradients = differentiate(graph, new Map([[total, weight]]), values);
  const trained = parameters.filter((_, i) => gradients.has(values[i]!));
  if (trained.length === 0) throw nothingToTrain(model.name);
  const gradientOf = (p: StateSpec): Value => gradients.get(graph.state.get(p.name)!)!;
  graph.outputs.set('loss', total);
  if (hit) graph.outputs.set('hit', now(hit));
  if (options.probes) {
    for (const p of [...trained].reverse()) probe(graph, `gradient of ${p.name}`, gradientOf(p));
    return { graph, state, forward };
  }

  let followers: readonly Follower[] = built.follows.map(f => ({
    state: f.statistic,
    value: now(f.value),
    keep: 1 - f.momentum,
  }));
  if (options.accumulate > 1) {
    const keep = trained.map(p => {
      const shape = [levels(options.accumulate), ...p.shape];
      const spec: StateSpec = {
        name: `accumulator/${p.name}`,
        shape,
        initializer: zeros,
        role: 'statistic',
        layout: 'same',
      };
      state.push(spec);
      return graph.fromStore(spec.name, fixed([shape[0]!, shape.slice(1).reduce((a, b) => a * b, 1)]));
    });
    const position = ['micro', 'micros'].map(name => graph.feed(name, fixed([1], 'i32')));
    accumulate([...position, ...trained.map(gradientOf), ...keep], {
      parameters: trained.length,
    });
    followers = followInCopies(graph, followers, state);
  }

  graph.segment = 'reduce';
  const [norm] = globalNorm(trained.map(gradientOf)) as [Value, Value];
  graph.outputs.set('norm', norm);

  graph.segment = 'check';
  graph.guards.set('commit', allFinite([total, norm, ...followers.map(f => f.value)])[0]!);
  const clip = clipScale([norm, graph.feed('clip', fixed([1]))])[0]!;

  graph.segment = 'commit';
  scaleAll([clip, ...trained.map(gradientOf)]);
  const kind = optimizerNamed(options.optimizer);
  for (const group of options.groups) {
    const members = group.parameters.filter(p => trained.includes(p));
    if (members.length === 0) continue;
    const own = ['lr', 'decay', ...kind.scalars.filter(n => n === 'step')];
    const scalars = ['lr', 'decay', ...kind.scalars].map(n =>
      graph.feed(own.includes(n) ? `${n}.${group.name}` : n, fixed([1])),
    );
    const operands = members.map(p => [
      graph.state.get(p.name)!,
      gradientOf(p),
      ...kind.slots.map(slot => {
        const spec: StateSpec = { ...p, name: slotName(slot, p.name), initializer: zeros, role: 'statistic' };
        state.push(spec);
        return graph.fromStore(spec.name, fixed(p.shape));
      }),
    ]);
    kind.update(scalars, operands, options.optimizerOptions);
  }
  follow(graph, followers);
  // What does not change is its own average, to the byte: it is left alone.
  const moving = new Set([...trained.map(p => graph.state.get(p.name)!), ...built.follows.map(f => f.statistic)]);
  const known = model.state.filter(s => graph.state.has(s.name));
  const averaged = (nameOf: (name: string) => string): [average: Value, value: Value][] => {
    for (const s of known) state.push({ ...s, name: nameOf(s.name) });
    return known
      .filter(s => moving.has(graph.state.get(s.name)!))
      .map(s => [graph.fromStore(nameOf(s.name), fixed(s.shape)), graph.state.get(s.name)!]);
  };
  if (options.lookahead) {
    const pairs = averaged(slowName);
    ema([graph.feed('slow_keep', fixed([1])), ...pairs.flat()]);
    ema([graph.feed('fast_keep', fixed([1])), ...pairs.flatMap(([slow, fast]) => [fast, slow])]);
  }
  if (options.ema) ema([graph.feed('ema_decay', fixed([1])), ...averaged(emaName).flat()]);
  return { graph, state, forward };
}

const nothingToTrain = (model: string): DlcourseError =>
  new DlcourseError({
    code: 'E_NOTHING_TO_TRAIN',
    class: 'usage',
    where: model,
    problem: 'expected at least one parameter that the loss depends on, got none',
    hint: 'add a layer with weights, or let more tensors be trained',
  });

/** What follows the batch: a tensor of state, the statistic of this batch, and how much of the old value stays. */
interface Follower {
  readonly state: Value;
  readonly value: Value;
  readonly keep: number;
}

/** state ← keep · state + (1 - keep) · value; those of one factor in one op. */
function follow(graph: Graph, followers: readonly Follower[]): void {
  for (const keep of new Set(followers.map(f => f.keep))) {
    const pairs = followers.filter(f => f.keep === keep).flatMap(f => [f.state, f.value]);
    ema([fill([], { value: keep, shape: [1] }, graph)[0]!, ...pairs]);
  }
}

/**
 * Has every micro-batch move a copy of the running statistics, as if it were a step of its own (PyTorch's convention).
 * Returns the followers that the commit is left with: they take the copies.
 */
function followInCopies(graph: Graph, followers: readonly Follower[], state: StateSpec[]): Follower[] {
  if (followers.length === 0) return [];
  const names = new Map([...graph.state].map(([name, value]) => [value, name]));
  const copies = followers.map(f => {
    const name = `accumulator/${names.get(f.state)!}`;
    const { shape } = f.state.type;
    state.push({ name, shape: shape as readonly number[], initializer: zeros, role: 'statistic', layout: 'same' });
    return graph.fromStore(name, f.state.type);
  });
  // 0 in a step's first micro-batch, so that the copies begin as what they are copies of; then 1.
  ema([graph.feed('keep_statistics', fixed([1])), ...copies.flatMap((copy, i) => [copy, followers[i]!.state])]);
  follow(
    graph,
    followers.map((f, i) => ({ ...f, state: copies[i]! })),
  );
  return followers.map((f, i) => ({ state: f.state, value: copies[i]!, keep: 0 }));
}

/** The loss at every output, weighted and summed; `hit` counts right answers at the main one. */
function lossOf(graph: Graph, built: BuiltModel, options: StepOptions): { loss: Value; hit?: Value } {
  const parts: Value[] = [];
  let hit: Value | undefined;
  for (const [name, output] of Object.entries(built.outputs)) {
    const weight = options.outputWeights?.[name] ?? options.model.config.outputWeights?.[name] ?? 1;
    const labels = options.loss === 'cross_entropy' ? labelFeeds(graph, output, options.labelSmoothing) : undefined;
    let loss: Value;
    if (labels) {
      loss = softmaxCrossEntropy([output, labels.targets])[0]!;
      hit ??= correct([output, labels.labels], { k: 1 })[0]!;
    } else {
      const target = graph.feed('target', rows(output.type.shape));
      loss = (options.loss === 'mse' ? mseLoss : binaryCrossEntropy)([output, target])[0]!;
    }
    parts.push(weight === 1 ? loss : scale([loss, fill([], { value: weight, shape: [1] }, graph)[0]!])[0]!);
  }
  const loss = parts.length === 1 ? parts[0]! : add(parts)[0]!;
  return hit ? { loss, hit } : { loss };
}

function labelFeeds(graph: Graph, output: Value, smoothing: number): { labels: Value; targets: Value } {
  const labels = graph.feed('labels', rows([], 'i32'));
  const partner = graph.feed('partner_labels', rows([], 'i32'));
  const mix = graph.feed('mix', rows([]));
  const targets = softTargets([labels, partner, mix], { classes: output.type.shape.at(-1)!, smoothing })[0]!;
  return { labels, targets };
}

const PROBE = 'probe/';

/** Adds the result whether `value` is finite. A layer has one for each of its ops. */
function probe(graph: Graph, where: string, value: Value): void {
  if (value.type.dtype === 'f32') graph.outputs.set(`${PROBE}${graph.outputs.size}/${where}`, allFinite([value])[0]!);
}

/** The first place, in the order of computation, where a run of a graph with probes met NaN or infinity. */
export function firstNotFinite(results: Readonly<Record<string, ArrayLike<number>>>): string | undefined {
  const probes = Object.entries(results).filter(([name, finite]) => name.startsWith(PROBE) && finite[0] === 0);
  return probes[0]?.[0].replace(/^probe\/\d+\//, '');
}

export interface Grouping {
  readonly exemptNorms?: boolean;
  /** Biases of norms are a group of their own. */
  readonly biases?: boolean;
  /** Tensors that are trained. Default: all. */
  readonly trainable?: (name: string) => boolean;
  /** Tensors with the backbone's learning rate. Default: none. */
  readonly backbone?: (name: string) => boolean;
  /** Tensors that were frozen before. Default: none. */
  readonly late?: (name: string) => boolean;
}

const none = (): boolean => false;

/** The trained parameters of a model by learning rate, decay and beginning; norms and biases do not decay if exempt. */
export function parameterGroups(
  model: Model,
  { exemptNorms = false, biases = false, trainable = () => true, backbone = none, late = none }: Grouping = {},
): ParameterGroup[] {
  const groups = new Map<string, ParameterGroup & { parameters: StateSpec[] }>();
  for (const spec of model.state) {
    if (!isLearned(spec) || !trainable(spec.name)) continue;
    const kind = {
      backbone: backbone(spec.name),
      decays: !(exemptNorms && spec.role !== 'weight'),
      bias: biases && spec.role === 'norm' && spec.name.endsWith('bias'),
      late: late(spec.name),
    };
    const parts = [
      kind.late && 'late',
      kind.backbone && 'backbone',
      kind.bias && 'bias',
      kind.decays ? 'weights' : 'exempt',
    ];
    const name = parts.filter(Boolean).join('.');
    const group = groups.get(name) ?? { name, ...kind, parameters: [] };
    groups.set(name, group);
    group.parameters.push(spec);
  }
  return [...groups.values()];
}
