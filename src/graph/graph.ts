// The symbolic graph: plain data about tensors and the ops between them. Everything that is compiled is one of these.

import { DlcourseError } from '../errors.js';
import type { Attributes, Op } from './op.js';

export type DType = 'f32' | 'i32' | 'u8';

/** Index of the run-time count that a tensor's rows follow: 0 is the batch. Tensors of fixed shape have `FIXED`. */
export type Count = number;
export const BATCH: Count = 0;
export const FIXED: Count = -1;

/**
 * What is known of a tensor before it exists. With a count, `shape` is that of one row: a batch of 32×32 colour images
 * is `{count: BATCH, shape: [32, 32, 3]}`. Without, it is the whole shape.
 */
export interface TensorType {
  readonly dtype: DType;
  readonly count: Count;
  readonly shape: readonly number[];
}

/** A batch of rows of the given shape. */
export const rows = (shape: readonly number[], dtype: DType = 'f32'): TensorType => ({ dtype, count: BATCH, shape });
/** A tensor of fixed shape. */
export const fixed = (shape: readonly number[], dtype: DType = 'f32'): TensorType => ({ dtype, count: FIXED, shape });

export const elements = (shape: readonly number[]): number => shape.reduce((product, d) => product * d, 1);

/** The last dimension; a scalar has one channel. */
export const channelsOf = ({ shape }: TensorType): number => shape.at(-1) ?? 1;

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);

/** `n×32×32×3` */
export const showType = (type: TensorType): string =>
  [...(type.count === FIXED ? [] : ['n']), ...type.shape].join('×') || 'scalar';

/** Where a value comes from: a feed of the run, the store, or a node. */
export type Source =
  | { readonly kind: 'feed'; readonly name: string }
  | { readonly kind: 'state'; readonly name: string }
  | { readonly kind: 'node'; readonly node: Node; readonly output: number };

export interface Value {
  readonly id: number;
  readonly graph: Graph;
  readonly type: TensorType;
  readonly source: Source;
}

export interface Node {
  readonly id: number;
  readonly op: Op;
  attributes: Attributes;
  inputs: Value[];
  outputs: Value[];
  /** Path of the layer that made the node: what messages name. */
  readonly path: string;
  readonly segment: string;
}

/** The segments of a training plan, in order. Everything persistent is written in `commit`. */
export const SEGMENTS = ['gradients', 'reduce', 'check', 'commit'] as const;

/**
 * A graph under construction, then a finished one: nodes in an order in which they can run.
 * Passes make new graphs or edit `nodes` of one that they own.
 */
export class Graph {
  nodes: Node[] = [];
  readonly feeds = new Map<string, Value>();
  readonly state = new Map<string, Value>();
  readonly outputs = new Map<string, Value>();
  /** Value that must be non-zero for a segment to run. */
  readonly guards = new Map<string, Value>();
  /** Prefix of the nodes made now. */
  path = '';
  /** Segment of the nodes made now. */
  segment = 'main';
  #nextId = 0;

  feed(name: string, type: TensorType): Value {
    return this.#named(this.feeds, 'feed', name, type);
  }

  fromStore(name: string, type: TensorType): Value {
    return this.#named(this.state, 'state', name, type);
  }

  #named(map: Map<string, Value>, kind: 'feed' | 'state', name: string, type: TensorType): Value {
    const known = map.get(name);
    if (known) {
      const { dtype, count, shape } = known.type;
      if (sameShape(shape, type.shape) && dtype === type.dtype && count === type.count) return known;
      throw new DlcourseError({
        code: 'E_SHAPE',
        class: 'usage',
        where: name,
        problem: `expected ${showType(known.type)} everywhere, got ${showType(type)} too`,
        hint: 'give the two tensors different names',
      });
    }
    const value: Value = { id: this.#nextId++, graph: this, type, source: { kind, name } };
    map.set(name, value);
    return value;
  }

  /** Appends a node; its output types come from the op's shape rule. */
  add(op: Op, inputs: readonly Value[], attributes: Attributes): Node {
    const types = op.infer(
      inputs.map(v => v.type),
      attributes,
      this.path || op.name,
    );
    const node: Node = {
      id: this.#nextId++,
      op,
      attributes,
      inputs: [...inputs],
      outputs: [],
      path: this.path,
      segment: this.segment,
    };
    this.#addOutputs(node, types);
    this.nodes.push(node);
    return node;
  }

  /** Gives a node other inputs and attributes. Its outputs stay; those that its rule adds come behind them. */
  extend(node: Node, inputs: readonly Value[], attributes: Attributes): void {
    const types = inputs.map(v => v.type);
    this.#addOutputs(node, node.op.infer(types, attributes, node.path || node.op.name).slice(node.outputs.length));
    node.inputs = [...inputs];
    node.attributes = attributes;
  }

  #addOutputs(node: Node, types: readonly TensorType[]): void {
    for (const type of types) {
      const source = { kind: 'node', node, output: node.outputs.length } as const;
      node.outputs.push({ id: this.#nextId++, graph: this, type, source });
    }
  }

  /** Runs `body` with nodes named under `path`. */
  scoped<T>(path: string, body: () => T): T {
    const outer = this.path;
    this.path = path;
    try {
      return body();
    } finally {
      this.path = outer;
    }
  }

  /** The node that `body` adds, taken out again: for passes that put it where another one was. */
  detached(path: string, segment: string, body: () => void): Node {
    const outer = this.segment;
    this.segment = segment;
    try {
      this.scoped(path, body);
    } finally {
      this.segment = outer;
    }
    return this.nodes.pop()!;
  }
}

/** The nodes that read each value, in order. */
export function readers(graph: Graph): Map<Value, Node[]> {
  const map = new Map<Value, Node[]>();
  for (const node of graph.nodes) {
    for (const input of node.inputs) {
      const list = map.get(input);
      if (!list) map.set(input, [node]);
      else if (list[list.length - 1] !== node) list.push(node);
    }
  }
  return map;
}

/** How often each value is used: by nodes, as an output or as a guard. */
export function countUses(graph: Graph): Map<Value, number> {
  const uses = new Map<Value, number>();
  const used = [...graph.nodes.flatMap(node => node.inputs), ...graph.outputs.values(), ...graph.guards.values()];
  for (const value of used) uses.set(value, (uses.get(value) ?? 0) + 1);
  return uses;
}

/** Puts `current(value)` wherever a value is used. */
export function replaceUses(graph: Graph, current: (value: Value) => Value): void {
  for (const node of graph.nodes) node.inputs = node.inputs.map(current);
  for (const map of [graph.outputs, graph.guards]) for (const [name, value] of map) map.set(name, current(value));
}

/** One line a node, for tests and for people. */
export function printGraph(graph: Graph): string {
  const name = (v: Value): string => (v.source.kind === 'node' ? `%${v.id}` : v.source.name);
  const lines = graph.nodes.map(node => {
    const shown = Object.entries(node.attributes)
      .filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(node.op.attributes[key]?.initial))
      .map(([key, value]) => `${key}=${JSON.stringify(value)}`);
    const outputs = node.outputs.map(v => `${name(v)}:${showType(v.type)}`).join(', ');
    const call = `${node.op.name}(${[...node.inputs.map(name), ...shown].join(', ')})`;
    return outputs ? `${outputs} = ${call}` : call;
  });
  for (const [port, value] of graph.outputs) lines.push(`${port} -> ${name(value)}`);
  return lines.join('\n');
}
