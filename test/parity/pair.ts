// One network in one form as PyTorch sees it: weights under foreign names, logits, three steps of training.

import { rows } from '../../src/graph/graph.js';
import type { Layout } from '../../src/io/layouts/layout.js';
import { layouts } from '../../src/io/layouts/list.js';
import { Model } from '../../src/layers/index.js';
import { type ForeignTensor, foreignTensors } from '../../src/models/foreign.js';
import { fromDisk } from '../../src/models/weights.js';
import { Program, Store } from '../../src/runtime/program.js';
import { evaluationGraph } from '../../src/train/evaluation.js';
import { ArraySource } from '../../src/train/inputs.js';
import { makeRecipe } from '../../src/train/recipe.js';
import { Training } from '../../src/train/training.js';
import { buildNetwork, type Form } from '../../src/zoo/zoo.js';
import { images, labels } from './formula.js';

export interface Pair {
  readonly network: string;
  readonly form: Form;
  /** Whose names the reference's tensors have: a layout, or 'own' for dlcourse's paths. */
  readonly layout: string;
}

export type Input = readonly [number, number, number];

/** Samples of a training step. */
export const BATCH = 4;

function layoutOf({ network, form, layout }: Pair): Layout {
  if (layout === 'own') return { layout: 'dlcourse', networks: [network], form, rules: [] };
  const found = layouts.find(l => l.layout === layout && l.form === form && l.networks.includes(network));
  if (!found) throw new Error(`${network} (${form}): expected a layout '${layout}', got none; see src/io/layouts`);
  return found;
}

/** The network as it trains, without dropout: what both sides compute alike. */
export async function trainable(
  { network, form }: Pick<Pair, 'network' | 'form'>,
  input: Input,
  classes: number,
): Promise<Model> {
  const { config } = await buildNetwork(network, input, classes, { form, auxiliary: true });
  const steady = config.layers.map(l => (l.kind === 'dropout' ? { ...l, config: { ...l.config, rate: 0 } } : l));
  return Model.fromConfig({ ...config, layers: steady });
}

/** The model's tensors as the reference names and shapes them. */
export const tensorsOf = (model: Model, pair: Pair): ForeignTensor[] => foreignTensors(model, layoutOf(pair));

/** A store with the values that `find` has for them. */
export async function filled(
  tensors: readonly ForeignTensor[],
  find: (name: string, shape: readonly number[]) => Float32Array | Promise<Float32Array>,
): Promise<Store> {
  const store = new Store();
  for (const { name, shape, spec } of tensors) {
    store.define(spec.name, spec.shape);
    store.write(spec.name, fromDisk(await find(name, shape), spec.shape, spec.layout));
  }
  return store;
}

/** @param exact without Winograd's transforms */
export async function logits(model: Model, store: Store, batch: number, exact: boolean): Promise<Float32Array> {
  const input = model.inputShape();
  const program = new Program(
    evaluationGraph(model, graph => graph.feed('x', rows(input))),
    { batch, store, exact },
  );
  const { results } = await program.run({ x: images(batch, input) }, batch);
  program.dispose();
  return results['output'] as Float32Array;
}

/** Losses of three steps of SGD on one batch; the store holds the trained tensors after. */
export async function train(
  model: Model,
  store: Store,
  classes: number,
  lr: number,
  exact: boolean,
): Promise<number[]> {
  const source = new ArraySource(images(BATCH, model.inputShape()), model.inputShape(), labels(BATCH, classes));
  const recipe = makeRecipe({
    ...{ epochs: 3, batchSize: BATCH, optimizer: 'sgd', lr, momentum: 0, nesterov: false, weightDecay: 0, exact },
    schedule: { ...makeRecipe().schedule, name: 'constant' },
  });
  const training = new Training({ model, store, recipe, train: source });
  const losses: number[] = [];
  while (!training.done) {
    losses.push((await training.step()).loss);
    training.endEpoch();
  }
  return losses;
}

/** Largest difference, in units of the largest value of the truth. */
export function relative(values: ArrayLike<number>, truth: ArrayLike<number>): number {
  if (values.length !== truth.length) return Number.POSITIVE_INFINITY;
  let [difference, largest] = [0, 0];
  for (let i = 0; i < truth.length; i++) {
    difference = Math.max(difference, Math.abs(values[i]! - truth[i]!));
    largest = Math.max(largest, Math.abs(truth[i]!));
  }
  return difference / largest;
}
