// What an op is to the graph: name, attributes, shape rule, gradient, and the properties that passes ask about.

import { DlcourseError } from '../errors.js';
import type { Graph, Node, TensorType, Value } from './graph.js';

export type AttributeValue = number | boolean | string | readonly number[];
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** An attribute's default and check. `local` ones steer passes and gradients and do not go over the wire. */
export interface AttributeSpec<T extends AttributeValue = AttributeValue> {
  readonly initial: T;
  readonly check: (value: AttributeValue) => string | undefined;
  readonly local?: boolean;
}

export type AttributeSpecs = Readonly<Record<string, AttributeSpec>>;
export type AttributesOf<S extends AttributeSpecs> = {
  readonly [K in keyof S]: S[K] extends AttributeSpec<infer T> ? T : never;
};

const isInteger = (v: unknown): v is number => Number.isSafeInteger(v);

/** Widths, sizes and counts beyond this are refused: a saved model cannot ask for absurd memory. */
const LARGEST = 2 ** 32;

export const int = (initial: number, min = -LARGEST, max = LARGEST): AttributeSpec<number> => ({
  initial,
  check: v => (isInteger(v) && v >= min && v <= max ? undefined : `a whole number from ${min} to ${max}`),
});
export const real = (initial: number, min = -Number.MAX_VALUE, max = Number.MAX_VALUE): AttributeSpec<number> => ({
  initial,
  check: v => (typeof v === 'number' && v >= min && v <= max ? undefined : `a finite number${range(min, max)}`),
});
const range = (min: number, max: number): string =>
  (min > -Number.MAX_VALUE ? ` of at least ${min}` : '') + (max < Number.MAX_VALUE ? ` and at most ${max}` : '');
export const flag = (initial: boolean): AttributeSpec<boolean> => ({
  initial,
  check: v => (typeof v === 'boolean' ? undefined : 'true or false'),
});
export const oneOf = <T extends string>(initial: T, ...others: T[]): AttributeSpec<T> => ({
  initial,
  check: v => ([initial, ...others].includes(v as T) ? undefined : `one of ${[initial, ...others].join(', ')}`),
});
export const word = (initial: string): AttributeSpec<string> => ({
  initial,
  check: v => (typeof v === 'string' ? undefined : 'a string'),
});
export const ints = (initial: readonly number[], min = Number.MIN_SAFE_INTEGER): AttributeSpec<readonly number[]> => ({
  initial,
  check: v =>
    Array.isArray(v) && v.length === initial.length && v.every(n => isInteger(n) && n >= min)
      ? undefined
      : `${initial.length} whole numbers of at least ${min}`,
});
export const list = (): AttributeSpec<readonly number[]> => ({
  initial: [],
  check: v =>
    Array.isArray(v) && v.length <= 8 && v.every(n => isInteger(n) && n >= 0 && n <= LARGEST)
      ? undefined
      : 'a list of at most 8 whole numbers',
});
/** The same attribute, kept on the TypeScript side. */
export const local = <T extends AttributeValue>(spec: AttributeSpec<T>): AttributeSpec<T> => ({ ...spec, local: true });

/** What a gradient rule is given. */
export interface GradientContext<A> {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** Gradients of the outputs; undefined where nothing depends on one. */
  readonly dy: readonly (Value | undefined)[];
  readonly attributes: A;
  /** Which inputs want a gradient. */
  readonly wants: readonly boolean[];
}

/** Gradients by input, undefined where there is none or none is wanted. */
export type Gradients = (Value | undefined)[];

