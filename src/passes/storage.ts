// Which values share memory: views, concatenations without copies, results that overwrite their operand.

import { channelsOf, elements, FIXED, type Graph, type Node, sameShape, type Value } from '../graph/graph.js';
import { copy } from '../ops/arithmetic.js';

/** A block of memory that one or more values occupy. */
export interface Storage {
  /** The value whose type gives the block its size. */
  readonly root: Value;
  /** Positions in the list of nodes where the block is first written and last read. */
  first: number;
  last: number;
  /** Set when the block turned out to be another one, overwritten. */
  within?: Storage;
}

/** Where a value lies: elements from the block's start, and from one pixel to the next. */
export interface Location {
  readonly storage: Storage;
  readonly offset: number;
  readonly stride: number;
}

/**
 * Assigns every value of the graph a location. Inserts copies first where a value cannot be seen as needed: an op that
 * wants dense operands reads a slice of channels, or a concatenation's input cannot be produced in its place. O(nodes).
 */
export function assignStorage(graph: Graph): (value: Value) => Location {
  const locate = placeValues(graph);
  graph.nodes.forEach((node, at) => {
    for (const value of [...node.inputs, ...node.outputs]) {
      const { storage } = locate(value);
      storage.first = Math.min(storage.first, at);
      storage.last = Math.max(storage.last, at);
    }
  });
  for (const value of [...graph.outputs.values(), ...graph.guards.values()]) {
    locate(value).storage.last = graph.nodes.length;
  }
  graph.nodes.forEach((node, at) => {
    overwrite(node, at, locate);
  });

  return value => {
    const location = locate(value);
    let { storage } = location;
    while (storage.within) storage = storage.within;
    return { ...location, storage };
  };
}

/** The same without results that overwrite their operand, and without lifetimes: views and concatenations alone. */
export function placeValues(graph: Graph): (value: Value) => Location {
  insertCopies(graph, (node, input) => wantsDense(node) && isSlice(input));
  insertCopies(graph, unplaceable(graph));

  const slots = concatSlots(graph);
  const located = new Map<Value, Location>();
  const locate = (value: Value): Location => {
    let location = located.get(value);
    if (!location) {
      location = place(value);
      located.set(value, location);
    }
    return location;
  };
  const place = (value: Value): Location => {
    const slot = slots.get(value);
    if (slot) {
      const whole = locate(slot.whole);
      return { ...whole, offset: whole.offset + slot.channel };
    }
    const view = viewOf(value);
    if (view) {
      const outer = locate(view.input);
      const stride = isNarrowing(view.node) ? outer.stride : channelsOf(value.type);
      return { storage: outer.storage, offset: outer.offset + view.channel, stride };
    }
    const storage = { root: value, first: Number.POSITIVE_INFINITY, last: -1 };
    return { storage, offset: 0, stride: channelsOf(value.type) };
  };

  return locate;
}

/** Lets a result take the place of an operand that is whole, dense, of the same type, and read here for the last time. */
function overwrite(node: Node, at: number, locate: (v: Value) => Location): void {
  const blockOf = (v: Value): Storage => {
    let { storage } = locate(v);
    while (storage.within) storage = storage.within;
    return storage;
  };
  for (const [output, input] of node.op.spec.inPlace ?? []) {
    const from = node.inputs[input];
    const to = node.outputs[output]!;
    if (!from) continue;
    const block = blockOf(from);
    const own = locate(to).storage;
    const fits =
      own.root === to &&
      block.root.source.kind === 'node' &&
      block.last === at &&
      locate(from).stride === channelsOf(from.type) &&
      from.type.dtype === to.type.dtype &&
      from.type.count === to.type.count &&
      block.root.type.count === to.type.count &&
      sameShape(from.type.shape, to.type.shape) &&
      elements(block.root.type.shape) === elements(to.type.shape) &&
      node.inputs.every((v, i) => i === input || blockOf(v) !== block);
    if (!fits) continue;
    own.within = block;
    block.last = Math.max(block.last, own.last);
    return;
  }
}

function viewOf(value: Value): { node: Node; input: Value; channel: number } | undefined {
  if (value.source.kind !== 'node') return undefined;
  const { node } = value.source;
  const view = node.op.spec.view?.(node.attributes);
  return view && { node, input: node.inputs[0]!, channel: view.channel };
}

/** A view of the same pixels, with all or some of their channels. */
const isNarrowing = (node: Node): boolean =>
  sameShape(node.inputs[0]!.type.shape.slice(0, -1), node.outputs[0]!.type.shape.slice(0, -1));

const wantsDense = (node: Node): boolean =>
  node.op.spec.dense === true || (node.op.spec.view !== undefined && !isNarrowing(node));

/** The value is a run of channels of a wider one. */
function isSlice(value: Value): boolean {
  const view = viewOf(value);
  return (
    view !== undefined &&
    (channelsOf(value.type) < channelsOf(view.input.type) ? isNarrowing(view.node) : isSlice(view.input))
  );
}

/** Inputs of concatenations that must be copied there: views, feeds, state, and what somebody wants or makes dense. */
function unplaceable(graph: Graph): (node: Node, input: Value) => boolean {
  const fixedPlace = new Set<Value>([...graph.guards.values(), ...graph.outputs.values()]);
  for (const node of graph.nodes) {
    if (!wantsDense(node)) continue;
    for (const input of node.inputs) {
      // A view is dense where what it looks at is.
      for (let v: Value | undefined = input; v; v = viewOf(v)?.input) fixedPlace.add(v);
    }
  }
  return (node, input) => {
    if (!node.op.spec.concatenates) return false;
    const { source } = input;
    const placeable = source.kind === 'node' && !source.node.op.spec.dense && !viewOf(input) && !fixedPlace.has(input);
    fixedPlace.add(input); // one place only
    return !placeable;
  };
}

function insertCopies(graph: Graph, needed: (node: Node, input: Value) => boolean): void {
  const before = graph.nodes;
  const { segment } = graph;
  graph.nodes = [];
  for (const node of before) {
    graph.segment = node.segment;
    graph.scoped(node.path, () => {
      node.inputs = node.inputs.map(value => (needed(node, value) ? copy([value])[0]! : value));
    });
    graph.nodes.push(node);
  }
  graph.segment = segment;
}

/** For each input of a concatenation, the whole and its first channel there. */
function concatSlots(graph: Graph): Map<Value, { whole: Value; channel: number }> {
  const slots = new Map<Value, { whole: Value; channel: number }>();
  for (const node of graph.nodes) {
    if (!node.op.spec.concatenates) continue;
    let channel = 0;
    for (const input of node.inputs) {
      slots.set(input, { whole: node.outputs[0]!, channel });
      channel += channelsOf(input.type);
    }
  }
  return slots;
}

/** Bytes of an element. */
export const WIDTH = { f32: 4, i32: 4, u8: 1 } as const;

/** Bytes of a value for the largest counts. */
export function bytesOf({ type }: Value, counts: readonly number[]): number {
  return elements(type.shape) * WIDTH[type.dtype] * (type.count === FIXED ? 1 : counts[type.count]!);
}
