// Graph to plan: storage, places and steps. What comes out is ready for the addon.

import { FIXED, type Graph, type Node, type Value } from '../graph/graph.js';
import type { Attributes } from '../graph/op.js';
import type { Native } from '../native.js';
import { type Lifetime, planMemory } from '../passes/memory.js';
import { assignStorage, bytesOf, type Location, placeValues, type Storage, WIDTH } from '../passes/storage.js';
import type { WirePlan, WireStep, WireTensor } from './wire.js';

export interface BuiltPlan {
  readonly wire: WirePlan;
  /** Path of the layer that each step belongs to. */
  readonly paths: readonly string[];
  /** Bytes of intermediate values and of what steps need beside them. */
  readonly arenaBytes: number;
  /** Bytes that each thread needs for itself. */
  readonly scratchBytes: number;
}

const LINE = 64;

/**
 * Plans a finished graph. The graph's nodes must be in order, and segments contiguous.
 * @param counts the largest value of each run-time count; counts[0] is the batch
 */
export function buildPlan(graph: Graph, counts: readonly number[], native: Native, isa?: string): BuiltPlan {
  const locate = assignStorage(graph);
  const { wire, values, positions } = withoutPlaces(graph, counts, locate);
  const { tensors, steps, segments } = wire;

  // Places: state by name, feeds one after the other, the rest and the workspaces in the arena.
  const needs = native.requirements(wire, isa);
  const blocks = new Map<Storage, number>();
  const lifetimes: Lifetime[] = [];
  const stateIndex = new Map<string, number>();
  for (const value of values) {
    const { storage } = locate(value);
    const { source } = storage.root;
    if (source.kind !== 'node' || blocks.has(storage)) continue;
    blocks.set(storage, lifetimes.length);
    lifetimes.push({
      bytes: bytesOf(storage.root, counts),
      first: storage.first,
      last: storage.last,
    });
  }
  const firstWorkspace = lifetimes.length;
  needs.forEach((need, i) => {
    lifetimes.push({ bytes: need.workspace, first: positions[i]!, last: positions[i]! });
  });
  const memory = planMemory(lifetimes);
  const feedOffsets = new Map<string, number>();
  tensors.forEach((tensor, i) => {
    const { storage, offset } = locate(values[i]!);
    const { source } = storage.root;
    if (source.kind === 'state') {
      if (!stateIndex.has(source.name)) stateIndex.set(source.name, stateIndex.size);
      tensor.place = 'state';
      tensor.offset = stateIndex.get(source.name)!;
    } else if (source.kind === 'feed') {
      if (!feedOffsets.has(source.name)) {
        feedOffsets.set(source.name, wire.feedBytes);
        wire.feedBytes += Math.ceil(bytesOf(storage.root, counts) / LINE) * LINE;
      }
      tensor.place = 'feed';
      tensor.offset = feedOffsets.get(source.name)! + offset * WIDTH[tensor.dtype];
    } else {
      tensor.offset = memory.offsets[blocks.get(storage)!]! + offset * WIDTH[tensor.dtype];
    }
  });
  const changesState = segments.some(s => s.changesState);
  steps.forEach((step, i) => {
    step.workspace = memory.offsets[firstWorkspace + i]!;
    const size = Math.ceil(needs[i]!.derived / LINE) * LINE;
    // Where the state changes with every run nothing derived is kept: all steps share one block.
    step.derived = changesState ? 0 : wire.derivedBytes;
    wire.derivedBytes = changesState ? Math.max(wire.derivedBytes, size) : wire.derivedBytes + size;
  });
  wire.state = [...stateIndex.keys()];
  wire.arenaBytes = memory.bytes;
  return {
    wire,
    paths: positions.map(at => graph.nodes[at]!.path),
    arenaBytes: memory.bytes,
    scratchBytes: needs.reduce((most, { scratch }) => Math.max(most, scratch), 0),
  };
}

/** Bytes that each node of a graph needs beside its operands, for the time of its step. */
export function workspaces(
  graph: Graph,
  counts: readonly number[],
  native: Native,
  isa?: string,
): ReadonlyMap<Node, number> {
  const { wire, positions } = withoutPlaces(graph, counts, placeValues(graph));
  const needs = native.requirements(wire, isa);
  return new Map(needs.map(({ workspace }, i) => [graph.nodes[positions[i]!]!, workspace]));
}

/** What a plan is made of before anything has a place. `values` are those of the tensors, `positions` those of the steps. */
function withoutPlaces(
  graph: Graph,
  counts: readonly number[],
  locate: (value: Value) => Location,
): { wire: WirePlan; values: Value[]; positions: number[] } {
  const { nodes } = graph;
  const tensors: WireTensor[] = [];
  const values: Value[] = [];
  const index = new Map<Value, number>();
  const tensorOf = (value: Value): number => {
    let at = index.get(value);
    if (at === undefined) {
      at = tensors.length;
      index.set(value, at);
      tensors.push(describe(value, locate(value), counts));
      values.push(value);
    }
    return at;
  };

  const steps: WireStep[] = [];
  const positions: number[] = [];
  nodes.forEach((node, at) => {
    if (node.op.spec.view || node.op.spec.concatenates) return;
    steps.push({
      op: node.op.name,
      attributes: wireAttributes(node.attributes, node.op.attributes),
      inputs: node.inputs.map(tensorOf),
      outputs: node.outputs.map(tensorOf),
      workspace: 0,
      derived: 0,
    });
    positions.push(at);
  });

  const segments: WirePlan['segments'] = [];
  steps.forEach((_, i) => {
    const name = nodes[positions[i]!]!.segment;
    const last = segments.at(-1);
    if (last?.name === name) last.end = i + 1;
    else segments.push({ name, begin: i, end: i + 1, guard: -1, changesState: name === 'commit' });
  });
  for (const segment of segments) {
    const guard = graph.guards.get(segment.name);
    if (guard) segment.guard = tensorOf(guard);
  }

  const wire: WirePlan = {
    counts: [...counts],
    state: [],
    tensors,
    steps,
    segments,
    feeds: [...graph.feeds].map(([name, value]) => ({ name, tensor: tensorOf(value) })),
    results: [...graph.outputs].map(([name, value]) => ({ name, tensor: tensorOf(value) })),
    arenaBytes: 0,
    feedBytes: 0,
    derivedBytes: 0,
  };
  return { wire, values, positions };
}

function describe(value: Value, { stride }: Location, counts: readonly number[]): WireTensor {
  const { dtype, count, shape } = value.type;
  const full = count === FIXED ? [...shape] : [counts[count]!, ...shape];
  // One value a row is a vector of rows to the engine: its rows are the channels.
  const wide = count !== FIXED && shape.length === 0 ? counts[count]! : stride;
  return { dtype, shape: full, count, stride: wide, place: 'arena', offset: 0 };
}

function wireAttributes(attributes: Attributes, specs: Readonly<Record<string, { local?: boolean }>>): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([key]) => !specs[key]?.local));
}
