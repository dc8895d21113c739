// A model: a graph of layers with named inputs and outputs. Written by composition, saved as data, built into ops.

import { DlcourseError } from '../errors.js';
import {
  elements,
  FIXED,
  fixed,
  Graph,
  rows,
  sameShape,
  showType,
  type TensorType,
  type Value,
} from '../graph/graph.js';
import type { AttributeSpecs, Attributes, AttributesOf } from '../graph/op.js';
import { fill, reshape } from '../ops/arithmetic.js';
import {
  isLearned,
  type LayerContext,
  type LayerNode,
  type LayerSpec,
  layerKind,
  resolveConfig,
  type StateSpec,
} from './layer.js';
import { showSummary, summarize } from './summary.js';

/** What a layer yields while a model is being written: its place in the model and its shape. */
export interface Tensor {
  readonly id: number;
  /** Shape of one row: [h, w, c], [l, c] or [c]. */
  readonly shape: readonly number[];
  readonly model: ModelBuilder;
}

/** A layer, or several: a function from tensor to tensor. */
export type Block = (x: Tensor) => Tensor;

/** Blocks one after the other; a list names its members 0, 1, …, a record by its keys. */
export function seq(...blocks: readonly (Block | undefined)[]): Block;
export function seq(blocks: Readonly<Record<string, Block | undefined>>): Block;
export function seq(...parts: readonly (Block | undefined | Readonly<Record<string, Block | undefined>>)[]): Block {
  const [first] = parts;
  const named: [string, Block | undefined][] =
    parts.length === 1 && typeof first === 'object'
      ? Object.entries(first)
      : parts.map((block, i) => [String(i), block as Block | undefined]);
  return x => named.reduce((y, [name, block]) => (block ? y.model.scoped(name, () => block(y)) : y), x);
}

/** Gives a block a name in the path of what is inside. */
export const named =
  (name: string, block: Block): Block =>
  x =>
    x.model.scoped(name, () => block(x));

/** Makes the function that writes a layer of this kind into a model. */
export function layer<S extends AttributeSpecs>(
  spec: LayerSpec<S>,
): (config?: Partial<AttributesOf<S>>) => (...inputs: Tensor[]) => Tensor {
  return (config = {}) =>
    (...inputs) =>
      inputs[0]!.model.add(spec as unknown as LayerSpec, config as Attributes, inputs);
}

/**
 * Passes x on and hangs an output of its own on it: an auxiliary classifier. In training its loss counts `weight`; in
 * evaluation nobody reads it, so that it costs nothing.
 */
export const sideOutput =
  (name: string, weight: number, head: Block): Block =>
  x => {
    x.model.sideOutput(
      name,
      x.model.scoped(name, () => head(x)),
      weight,
    );
    return x;
  };

export interface ModelInput {
  readonly name: string;
  /** Shape of one row. */
  readonly shape: readonly number[];
}

/** A saved model: closed list of layer kinds, bounded numbers, no code. */
export interface ModelConfig {
  readonly name: string;
  readonly inputs: readonly ModelInput[];
  readonly layers: readonly LayerNode[];
  /** Number of the layer behind each output; the first is the main one. */
  readonly outputs: Readonly<Record<string, number>>;
  /** Weight of the loss at each output; those not named have 1. */
  readonly outputWeights?: Readonly<Record<string, number>>;
}

/** What building a model into a graph yields. */
export interface BuiltModel {
  readonly outputs: Readonly<Record<string, Value>>;
  /** Statistics to move in the commit of a training step. */
  readonly follows: readonly { statistic: Value; value: Value; momentum: number }[];
}

export interface BuildOptions {
  readonly training: boolean;
  /** Inputs by name. */
  readonly inputs: Readonly<Record<string, Value>>;
  /** Name in the store for a tensor of the model: EMA weights stand beside the trained ones. */
  readonly nameInStore?: (name: string, role: StateSpec['role']) => string;
}

