// What a layer is: a kind, a config, parameters and op calls. Composition lives in model.ts.

import { unknownName } from '../errors.js';
import { fixed, type Graph, type Value } from '../graph/graph.js';
import { type AttributeSpecs, type Attributes, type AttributesOf, resolveAttributes } from '../graph/op.js';
import type { Initializer } from './initializers.js';

/** Order of a tensor's dimensions on disk, where it differs from the engine's. */
export type DiskLayout = 'same' | 'conv' | 'linear';

/** A tensor that a model owns. */
export interface StateSpec {
  /** Path: `stage1.0.conv1.weight`. */
  readonly name: string;
  /** In the engine's layout: convolutions [kh, kw, ic/groups, oc], linear [1, 1, in, out]. */
  readonly shape: readonly number[];
  readonly initializer: Initializer;
  /** Learned (weights, biases, norms), following training (running statistics), or never changed. */
  readonly role: 'weight' | 'bias' | 'norm' | 'statistic' | 'fixed';
  readonly layout: DiskLayout;
}

/** Whether gradients move the tensor. */
export const isLearned = ({ role }: StateSpec): boolean => role !== 'statistic' && role !== 'fixed';

/** How a layer is being built into a graph. */
export interface LayerContext {
  readonly graph: Graph;
  /** Path of the layer. */
  readonly path: string;
  /** Train or evaluate: a property of each layer, not of the graph. */
  readonly training: boolean;
  /** A learned tensor. */
  parameter(
    name: string,
    shape: readonly number[],
    initializer: Initializer,
    role?: StateSpec['role'],
    layout?: DiskLayout,
  ): Value;
  /** A tensor that follows training without being learned. */
  statistic(name: string, shape: readonly number[], initializer: Initializer): Value;
  /** A tensor that stays as it was initialised or read. */
  fixed(name: string, shape: readonly number[], initializer: Initializer): Value;
  /** After a committed step: statistic = (1 − momentum) · statistic + momentum · value. */
  follow(statistic: Value, value: Value, momentum: number): void;
  /** Feed i32[4] that keys random masks: seed (low, high), step, index of the first row. */
  random(): Value;
  /** Feed f32[1]: the share of training that is done, 0 to 1. */
  progress(): Value;
  /** A fixed [1]. */
  constant(value: number): Value;
}

export interface LayerSpec<S extends AttributeSpecs = AttributeSpecs> {
  readonly kind: string;
  readonly config: S;
  /** How many inputs: a number, or 'many'. */
  readonly inputs?: number | 'many';
  readonly build: (context: LayerContext, inputs: readonly Value[], config: AttributesOf<S>) => Value;
}

/** The closed list of layer kinds: what a saved model may consist of. */
export const layerKinds = new Map<string, LayerSpec>();

export function registerLayer<const S extends AttributeSpecs>(spec: LayerSpec<S>): LayerSpec<S> {
  layerKinds.set(spec.kind, spec as unknown as LayerSpec);
  return spec;
}

/** One layer of a model: plain data. */
export interface LayerNode {
  readonly path: string;
  readonly kind: string;
  readonly config: Attributes;
  /** Ids of the nodes (or inputs) that it reads. */
  readonly inputs: readonly number[];
  readonly id: number;
}

/** Finds a kind; throws E_LAYER with the nearest name. */
export function layerKind(kind: string): LayerSpec {
  const spec = layerKinds.get(kind);
  if (spec) return spec;
  throw unknownName(
    { code: 'E_LAYER', class: 'refusedFile', where: 'model' },
    'a known kind of layer',
    kind,
    layerKinds.keys(),
  );
}

export function resolveConfig(path: string, spec: LayerSpec, given: Attributes): Attributes {
  return resolveAttributes(path || spec.kind, spec.config, given);
}

/** A feed of the graph, of fixed shape. */
export const scalarFeed = (graph: Graph, name: string, length = 1, dtype: 'f32' | 'i32' = 'f32'): Value =>
  graph.feed(name, fixed([length], dtype));