export interface OpSpec<S extends AttributeSpecs> {
  readonly name: string;
  readonly attributes: S;
  /** Output types; throws through `shapeError` when the inputs do not fit. */
  readonly infer: (inputs: readonly TensorType[], attributes: AttributesOf<S>, where: string) => TensorType[];
  /** Built from ops, so that every later pass sees it. An op without one (and without `slices`) stops gradients. */
  readonly gradient?: (context: GradientContext<AttributesOf<S>>) => Gradients;
  /** Pairs [output, input] that may share memory when nobody else needs the input. */
  readonly inPlace?: readonly (readonly [number, number])[];
  /** Inputs that the op writes: state, which only the commit segment may change, or values that it owns. */
  readonly updates?: (attributes: AttributesOf<S>, inputs: number) => readonly number[];
  /** The output is the input's memory seen otherwise: no step is made. */
  readonly view?: (attributes: AttributesOf<S>) => View;
  /** The output is these channels of the input, and its gradient is added to them alone: instead of `gradient`. */
  readonly slices?: (attributes: AttributesOf<S>) => ChannelRange;
  /** Operands may not have gaps between their pixels. */
  readonly dense?: boolean;
  /** The output is its inputs side by side on the channels: producers may write there directly. */
  readonly concatenates?: boolean;
  /** This op is an activation y = f(x) of this name, which an op with `takesActivation` can apply while it stores. */
  readonly activation?: string;
  readonly takesActivation?: boolean;
  /** Its first output never falls where its input rises, and its gradient is the same for inputs that it makes equal. */
  readonly nondecreasing?: boolean;
  /** Each element of the first output is the largest of some of its input. */
  readonly largest?: boolean;
  /** The op is the sum of its inputs. */
  readonly sums?: boolean;
  /** With this op's output as one of two addends, the other can become its operand. */
  readonly takesResidual?: (node: Node, residual: Value) => { inputs: Value[]; attributes: Attributes };
  /** With these attributes the op is affine in each channel of its first input, with constants: the other inputs. */
  readonly norms?: (attributes: AttributesOf<S>) => boolean;
  /** With this op's output as the first input of a norm: the op as both, where it can be. It then has no gradient. */
  readonly takesNorm?: (node: Node, norm: Node) => { inputs: Value[]; attributes: Attributes } | undefined;
  /** With these attributes the op is a norm that its readers can compute: it has no other operand than its parameters. */
  readonly isPrologue?: (attributes: AttributesOf<S>) => boolean;
  /** With a norm's output as its first input: the op that computes the norm while it reads, where it can. */
  readonly takesPrologue?: (node: Node, norm: Node) => { inputs: Value[]; attributes: Attributes } | undefined;
  /** With these attributes the op only sums up, channel by channel, what its first input is to the parameters of a norm. */
  readonly isGradientSums?: (attributes: AttributesOf<S>) => boolean;
  /** With this op's output as the first input of such sums: the op that gives them too, where it can. */
  readonly takesGradientSums?: (node: Node, sums: Node) => { inputs: Value[]; attributes: Attributes } | undefined;
  /** This op computes channel moments, which an op with `takesMoments` can compute while it stores. */
  readonly moments?: boolean;
  readonly takesMoments?: boolean;
  /** With such operands and attributes the op is a 1×1 convolution: x, w, what scales its sums, residual. */
  readonly pointwise?: (inputs: readonly TensorType[], attributes: AttributesOf<S>) => boolean;
  /** The same of a convolution of each channel by itself. */
  readonly depthwise?: (inputs: readonly TensorType[], attributes: AttributesOf<S>) => boolean;
  /** The op mixes the channels of so many groups: those of all inputs side by side, taken apart into all outputs. */
  readonly shuffles?: (attributes: AttributesOf<S>) => number;
  /** Multiply-adds of convolutions and linear layers for one row. */
  readonly multiplyAdds?: (
    inputs: readonly TensorType[],
    outputs: readonly TensorType[],
    attributes: AttributesOf<S>,
  ) => number;
}

/** Channels begin ≤ c < end. */
export interface ChannelRange {
  readonly begin: number;
  readonly end: number;
}

/** A view: the same elements in another shape, or the channels from `channel` on. */
export interface View {
  readonly channel: number;
}

export interface Op {
  readonly name: string;
  readonly attributes: AttributeSpecs;
  readonly spec: OpSpec<AttributeSpecs>;
  infer(inputs: readonly TensorType[], attributes: Attributes, where: string): TensorType[];
}

export interface DefinedOp<S extends AttributeSpecs> extends Op {
  /** Adds a node to the inputs' graph (or `graph`, for ops without inputs) and returns its outputs. */
  (inputs: readonly Value[], attributes?: Partial<AttributesOf<S>>, graph?: Graph): Value[];
}

/** Every op that is defined, by name. */
export const opList = new Map<string, Op>();

export function defineOp<const S extends AttributeSpecs>(spec: OpSpec<S>): DefinedOp<S> {
  const call = (inputs: readonly Value[], attributes: Partial<AttributesOf<S>> = {}, graph?: Graph): Value[] => {
    const target = graph ?? inputs[0]!.graph;
    return target.add(op, inputs, resolveAttributes(spec.name, spec.attributes, attributes as Attributes)).outputs;
  };
  const op = Object.defineProperties(call, {
    name: { value: spec.name },
    attributes: { value: spec.attributes },
    spec: { value: spec },
    infer: { value: spec.infer },
  }) as unknown as DefinedOp<S>;
  opList.set(spec.name, op);
  return op;
}

/** Defaults filled in, every value checked, unknown names refused. */
export function resolveAttributes(where: string, specs: AttributeSpecs, given: Attributes): Attributes {
  const out: Record<string, AttributeValue> = {};
  for (const key of Object.keys(given)) {
    if (specs[key] === undefined)
      throw attributeError(where, key, `one of ${Object.keys(specs).join(', ')}`, 'that name');
  }
  for (const [key, spec] of Object.entries(specs)) {
    const value = given[key] ?? spec.initial;
    const expected = spec.check(value);
    if (expected) throw attributeError(where, key, expected, JSON.stringify(value));
    out[key] = value;
  }
  return out;
}

function attributeError(where: string, key: string, expected: string, got: string): DlcourseError {
  return new DlcourseError({
    code: 'E_ATTRIBUTE',
    class: 'usage',
    where: `${where}.${key}`,
    problem: `expected ${expected}, got ${got}`,
  });
}

export function shapeError(where: string, expected: string, got: string, hint?: string): DlcourseError {
  return new DlcourseError({
    code: 'E_SHAPE',
    class: 'usage',
    where,
    problem: `expected ${expected}, got ${got}`,
    ...(hint ? { hint } : {}),
  });
}
