// From model to model: what any network may be given, written over the description of its layers. Tensors keep their
// names, so that weights fit before and after.

import { DlcourseError } from '../errors.js';
import { activate, dropout, relu, scaleChannels, stochasticDepth } from './basic.js';
import { linear } from './convolution.js';
import type { InitializerName } from './initializers.js';
import { isLearned, type LayerNode, type StateSpec } from './layer.js';
import { type Block, Model, named, seq } from './model.js';
import { globalAvgPool } from './pooling.js';

/** The same model with other layers. */
const withLayers = (model: Model, layers: readonly LayerNode[]): Model => Model.fromConfig({ ...model.config, layers });

const withConfig = (node: LayerNode, config: LayerNode['config']): LayerNode => ({
  ...node,
  config: { ...node.config, ...config },
});

/** Tensors by the path of their layer. */
export function stateByLayer(model: Model): ReadonlyMap<string, readonly StateSpec[]> {
  const map = new Map<string, StateSpec[]>();
  for (const spec of model.state) {
    const path = spec.name.slice(0, spec.name.lastIndexOf('.'));
    map.set(path, [...(map.get(path) ?? []), spec]);
  }
  return map;
}

/** The layer that makes an output's scores, one channel a class. */
export interface Head {
  readonly output: string;
  readonly node: LayerNode;
  readonly classes: number;
}

const isLinear = ({ kind, config }: LayerNode): boolean =>
  kind === 'linear' || (kind === 'conv2d' && (config['kernel'] as readonly number[]).every(k => k === 1));

/**
 * The head of every output: the last linear layer or 1×1 convolution before it, behind which nothing is learned.
 * Throws E_HEAD where an output has none.
 */
export function headsOf(model: Model): Head[] {
  const { layers, outputs } = model.config;
  const byId = new Map(layers.map(node => [node.id, node]));
  const state = stateByLayer(model);
  return Object.entries(outputs).map(([output, id]) => {
    let node = byId.get(id);
    while (node && !isLinear(node)) {
      const passes = node.inputs.length === 1 && !state.has(node.path);
      node = passes ? byId.get(node.inputs[0]!) : undefined;
    }
    if (!node) {
      throw new DlcourseError({
        code: 'E_HEAD',
        class: 'usage',
        where: `${model.name}: ${output}`,
        problem: 'expected a last linear layer or 1×1 convolution before the output, got none',
        hint: 'end the model in linear(classes)',
      });
    }
    return { output, node, classes: Number(node.config[node.kind === 'linear' ? 'features' : 'channels']) };
  });
}

/** Names of the tensors of all heads. */
export function headTensors(model: Model): ReadonlySet<string> {
  const state = stateByLayer(model);
  return new Set(headsOf(model).flatMap(({ node }) => (state.get(node.path) ?? []).map(s => s.name)));
}

/** The model with heads for another number of classes. */
export function withClasses(model: Model, classes: number): Model {
  const heads = new Set(headsOf(model).map(head => head.node.id));
  return withLayers(
    model,
    model.config.layers.map(node => {
      if (!heads.has(node.id)) return node;
      return withConfig(node, { [node.kind === 'linear' ? 'features' : 'channels']: classes });
    }),
  );
}

/** Batch norms none of whose tensors are trained stay in evaluation mode: their statistics are kept, too. */
export function withFrozenNorms(model: Model, trained: (name: string) => boolean): Model {
  const state = stateByLayer(model);
  const isFrozen = ({ kind, path }: LayerNode): boolean => {
    if (kind !== 'batch_norm') return false;
    const tensors = state.get(path) ?? [];
    const learned = tensors.filter(isLearned);
    return !(learned.length > 0 ? learned : tensors).some(s => trained(s.name));
  };
  if (!model.config.layers.some(isFrozen)) return model;
  return withLayers(
    model,
    model.config.layers.map(node => (isFrozen(node) ? withConfig(node, { frozen: true }) : node)),
  );
}

/** Convolutions and linear layers begin by another rule. Heads, biases and norms included; nothing else changes. */
export function withInitialisation(model: Model, init: InitializerName): Model {
  return withLayers(
    model,
    model.config.layers.map(node => ('init' in node.config ? withConfig(node, { init }) : node)),
  );
}

/** The layers of `block` as they stand behind number `input`: under `path`, with numbers from `first` on. */
function graft(
  block: Block,
  shape: readonly number[],
  path: string,
  input: number,
  first: number,
): { layers: LayerNode[]; output: number } {
  const { layers, outputs } = Model.from(shape, named(path, block)).config;
  const numbers = new Map([[0, input], ...layers.map(({ id }, i) => [id, first + i] as const)]);
  const renumber = (id: number): number => numbers.get(id)!;
  return {
    layers: layers.map(node => ({ ...node, id: renumber(node.id), inputs: node.inputs.map(renumber) })),
    output: renumber(outputs['output']!),
  };
}

const nextNumber = (model: Model): number =>
  1 + Math.max(model.config.inputs.length - 1, ...model.config.layers.map(node => node.id));

/** What stands before the last dot. */
const parent = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('.')));

/**
 * Puts a block behind the branch of every residual sum, below the block that holds the sum.
 * @param write the block for sum `at` (1-based) of `count`
 * Throws E_OPTION for a network without residual sums.
 */
