// What a drawing of a network shows: its layers, gathered into boxes, and who reads whom.

import type { LayerNode } from '../layers/layer.js';
import type { Model } from '../layers/model.js';
import { type LayerSummary, summarize } from '../layers/summary.js';
import { activations } from '../ops/activations.js';

/** What a box is coloured by. */
export type BoxKind =
  | 'convolution'
  | 'linear'
  | 'pooling'
  | 'normalisation'
  | 'activation'
  | 'join'
  | 'module'
  | 'other';

/** One or more layers of a model: each layer is in one box. */
export interface Box {
  readonly kind: BoxKind;
  /** `conv 3×3, 64`, `residual block` */
  readonly title: string;
  /** Where in the model, and what else is in the box. */
  readonly note: string;
  /** How many modules like the first one the box stands for. */
  readonly repeats: number;
  readonly layers: readonly LayerSummary[];
  /** Shape of one row of the last layer's output. */
  readonly output: readonly number[];
  readonly parameters: number;
  readonly multiplyAdds: number;
  /** Boxes that it reads, by index, and −1 − i for the model's i-th input; in the order of use. */
  readonly reads: readonly number[];
}

/** Layers while they are gathered: indices into the model's list, in order. */
interface Group {
  readonly path: string;
  readonly layers: readonly number[];
  readonly repeats: number;
  /** A module of several layers with weights, drawn as one. */
  readonly module: boolean;
}

/** Which modules to draw layer by layer: all, or those with these paths. */
export type Unfold = boolean | readonly string[];

/**
 * The boxes of a model in the order of its layers. Modules of several convolutions are one box, equal ones that follow
 * each other in a list one box with a count; elsewhere a layer with weights takes the norm, activation and dropout
 * behind it into its box. What is unfolded has a box for each layer.
 */
export function boxesOf(model: Model, unfold: Unfold = false): Box[] {
  const { layers } = model.config;
  const gatherer = new Gatherer(layers, unfold);
  const groups = gatherer.decorated(
    gatherer.groups(
      layers.map((_, i) => i),
      0,
    ),
  );
  const summaries = summarize(model).layers;
  const owner = new Map(groups.flatMap((group, box) => group.layers.map(i => [layers[i]!.id, box] as const)));
  return groups.map((group, at): Box => {
    const members = group.layers.map(i => layers[i]!);
    const counted = group.layers.map(i => summaries[i]!);
    const sum = (key: 'parameters' | 'multiplyAdds') => counted.reduce((total, layer) => total + layer[key], 0);
    const reads = members.flatMap(layer => layer.inputs.map(id => owner.get(id) ?? -1 - id)).filter(box => box !== at);
    return {
      ...(group.module ? describeModule(group, members) : describeLayers(group, members, counted)),
      repeats: group.repeats,
      layers: counted,
      output: counted.at(-1)!.output,
      parameters: sum('parameters'),
      multiplyAdds: sum('multiplyAdds'),
      reads: [...new Set(reads)],
    };
  });
}

/** The paths of all modules of a model: what may be unfolded. */
export function modulePaths(model: Model): string[] {
  const paths = model.config.layers.flatMap(({ path }) => {
    const parts = path.split('.');
    return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('.'));
  });
  return [...new Set(paths)];
}

class Gatherer {
  readonly #readers = new Map<number, number>();

  constructor(
    readonly layers: readonly LayerNode[],
    readonly unfold: Unfold,
  ) {
    for (const { inputs } of layers) for (const id of inputs) this.#readers.set(id, (this.#readers.get(id) ?? 0) + 1);
  }

  /** The groups of layers that share the first `depth` parts of their paths. */
  groups(members: readonly number[], depth: number): Group[] {
    const found: Group[] = [];
    for (const run of runs(members, i => this.#part(i, depth))) {
      const path = this.layers[run[0]!]!.path.split('.')
        .slice(0, depth + 1)
        .join('.');
      if (this.#unfolded(path)) found.push(...run.map(i => this.#single(i)));
      else if (run.length === 1) found.push(this.#single(run[0]!));
      else if (this.#isUnit(run)) found.push({ path, layers: run, repeats: 1, module: false });
      else if (this.#opens(run, depth)) found.push(...this.groups(run, depth + 1));
      else found.push({ path, layers: run, repeats: 1, module: true });
    }
    return this.#merged(found, depth);
  }

  #part(i: number, depth: number): string {
    return this.layers[i]!.path.split('.')[depth] ?? '';
  }

  #single(i: number): Group {
    return { path: this.layers[i]!.path, layers: [i], repeats: 1, module: false };
  }

  #unfolded(path: string): boolean {
    if (typeof this.unfold === 'boolean') return this.unfold;
    return this.unfold.some(wanted => path === wanted || path.startsWith(`${wanted}.`));
  }

  /** Layers one after the other, of which the first alone may have weights besides norms. */
  #isUnit(run: readonly number[]): boolean {
    return this.#isChain(run) && run.every((i, at) => at === 0 || isDecoration(this.layers[i]!));
  }

  #isChain(run: readonly number[]): boolean {
    return run.every((i, at) => {
      const { inputs } = this.layers[i]!;
      return inputs.length === 1 && (at === 0 || inputs[0] === this.layers[run[at - 1]!]!.id);
    });
  }

