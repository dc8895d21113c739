// Convolutions and the linear layer.

import { showType, type Value } from '../graph/graph.js';
import { type AttributeSpec, flag, int, list, oneOf, shapeError } from '../graph/op.js';
import { reshape } from '../ops/arithmetic.js';
import { conv2d as conv2dOp } from '../ops/conv2d.js';
import { type Initializer, type InitializerName, initializerNames, weightInitializer } from './initializers.js';
import { type LayerContext, registerLayer } from './layer.js';
import { type Block, layer } from './model.js';

export type Padding = number | 'same' | 'valid' | readonly number[];

const [firstInitializer, ...otherInitializers] = initializerNames;

const width = int(1, 1, 1 << 20);

/** Where biases begin: at a number, or as `init` has it. */
const biasInit: AttributeSpec<BiasInit> = {
  initial: 'init',
  check: v =>
    v === 'init' || (typeof v === 'number' && Number.isFinite(v)) ? undefined : "a finite number, or 'init'",
};
type BiasInit = number | 'init';

const convConfig = {
  channels: width,
  /** Kernel sizes, one an axis. */
  kernel: list(),
  stride: list(),
  dilation: list(),
  /** before, after of each axis; empty with `same`. */
  pad: list(),
  same: flag(false),
  groups: width,
  bias: flag(true),
  init: oneOf<InitializerName>(firstInitializer, ...otherInitializers),
  bias_init: biasInit,
};

/** Padding of one axis: `same` gives ⌈n/s⌉ windows, the odd pixel after (TensorFlow's rule). */
export function samePadding(input: number, kernel: number, stride: number, dilation: number): [number, number] {
  const total = Math.max(0, (Math.ceil(input / stride) - 1) * stride + dilation * (kernel - 1) + 1 - input);
  return [Math.floor(total / 2), total - Math.floor(total / 2)];
}

interface ConvConfig {
  channels: number;
  kernel: readonly number[];
  stride: readonly number[];
  dilation: readonly number[];
  pad: readonly number[];
  same: boolean;
  groups: number;
  bias: boolean;
  init: InitializerName;
  bias_init: BiasInit;
}

function buildConv(context: LayerContext, x: Value, c: ConvConfig): Value {
  const [h, w, ic] = x.type.shape as [number, number, number];
  if (x.type.shape.length !== 3) {
    throw shapeError(context.path, 'images n×h×w×c', showType(x.type), 'put the layer before flatten or pooling');
  }
  if (ic % c.groups !== 0) {
    throw shapeError(context.path, `input channels divisible by ${c.groups} groups`, `${ic}`);
  }
  const pad = c.same
    ? [
        ...samePadding(h, c.kernel[0]!, c.stride[0]!, c.dilation[0]!),
        ...samePadding(w, c.kernel[1]!, c.stride[1]!, c.dilation[1]!),
      ]
    : c.pad;
  const fanIn = (ic / c.groups) * c.kernel[0]! * c.kernel[1]!;
  const shape = [...c.kernel, ic / c.groups, c.channels];
  const weight = context.parameter('weight', shape, weightInitializer(c.init, shape), 'weight', 'conv');
  const bias = c.bias ? [context.parameter('bias', [c.channels], biasInitializer(c, fanIn), 'bias')] : [];
  const { stride, dilation, groups } = c;
  return conv2dOp([x, weight, ...bias], { stride, pad, dilation, groups, bias: c.bias })[0]!;
}

/** PyTorch's biases are U(−1/√fanIn, 1/√fanIn); the named schemes begin at 0. */
function biasInitializer({ init, bias_init }: Pick<ConvConfig, 'init' | 'bias_init'>, fanIn: number): Initializer {
  if (bias_init !== 'init') return { kind: 'constant', value: bias_init };
  return init === 'default' ? { kind: 'uniform', bound: 1 / Math.sqrt(fanIn) } : { kind: 'constant', value: 0 };
}

const conv2dLayer = registerLayer({
  kind: 'conv2d',
  config: convConfig,
  build: (context, [x], c) => buildConv(context, x!, c),
});

const conv1dLayer = registerLayer({
  kind: 'conv1d',
  config: convConfig,
  build: (context, [x], c) => {
    const [l, ic] = x!.type.shape as [number, number];
    if (x!.type.shape.length !== 2) throw shapeError(context.path, 'sequences n×l×c', showType(x!.type));
    const row = reshape([x!], { shape: [1, l, ic] })[0]!;
    const y = buildConv(context, row, {
      ...c,
      kernel: [1, c.kernel[0]!],
      stride: [1, c.stride[0]!],
      dilation: [1, c.dilation[0]!],
      pad: c.same ? [] : [0, 0, ...c.pad],
    });
    return reshape([y], { shape: y.type.shape.slice(1) })[0]!;
  },
});