function onBranches(
  model: Model,
  option: string,
  name: string,
  write: (at: number, count: number, sum: LayerNode) => Block,
): Model {
  const sums = model.config.layers.filter(node => node.kind === 'residual');
  if (sums.length === 0) {
    throw new DlcourseError({
      code: 'E_OPTION',
      class: 'usage',
      where: option,
      problem: `expected a network with residual sums, got ${model.name}, which has none`,
      hint: 'choose a residual network, such as resnet20, or leave the option out',
    });
  }
  let number = nextNumber(model);
  let at = 0;
  const layers = model.config.layers.flatMap(node => {
    if (node.kind !== 'residual') return [node];
    const [branch, shortcut] = node.inputs as [number, number];
    const path = [parent(node.path), name].filter(Boolean).join('.');
    const added = graft(write(++at, sums.length, node), model.shapeOfLayer(branch), path, branch, number);
    number += added.layers.length;
    return [...added.layers, { ...node, inputs: [added.output, shortcut] }];
  });
  return withLayers(model, layers);
}

/**
 * Stochastic depth (Huang et al. 2016, section 3): in training, block l of L loses its branch with probability
 * rate · l/L, sample by sample. Survivors are scaled up by 1/(1 − rate · l/L), so that evaluation, in which nothing is
 * dropped, needs no factor; the paper scales down there.
 * @param rate of the last block, in [0, 1)
 */
export const withStochasticDepth = (model: Model, rate: number): Model =>
  onBranches(model, 'stochastic depth', 'stochastic_depth', (l, count) => stochasticDepth((rate * l) / count));

/** Name of the gates of `withSqueezeExcitation` in paths. */
export const SQUEEZE_EXCITATION = 'squeeze_excitation';

/**
 * Squeeze-and-excitation behind every residual branch, before the sum (Hu et al. 2017, section 3.3):
 * x · σ(W₂ relu(W₁ mean(x))) with ⌊c / reduction⌋ channels between, at least 1. Throws E_OPTION where it is there already.
 */
export const withSqueezeExcitation = (model: Model, reduction = 16): Model => {
  const byId = new Map(model.config.layers.map(node => [node.id, node]));
  return onBranches(model, 'squeeze-and-excitation', SQUEEZE_EXCITATION, (_at, _count, sum) => {
    if (byId.get(sum.inputs[0]!)?.kind === 'scale_channels') {
      throw new DlcourseError({
        code: 'E_OPTION',
        class: 'usage',
        where: 'squeeze-and-excitation',
        problem: `expected a network without squeeze-and-excitation, got ${model.name}, which has it in ${parent(sum.path)}`,
        hint: 'leave the option out',
      });
    }
    return squeezeExcitation(reduction);
  });
};

/** σ(W₂ relu(W₁ mean(x))), the factor of each channel: n×h×w×c to n×c, with ⌊c / reduction⌋ between, at least 1. */
export const excitation =
  (reduction = 16): Block =>
  x => {
    const c = x.shape.at(-1)!;
    return seq({
      pool: globalAvgPool(),
      fc1: linear(Math.max(1, Math.floor(c / reduction))),
      relu: relu(),
      fc2: linear(c),
      sigmoid: activate('sigmoid'),
    })(x);
  };

/** x · excitation(x): n×h×w×c to the same shape. */
const squeezeExcitation =
  (reduction: number): Block =>
  x => {
    const s = excitation(reduction)(x);
    return x.model.scoped('scale', () => scaleChannels(x, s));
  };

/** Dropout of the given rate before the main head: in place of one that stands there. */
export function withHeadDropout(model: Model, rate: number): Model {
  const { node: head } = headsOf(model)[0]!;
  const before = model.config.layers.find(node => node.id === head.inputs[0]);
  if (before?.kind === 'dropout') {
    return withLayers(
      model,
      model.config.layers.map(node => (node === before ? withConfig(node, { rate }) : node)),
    );
  }
  const [input] = head.inputs as [number];
  const shape = before ? model.shapeOfLayer(input) : model.inputShape();
  const path = [parent(head.path), 'head_dropout'].filter(Boolean).join('.');
  const added = graft(dropout(rate), shape, path, input, nextNumber(model));
  return withLayers(
    model,
    model.config.layers.flatMap(node =>
      node === head ? [...added.layers, { ...node, inputs: [added.output] }] : [node],
    ),
  );
}

export interface ModelOptions {
  /** See `withSqueezeExcitation`: its reduction. */
  readonly squeezeExcitation?: number | undefined;
  /** See `withStochasticDepth`: the rate of the last block. */
  readonly stochasticDepth?: number | undefined;
  /** See `withHeadDropout`. */
  readonly dropout?: number | undefined;
  /** See `withInitialisation`; `network`: as the network says. */
  readonly initialisation?: InitializerName | 'network' | undefined;
}

/** The model with what was asked for. */
export function withOptions(model: Model, options: ModelOptions): Model {
  const { squeezeExcitation: reduction, stochasticDepth: rate, dropout: share, initialisation = 'network' } = options;
  let made = model;
  if (reduction !== undefined) made = withSqueezeExcitation(made, reduction);
  // After the gate: what is dropped is the gated branch.
  if (rate !== undefined && rate > 0) made = withStochasticDepth(made, rate);
  if (share !== undefined) made = withHeadDropout(made, share);
  return initialisation === 'network' ? made : withInitialisation(made, initialisation);
}