  /** Whether the members of a module are drawn: those of lists, and of chains and wrappers that are no list's member. */
  #opens(run: readonly number[], depth: number): boolean {
    const members = new Set(run.map(i => this.#part(i, depth + 1)));
    if ([...members].every(isNumber)) return true;
    if (isNumber(this.#part(run[0]!, depth))) return false;
    if (this.#isChain(run)) return true;
    const deeper = run.flatMap(i => this.layers[i]!.path.split('.').slice(depth + 1, -1));
    return deeper.some(isNumber) && this.#chained([...runs(run, i => this.#part(i, depth + 1))]);
  }

  /** Whether each of some modules reads nothing but the end of the one before. */
  #chained(modules: readonly (readonly number[])[]): boolean {
    return modules.every((members, at) => {
      const own = new Set(members.map(i => this.layers[i]!.id));
      const before = modules[at - 1]?.at(-1);
      const read = members.flatMap(i => this.layers[i]!.inputs.filter(id => !own.has(id)));
      return new Set(read).size === 1 && (before === undefined || read[0] === this.layers[before]!.id);
    });
  }

  /** Equal modules that follow each other in a list as one. */
  #merged(groups: readonly Group[], depth: number): Group[] {
    const merged: Group[] = [];
    for (const group of groups) {
      const last = merged.at(-1);
      const inList = isNumber(group.path.split('.')[depth] ?? '');
      const first = last?.layers.slice(0, last.layers.length / last.repeats);
      if (last?.module && group.module && inList && group.repeats === 1 && this.#same(first!, group.layers)) {
        merged[merged.length - 1] = {
          ...last,
          layers: [...last.layers, ...group.layers],
          repeats: last.repeats + 1,
        };
      } else merged.push(group);
    }
    return merged;
  }

  /** The same layers but for widths, connected in the same way. */
  #same(a: readonly number[], b: readonly number[]): boolean {
    return a.length === b.length && this.#structure(a) === this.#structure(b);
  }

  #structure(members: readonly number[]): string {
    const place = new Map(members.map((i, at) => [this.layers[i]!.id, at]));
    return JSON.stringify(
      members.map(i => {
        const { kind, config, inputs } = this.layers[i]!;
        const { kernel, stride } = config;
        const grouped = (config['groups'] ?? 1) !== 1;
        return [kind, kernel, stride, grouped, inputs.map(id => place.get(id) ?? 'outside')];
      }),
    );
  }

  /** Norms, activations and the like that alone read the box before them are part of it. */
  decorated(groups: readonly Group[]): Group[] {
    if (this.unfold === true) return [...groups];
    const kept: Group[] = [];
    for (const group of groups) {
      const last = kept.at(-1);
      const [only] = group.layers;
      const layer = this.layers[only!]!;
      const before = last && this.layers[last.layers.at(-1)!]!;
      const joins =
        last &&
        before &&
        !last.module &&
        group.layers.length === 1 &&
        isDecoration(layer) &&
        !isJoin(before.kind) &&
        !this.#unfolded(layer.path) &&
        !this.#unfolded(last.path) &&
        layer.inputs.length === 1 &&
        layer.inputs[0] === before.id &&
        this.#readers.get(before.id) === 1;
      if (joins) kept[kept.length - 1] = { ...last, layers: [...last.layers, only!] };
      else kept.push(group);
    }
    return kept;
  }
}

const isNumber = (part: string): boolean => /^\d+$/.test(part);
const isJoin = (kind: string): boolean => ['residual', 'add', 'multiply', 'scale_channels', 'concat'].includes(kind);
const isDecoration = ({ kind }: LayerNode): boolean => ['normalisation', 'activation', 'other'].includes(kindOf(kind));

function* runs<T>(items: readonly T[], key: (item: T) => string): Generator<T[]> {
  let run: T[] = [];
  for (const item of items) {
    if (run.length > 0 && key(run[0]!) !== key(item)) {
      yield run;
      run = [];
    }
    run.push(item);
  }
  if (run.length > 0) yield run;
}