/** Collects layers while blocks are called. */
export class ModelBuilder {
  readonly layers: LayerNode[] = [];
  readonly state: StateSpec[] = [];
  readonly #graph = new Graph();
  readonly #values = new Map<number, Value>();
  readonly #paths = new Set<string>();
  readonly #stateNames = new Set<string>();
  readonly sideOutputs: Record<string, number> = {};
  readonly outputWeights: Record<string, number> = {};
  #path: string[] = [];
  #nextId = 0;

  input(name: string, shape: readonly number[]): Tensor {
    const id = this.#nextId++;
    this.#values.set(id, this.#graph.feed(name, rows(shape)));
    return { id, shape, model: this };
  }

  scoped<T>(name: string, body: () => T): T {
    this.#path.push(name);
    try {
      return body();
    } finally {
      this.#path.pop();
    }
  }

  /** Adds an output beside the main one. */
  sideOutput(name: string, tensor: Tensor, weight: number): void {
    if (name in this.sideOutputs) throw malformed(`output ${name}`, 'one output of each name', 'two');
    this.sideOutputs[name] = tensor.id;
    this.outputWeights[name] = weight;
  }

  /** Adds a layer; its path is that of the blocks around it, made unique by a number where needed. */
  add(spec: LayerSpec, given: Attributes, inputs: readonly Tensor[]): Tensor {
    let path = this.#path.join('.');
    if (path === '' || this.#paths.has(path)) {
      const base = path === '' ? spec.kind : `${path}.${spec.kind}`;
      path = base;
      for (let i = 2; this.#paths.has(path); i++) path = `${base}_${i}`;
    }
    return this.restore({ path, kind: spec.kind, config: given, inputs: inputs.map(t => t.id), id: this.#nextId++ });
  }

  /** Adds a layer as it was saved. */
  restore(node: LayerNode): Tensor {
    const spec = layerKind(node.kind);
    const config = resolveConfig(node.path, spec, node.config);
    const wanted = spec.inputs ?? 1;
    if (wanted !== 'many' && node.inputs.length !== wanted) {
      throw malformed(node.path, `${wanted} inputs`, `${node.inputs.length}`);
    }
    const values = node.inputs.map(id => {
      const value = this.#values.get(id);
      if (!value) throw malformed(node.path, 'inputs that come before it', `number ${id}`);
      return value;
    });
    if (values.length === 0) throw malformed(node.path, 'at least one input', 'none');
    if (this.#paths.has(node.path)) throw malformed(node.path, 'one layer of each path', 'two');
    if (this.#values.has(node.id)) throw malformed(node.path, 'a number of its own', `${node.id} again`);
    this.#paths.add(node.path);
    const value = this.#graph.scoped(node.path, () =>
      spec.build(new Context(this.#graph, node.path, false, s => this.#declare(s), []), values, config),
    );
    this.#values.set(node.id, value);
    this.#nextId = Math.max(this.#nextId, node.id + 1);
    this.layers.push({ ...node, config });
    return { id: node.id, shape: value.type.shape, model: this };
  }

  #declare(spec: StateSpec): string {
    if (this.#stateNames.has(spec.name)) throw malformed(spec.name, 'one tensor of each name', 'two');
    this.#stateNames.add(spec.name);
    this.state.push(spec);
    return spec.name;
  }

  /** The op graph of what has been written, in evaluation mode: for summaries. */
  get graph(): Graph {
    return this.#graph;
  }

  shapeOf(id: number): readonly number[] {
    return this.#values.get(id)!.type.shape;
  }

  valueOf(id: number): Value {
    return this.#values.get(id)!;
  }
}

const malformed = (where: string, expected: string, got: string): DlcourseError =>
  new DlcourseError({ code: 'E_MODEL', class: 'refusedFile', where, problem: `expected ${expected}, got ${got}` });

class Context implements LayerContext {
  constructor(
    readonly graph: Graph,
    readonly path: string,
    readonly training: boolean,
    private readonly declare: (spec: StateSpec) => string,
    private readonly follows: { statistic: Value; value: Value; momentum: number }[],
  ) {}

  parameter(
    name: string,
    shape: readonly number[],
    initializer: StateSpec['initializer'],
    role: StateSpec['role'] = 'weight',
    layout: StateSpec['layout'] = 'same',
  ): Value {
    return this.graph.fromStore(
      this.declare({ name: `${this.path}.${name}`, shape, initializer, role, layout }),
      fixed(shape),
    );
  }

  statistic(name: string, shape: readonly number[], initializer: StateSpec['initializer']): Value {
    return this.parameter(name, shape, initializer, 'statistic');
  }

  fixed(name: string, shape: readonly number[], initializer: StateSpec['initializer']): Value {
    return this.parameter(name, shape, initializer, 'fixed');
  }

  follow(statistic: Value, value: Value, momentum: number): void {
    this.follows.push({ statistic, value, momentum });
  }

  random(): Value {
    return this.graph.feed('random', fixed([4], 'i32'));
  }

  progress(): Value {
    return this.graph.feed('progress', fixed([1]));
  }

  constant(value: number): Value {
    return fill([], { value, shape: [1] }, this.graph)[0]!;
  }
}

/** A model whose shapes are known. Weights live elsewhere, in a store: a model is structure. */
export class Model {
  readonly config: ModelConfig;
  /** Every tensor of the model, in the order of its layers. */
  readonly state: readonly StateSpec[];
  readonly #builder: ModelBuilder;

  private constructor(
    name: string,
    inputs: readonly ModelInput[],
    builder: ModelBuilder,
    outputs: Record<string, number>,
    outputWeights: Readonly<Record<string, number>> = {},
  ) {
    const weighted = Object.keys(outputWeights).length > 0 ? { outputWeights } : {};
    this.config = { name, inputs, layers: builder.layers, outputs, ...weighted };
    this.state = builder.state;
    this.#builder = builder;
  }

  /**
   * Writes a model by composition.
   * @param input shape of one row, [h, w, c], [l, c] or [c]
   * @param write a block, or a function from the input to one or several named outputs (the first is the main one)
   */
  static from(
    input: readonly number[],
    write: (x: Tensor) => Tensor | Readonly<Record<string, Tensor>>,
    name = 'model',
  ): Model {
    return Model.fromInputs({ input }, ({ input: x }) => write(x!), name);
  }

  /** The same with several named inputs. */
  static fromInputs(
    inputs: Readonly<Record<string, readonly number[]>>,
    write: (inputs: Readonly<Record<string, Tensor>>) => Tensor | Readonly<Record<string, Tensor>>,
    name = 'model',
  ): Model {
    const builder = new ModelBuilder();
    const ports = Object.entries(inputs).map(([port, shape]) => ({ name: port, shape }));
    for (const { name: port, shape } of ports) checkInput(port, shape);
    const written = write(Object.fromEntries(ports.map(p => [p.name, builder.input(p.name, p.shape)])));
    const outputs =
      'id' in written && 'model' in written ? { output: written as Tensor } : (written as Record<string, Tensor>);
    const ids = Object.fromEntries(Object.entries(outputs).map(([port, tensor]) => [port, tensor.id]));
    return new Model(name, ports, builder, { ...ids, ...builder.sideOutputs }, builder.outputWeights);
  }

  /** A saved model. Throws E_MODEL, E_LAYER, E_ATTRIBUTE or E_SHAPE when the config is not a well-formed model. */
  static fromConfig(config: ModelConfig): Model {
    const builder = new ModelBuilder();
    for (const { name, shape } of config.inputs) {
      checkInput(name, shape);
      builder.input(name, shape);
    }
    for (const node of config.layers) builder.restore(node);
    for (const [port, id] of Object.entries(config.outputs)) {
      if (!config.layers.some(node => node.id === id))
        throw malformed(`output ${port}`, 'the number of a layer', `${id}`);
    }
    for (const [port, weight] of Object.entries(config.outputWeights ?? {})) {
      const fits = Object.hasOwn(config.outputs, port) && Number.isFinite(weight) && weight >= 0;
      if (!fits) throw malformed(`output ${port}`, 'a weight of its loss of at least 0', `${weight}`);
    }
    return new Model(config.name, config.inputs, builder, { ...config.outputs }, config.outputWeights);
  }

  /**
   * The same layers for another input, such as pictures of another size; it takes the same weights.
   * Throws E_INPUT when a layer can't work on it or would need weights of another shape.
   */
  withInput(shape: readonly number[]): Model {
    const [first, ...others] = this.config.inputs;
    const where = `input ${shape.join('×')}`;
    const refused = (problem: string): DlcourseError =>
      new DlcourseError({
        code: 'E_INPUT',
        class: 'mismatch',
        where,
        problem,
        hint: `stay at the ${first!.shape.join('×')} that ${this.name} was made for`,
      });
    let model: Model;
    try {
      model = Model.fromConfig({ ...this.config, inputs: [{ ...first!, shape }, ...others] });
    } catch (error) {
      if (!(error instanceof DlcourseError) || error.class === 'internal') throw error;
      throw refused(`expected a size that every layer can work on, got one that is refused (${error.message})`);
    }
    this.state.forEach(({ name, shape: own }, i) => {
      const other = model.state[i]!.shape;
      if (own.join() !== other.join())
        throw refused(`expected ${name} to be ${own.join('×')}, got ${other.join('×')} for this input`);
    });
    return model;
  }

  get name(): string {
    return this.config.name;
  }

  /** Shape of one row of the first (or the named) input. */
  inputShape(name = this.config.inputs[0]!.name): readonly number[] {
    const found = this.config.inputs.find(i => i.name === name);
    if (!found) throw malformed(`input ${name}`, `one of ${this.config.inputs.map(i => i.name).join(', ')}`, name);
    return found.shape;
  }

  /** Shape of one row of the first (or the named) output. */
  outputShape(name = Object.keys(this.config.outputs)[0]!): readonly number[] {
    return this.#builder.shapeOf(this.config.outputs[name]!);
  }

  shapeOfLayer(id: number): readonly number[] {
    return this.#builder.shapeOf(id);
  }

  /** Ops of the evaluation graph by layer path: what summaries count. */
  get evaluationGraph(): Graph {
    return this.#builder.graph;
  }

  /** Number of learned values. */
  get parameters(): number {
    return this.state.reduce((sum, s) => sum + (isLearned(s) ? elements(s.shape) : 0), 0);
  }

  /** A table of the layers with shapes, parameters, multiply-adds and memory; `summarize(model)` has the figures. */
  summary(): string {
    return showSummary(summarize(this));
  }

  /** Adds the model's ops to a graph. */
  build(graph: Graph, options: BuildOptions): BuiltModel {
    const values = new Map<number, Value>();
    this.config.inputs.forEach(({ name, shape }, id) => {
      const value = options.inputs[name];
      if (!value) throw malformed(`input ${name}`, 'a value', 'none');
      if (elements(value.type.shape) !== elements(shape) || value.type.count === FIXED) {
        throw malformed(`input ${name}`, showType(rows(shape)), showType(value.type as TensorType));
      }
      values.set(id, sameShape(value.type.shape, shape) ? value : reshape([value], { shape })[0]!);
    });
    const follows: { statistic: Value; value: Value; momentum: number }[] = [];
    const declare = (spec: StateSpec): string => options.nameInStore?.(spec.name, spec.role) ?? spec.name;
    for (const node of this.config.layers) {
      const inputs = node.inputs.map(id => values.get(id)!);
      const value = graph.scoped(node.path, () =>
        layerKind(node.kind).build(
          new Context(graph, node.path, options.training, declare, follows),
          inputs,
          node.config as never,
        ),
      );
      values.set(node.id, value);
    }
    return {
      outputs: Object.fromEntries(Object.entries(this.config.outputs).map(([port, id]) => [port, values.get(id)!])),
      follows,
    };
  }
}

function checkInput(name: string, shape: readonly number[]): void {
  const fits =
    shape.length >= 1 && shape.length <= 3 && shape.every(d => Number.isSafeInteger(d) && d > 0 && d <= 2 ** 20);
  if (fits && elements(shape) <= 2 ** 28) return;
  throw new DlcourseError({
    code: 'E_SHAPE',
    class: 'usage',
    where: `input ${name}`,
    problem: `expected [h, w, c], [l, c] or [c] of positive whole numbers, got [${shape.join(', ')}]`,
  });
}
