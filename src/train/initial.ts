// What a training begins with instead of random values: the weights of another model, with a new head where the classes
// are others.

import type { Geometry, GeometryChoice, Preprocessing } from '../data/preprocessing.js';
import { DlcourseError } from '../errors.js';
import type { Model } from '../layers/model.js';
import { headsOf, headTensors, SQUEEZE_EXCITATION, withClasses } from '../layers/rewrite.js';
import type { LoadedModel } from '../models/file.js';
import { Store } from '../runtime/program.js';

export interface Initial {
  readonly model: Model;
  /** The tensors that were taken over; what is new is not in it yet. */
  readonly store: Store;
  /** Names of the tensors that were taken over, those that are new, and those of the other model that nobody wants. */
  readonly loaded: readonly string[];
  readonly fresh: readonly string[];
  readonly unused: readonly string[];
  /** Numbers of classes where the head is new. */
  readonly head?: { readonly from: number; readonly to: number };
}

/** How data are opened for a model: as its card says, but at the size that is asked for. */
export function openingFor(
  { card, model }: Pick<LoadedModel, 'card' | 'model'>,
  input?: readonly [number, number],
): { preprocessing: Preprocessing } | GeometryChoice {
  const { preprocessing } = card;
  if (preprocessing) {
    const size = input ? { height: input[0], width: input[1] } : {};
    return { preprocessing: { ...preprocessing, ...size } };
  }
  const [height, width, channels] = model.inputShape() as [number, number, Geometry['channels']];
  return { input: input ?? [height, width], channels };
}

/** The given model for other classes and another input shape [h, w, c]. Throws E_INPUT where it does not take that. */
export function modelFor(model: Model, classes: number, input: readonly number[]): Model {
  const resized = model.inputShape().join() === input.join() ? model : model.withInput(input);
  return headsOf(resized).every(head => head.classes === classes) ? resized : withClasses(resized, classes);
}

/**
 * Takes over every tensor of `given` that `model` has. New are heads (where the classes are others), side outputs and
 * squeeze-and-excitation that `given` does not have.
 * Throws E_WEIGHTS (class mismatch) when another tensor is missing or has another shape.
 */
export function beginWith(
  { model: before, card, store: from }: LoadedModel,
  model: Model,
  classes: readonly string[],
  where: string,
): Initial {
  const heads = headTensors(model);
  const [had, has] = [headsOf(before)[0]!.classes, headsOf(model)[0]!.classes];
  const isNew = had !== has || !(isUnnamed(card.classes) || sameNames(card.classes, classes));
  const given = new Map(before.state.map(s => [s.name, s]));
  const mayMiss = optionalTensors(model);
  const store = new Store();
  const [loaded, fresh, wrong]: [string[], string[], string[]] = [[], [], []];
  for (const { name, shape } of model.state) {
    const found = given.get(name);
    if (isNew && heads.has(name)) fresh.push(name);
    else if (!found) (mayMiss(name) ? fresh : wrong).push(mayMiss(name) ? name : `${name} is missing`);
    else if (found.shape.join() !== shape.join()) {
      wrong.push(`${name} is ${found.shape.join('×')} instead of ${shape.join('×')}`);
    } else {
      store.define(name, shape);
      store.write(name, from.read(name));
      loaded.push(name);
    }
  }
  if (wrong.length > 0) throw mismatch(where, model.name, wrong);
  const unused = before.state.map(s => s.name).filter(name => !store.has(name));
  return { model, store, loaded, fresh, unused, ...(isNew ? { head: { from: had, to: has } } : {}) };
}

/** Nobody named the classes: they are numbers. */
const isUnnamed = (classes: readonly string[]): boolean => classes.every((name, i) => name === String(i));

const sameNames = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((name, i) => name === b[i]);

/** Tensors that a file need not have: heads, what only side outputs need, and gates that an option adds. */
function optionalTensors(model: Model): (name: string) => boolean {
  const { layers, outputs } = model.config;
  const byId = new Map(layers.map(node => [node.id, node]));
  const needed = new Set<string>();
  const stack = [Object.values(outputs)[0]!];
  for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
    const node = byId.get(id);
    if (!node || needed.has(node.path)) continue;
    needed.add(node.path);
    stack.push(...node.inputs);
  }
  const heads = headTensors(model);
  return name => {
    const parts = name.split('.');
    return heads.has(name) || parts.includes(SQUEEZE_EXCITATION) || !needed.has(parts.slice(0, -1).join('.'));
  };
}

function mismatch(where: string, model: string, wrong: readonly string[]): DlcourseError {
  const more = wrong.length > 5 ? `, and ${wrong.length - 5} more` : '';
  return new DlcourseError({
    code: 'E_WEIGHTS',
    class: 'mismatch',
    where,
    problem: `expected the tensors of ${model}, but ${wrong.slice(0, 5).join(', ')}${more}`,
    hint: 'give weights of the same model and input, or leave --model and --input out',
  });
}