function kindOf(kind: string): BoxKind {
  if (/^conv\dd$/.test(kind)) return 'convolution';
  if (kind === 'linear') return 'linear';
  if (/pool$/.test(kind)) return 'pooling';
  if (/norm$|^lrn$/.test(kind)) return 'normalisation';
  if (isJoin(kind)) return 'join';
  if (Object.hasOwn(activations, kind) || /softmax$/.test(kind)) return 'activation';
  return 'other';
}

// ---- words

const times = (sizes: unknown): string => {
  const list = [...(sizes as readonly number[])];
  return list.join('×');
};

/** ` / 2` for a stride of 2. */
const strideOf = (layer: LayerNode): string => {
  const stride = (layer.config['stride'] ?? []) as readonly number[];
  if (stride.every(s => s === 1)) return '';
  return ` / ${stride.every(s => s === stride[0]) ? stride[0] : times(stride)}`;
};

/** A layer in a few words; `channels` are those that it reads, where it matters. */
function wordsOf(layer: LayerNode, output: readonly number[]): string {
  const { kind, config } = layer;
  const channels = output.at(-1)!;
  switch (kindOf(kind)) {
    case 'convolution': {
      const groups = config['groups'] as number;
      const how = groups === 1 ? 'conv' : groups === channels ? 'depthwise conv' : 'group conv';
      return `${how} ${times(config['kernel'])}${strideOf(layer)}, ${channels}`;
    }
    case 'linear':
      return `linear, ${channels}`;
    case 'pooling': {
      const name = kind.replace('adaptive_', '').replace('_', ' ').replace('avg', 'average');
      if (!kind.startsWith('adaptive')) return `${name} ${times(config['kernel'])}${strideOf(layer)}`;
      return (config['size'] as readonly number[]).every(s => s === 1)
        ? `global ${name}`
        : `${name} to ${times(config['size'])}`;
    }
    default:
      return wordOf(kind);
  }
}

const words: Readonly<Record<string, string>> = {
  concat: 'concatenate',
  residual: 'add',
  lrn: 'local response norm',
  scale_channels: 'scale channels',
};
const wordOf = (kind: string): string => words[kind] ?? kind.replaceAll('_', ' ');

function describeLayers(
  group: Group,
  members: readonly LayerNode[],
  counted: readonly LayerSummary[],
): Pick<Box, 'kind' | 'title' | 'note'> {
  const [first, ...rest] = members;
  const more = rest.map(layer => wordOf(layer.kind));
  return {
    kind: kindOf(first!.kind),
    title: wordsOf(first!, counted[0]!.output),
    note: [group.path, ...more].join(' · '),
  };
}

function describeModule(group: Group, members: readonly LayerNode[]): Pick<Box, 'kind' | 'title' | 'note'> {
  const once = members.slice(0, members.length / group.repeats);
  const convolutions = once.filter(layer => kindOf(layer.kind) === 'convolution');
  const seen = new Set(once.map(layer => layer.id));
  const reads = new Set(once.flatMap(layer => layer.inputs.filter(id => !seen.has(id))));
  const has = (kind: string) => once.some(layer => layer.kind === kind);
  const joinsInput = once.some(layer => layer.kind === 'concat' && layer.inputs.some(id => reads.has(id)));
  const name = has('residual')
    ? 'residual block'
    : has('channel_shuffle')
      ? 'shuffle block'
      : joinsInput
        ? 'dense layer'
        : has('concat')
          ? 'parallel branches'
          : convolutions.length > 0 && convolutions.every(c => c.config['groups'] !== 1 || isPointwise(c))
            ? 'separable convolution'
            : 'block';
  const squeezes = has('scale_channels') ? ' with squeeze-excitation' : '';
  // Members of a list differ in the last part of the group's path.
  const last = members.at(-1)!.path.split('.')[group.path.split('.').length - 1]!;
  const path = group.repeats === 1 ? group.path : `${group.path}–${last}`;
  const kernels = convolutions.map(({ config }) => {
    const groups = config['groups'] as number;
    const how = groups === 1 ? '' : groups === config['channels'] ? ' depthwise' : ' grouped';
    return times(config['kernel']) + how;
  });
  return { kind: 'module', title: `${name}${squeezes}`, note: `${path} · ${listOf(kernels)}` };
}

const isPointwise = (layer: LayerNode): boolean => (layer.config['kernel'] as readonly number[]).every(k => k === 1);

/** `1×1, 3×3, 1×1`, or how many there are. */
const listOf = (kernels: readonly string[]): string =>
  kernels.length <= 4 ? kernels.join(', ') : `${kernels.length} convolutions`;