const linearLayer = registerLayer({
  kind: 'linear',
  config: {
    features: width,
    bias: flag(true),
    init: oneOf<InitializerName>(firstInitializer, ...otherInitializers),
    bias_init: biasInit,
  },
  build: (context, [x], c) => {
    const features = x!.type.shape.at(-1)!;
    if (x!.type.shape.length !== 1) {
      throw shapeError(context.path, 'vectors n×c', showType(x!.type), 'put flatten() or global pooling before it');
    }
    const pixel = reshape([x!], { shape: [1, 1, features] })[0]!;
    const shape = [1, 1, features, c.features];
    const weight = context.parameter('weight', shape, weightInitializer(c.init, shape), 'weight', 'linear');
    const bias = c.bias ? [context.parameter('bias', [c.features], biasInitializer(c, features), 'bias')] : [];
    const y = conv2dOp([pixel, weight, ...bias], { bias: c.bias })[0]!;
    return reshape([y], { shape: [c.features] })[0]!;
  },
});

export interface ConvOptions {
  stride?: number | readonly [number, number];
  /** A number, [before, after] or [top, bottom, left, right], 'valid' (none) or 'same'. Default: half the kernel. */
  padding?: Padding;
  dilation?: number | readonly [number, number];
  groups?: number;
  bias?: boolean;
  init?: InitializerName;
  /** Where biases begin; default: as `init` has it. */
  biasInit?: number;
}

const axes = (value: number | readonly number[], n: number): number[] =>
  typeof value === 'number' ? Array.from({ length: n }, () => value) : [...value];

function convBlock(n: 1 | 2, channels: number, kernel: number | readonly number[], options: ConvOptions): Block {
  const kernels = axes(kernel, n);
  const dilation = axes(options.dilation ?? 1, n);
  const { padding } = options;
  const pad =
    padding === undefined
      ? kernels.flatMap((k, i) => [Math.floor((dilation[i]! * (k - 1)) / 2), Math.ceil((dilation[i]! * (k - 1)) / 2)])
      : padding === 'same'
        ? []
        : padding === 'valid'
          ? axes(0, 2 * n)
          : typeof padding === 'number'
            ? axes(padding, 2 * n)
            : padding.length === 2 * n
              ? [...padding]
              : padding.flatMap(p => [p, p]);
  return layer(n === 2 ? conv2dLayer : conv1dLayer)({
    channels,
    kernel: kernels,
    stride: axes(options.stride ?? 1, n),
    dilation,
    pad,
    same: padding === 'same',
    groups: options.groups ?? 1,
    bias: options.bias ?? true,
    init: options.init ?? 'default',
    bias_init: options.biasInit ?? 'init',
  });
}

/**
 * 2-D convolution: n×h×w×c to n×oh×ow×channels, oh = ⌊(h + top + bottom − dilation·(k − 1) − 1)/stride⌋ + 1.
 * Weights [k, k, c/groups, channels] (on disk [channels, c/groups, k, k]). LeCun et al. 1989.
 */
export const conv2d = (
  channels: number,
  kernel: number | readonly [number, number],
  options: ConvOptions = {},
): Block => convBlock(2, channels, kernel, options);

/** 1-D convolution along sequences: n×l×c to n×ol×channels. */
export const conv1d = (channels: number, kernel: number, options: ConvOptions = {}): Block =>
  convBlock(1, channels, kernel, options);

/** Depthwise convolution: each channel has its own kernel (Howard et al. 2017). */
export const depthwiseConv2d =
  (
    kernel: number | readonly [number, number],
    options: Omit<ConvOptions, 'groups'> & { multiplier?: number } = {},
  ): Block =>
  x => {
    const { multiplier = 1, ...rest } = options;
    const c = x.shape.at(-1)!;
    return conv2d(c * multiplier, kernel, { ...rest, groups: c })(x);
  };

/** Fully connected layer: y = x·W + b, n×c to n×features. */
export const linear = (
  features: number,
  { biasInit, ...options }: { bias?: boolean; init?: InitializerName; biasInit?: number } = {},
): Block => layer(linearLayer)({ features, ...options, bias_init: biasInit ?? 'init' });
