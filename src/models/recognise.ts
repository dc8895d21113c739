// Which network a file of weights belongs to, and in whose names: told from its keys and shapes alone.

import { DlcourseError, printable } from '../errors.js';
import { foreignName, type Layout, type LayoutName } from '../io/layouts/layout.js';
import { layouts } from '../io/layouts/list.js';
import type { Model } from '../layers/model.js';
import { allNetworks, buildNetwork, type Form, type FormInfo } from '../zoo/zoo.js';
import { classifier, type ForeignTensor, foreignTensors } from './foreign.js';

/** What is known before looking. */
export interface Hints {
  readonly model?: string | undefined;
  readonly layout?: LayoutName | undefined;
  readonly form?: Form | undefined;
}

/** Shapes by key. */
export type Shapes = ReadonlyMap<string, readonly number[]>;

/** What a file was recognised as. */
export interface Recognised {
  readonly network: string;
  readonly form: Form;
  readonly layout: Layout;
  readonly classes: number;
  /** The file holds the auxiliary classifiers too; `model` has them then. */
  readonly auxiliary: boolean;
  readonly model: Model;
  /** The file's tensor for each of the model's. */
  readonly tensors: readonly ForeignTensor[];
}

/** A network in one form under the names of one layout. */
interface Candidate {
  readonly network: string;
  readonly form: Form;
  readonly info: FormInfo;
  readonly layout: Layout;
}

/** How a file differs from what a candidate's would hold. */
export interface Difference {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly reshaped: readonly string[];
}

/** Counters that no network needs: left out of every comparison. */
const counter = /(^|\.)(num_batches_tracked|n_averaged)$/;
const statistic = /\.running_(mean|var)$/;

/**
 * Recognises network, form, layout and number of classes. Where files of two forms look alike, that form is meant whose
 * published weights have as many classes.
 *
 * Throws, class mismatch: `E_RECOGNISE` with the two nearest candidates and the first keys that differ;
 * `E_WEIGHTS` where the hints leave one candidate, with what is missing, unexpected or of another shape;
 * `E_AMBIGUOUS` where several fit.
 */
export async function recognise(shapes: Shapes, hints: Hints, where: string): Promise<Recognised> {
  const file = new Map([...shapes].filter(([name]) => !counter.test(name)));
  const candidates = await candidatesFor(hints);
  if (candidates.length === 0) throw noLayout(hints, where);
  const likely = candidates.filter(mayFit(file));
  const found = await matches(file, likely);
  if (found.length > 0) return choose(found, where);
  // Slower and sure: nothing that fits is turned away, and the nearest are known.
  const differences: { candidate: Candidate; difference: Difference; size: number }[] = [];
  for (const candidate of candidates) {
    const { result, difference } = await compare(file, candidate);
    if (result) return result;
    // The share of what differs: a part of a large network is nearer to it than to a small one.
    const { missing, unexpected, reshaped } = difference;
    const wrong = missing.length + unexpected.length + reshaped.length;
    const alike = file.size - unexpected.length - reshaped.length;
    differences.push({ candidate, difference, size: wrong / (wrong + alike) });
  }
  differences.sort((a, b) => a.size - b.size);
  throw unknown(file, differences, where);
}

async function candidatesFor({ model, layout, form }: Hints): Promise<Candidate[]> {
  const networks = new Map((await allNetworks()).map(network => [network.name, network]));
  // Our own names, for every network: what `export` writes where nobody else has a name.
  const own = [...networks.values()].flatMap(({ name, forms }) =>
    (Object.keys(forms) as Form[]).map(f => ({ layout: 'dlcourse', networks: [name], form: f, rules: [] }) as const),
  );
  return [...layouts, ...own]
    .filter(l => (layout === undefined || l.layout === layout) && (form === undefined || l.form === form))
    .flatMap(l =>
      l.networks.flatMap(name => {
        const info = networks.get(name)?.forms[l.form];
        return info && (model === undefined || model === name)
          ? [{ network: name, form: l.form, info, layout: l }]
          : [];
      }),
    );
}

/**
 * Whether the file can be a candidate's by its number of learned values. That depends on the classes, and any tensor
 * may be the classifier: all are tried.
 */
function mayFit(file: Shapes): (candidate: Candidate) => boolean {
  const size = (shape: readonly number[]): number => shape.reduce((p, d) => p * d, 1);
  const learned = [...file].filter(([name]) => !statistic.test(name));
  const total = learned.reduce((sum, [, shape]) => sum + size(shape), 0);
  // Values without a tensor, and values a row of it.
  const heads = learned
    .filter(([, shape]) => shape.length >= 2 && shape[0]! > 0)
    .map(([name, shape]) => {
      const bias = file.get(name.replace(/weight$/, 'bias'))?.join() === String(shape[0]) && name.endsWith('.weight');
      const row = size(shape.slice(1)) + (bias ? 1 : 0);
      return { rest: total - row * shape[0]!, row };
    });
  // Several classifiers change with the classes where some are auxiliary: then the size is a rough guide.
  return ({ info: { params, auxiliaryParams, classes } }) =>
    auxiliaryParams === undefined
      ? heads.some(({ rest, row }) => rest + row * classes === params)
      : total > params / 2 && total < 2 * auxiliaryParams;
}

async function matches(file: Shapes, candidates: readonly Candidate[]): Promise<Recognised[]> {
  const found: Recognised[] = [];
  for (const candidate of candidates) {
    const { result } = await compare(file, candidate);
    if (result) found.push(result);
  }
  return found;
}

/** Compares key by key, with as many classes as the file's classifier has rows. */
async function compare(
  given: Shapes,
  { network, form, info, layout: usual }: Candidate,
): Promise<{ result?: Recognised; difference: Difference }> {
  const file = renamed(given, usual);
  const published = await built(network, form, info.classes, false);
  const rows = file.get(foreignName(usual, classifier(published)))?.[0] ?? 0;
  // A head of its own has no background class.
  const background = usual.background === true && rows === info.classes + 1;
  const classes = background ? info.classes : rows >= 1 && rows <= 2 ** 20 ? rows : info.classes;
  const layout = usual.background && !background ? { ...usual, background } : usual;
  const plain = await built(network, form, classes, false);
  let [model, auxiliary] = [plain, false];
  if (info.auxiliaryParams !== undefined) {
    const whole = await built(network, form, classes, true);
    const names = new Set(plain.state.map(spec => spec.name));
    const side = foreignTensors(whole, layout).filter(t => !names.has(t.spec.name));
    if (side.some(t => file.has(t.name))) [model, auxiliary] = [whole, true];
  }
  const tensors = foreignTensors(model, layout);
  const difference = differ(file, tensors);
  const { missing, unexpected, reshaped } = difference;
  if (missing.length + unexpected.length + reshaped.length > 0) return { difference };
  return { difference, result: { network, form, layout, classes, auxiliary, model, tensors } };
}

/** Models without weights, by what they are: layouts share them. */
const models = new Map<string, Promise<Model>>();

function built(name: string, form: Form, classes: number, auxiliary: boolean): Promise<Model> {
  const key = [name, form, classes, auxiliary].join();
  let model = models.get(key);
  if (!model) {
    if (models.size >= 1000) models.clear();
    model = allNetworks().then(networks => {
      const { input } = networks.find(n => n.name === name)!.forms[form]!;
      return buildNetwork(name, input, classes, { form, auxiliary });
    });
    models.set(key, model);
  }
  return model;
}

/** The file's keys with the layout's older names brought to the present ones. */
export function renamed(file: Shapes, { aliases = [] }: Layout): Shapes {
  if (aliases.length === 0) return file;
  const shapes = new Map([...file].map(([name, shape]) => [presentName(name, { aliases }), shape]));
  return shapes.size === file.size ? shapes : file;
}

/** The present name of a key. */
export const presentName = (name: string, { aliases = [] }: Pick<Layout, 'aliases'>): string =>
  aliases.reduce((n, [pattern, to]) => n.replace(pattern, to as string), name);

function differ(file: Shapes, tensors: readonly ForeignTensor[]): Difference {
  const expected = new Map(tensors.map(t => [t.name, t.shape]));
  const missing = [...expected.keys()].filter(name => !file.has(name));
  const unexpected = [...file.keys()].filter(name => !expected.has(name));
  const reshaped = [...expected]
    .filter(([name, shape]) => file.has(name) && file.get(name)!.join() !== shape.join())
    .map(([name, shape]) => `'${name}' is ${show(file.get(name)!)} instead of ${show(shape)}`);
  return { missing, unexpected, reshaped };
}

const show = (shape: readonly number[]): string => (shape.length === 0 ? 'one number' : shape.join('×'));

function choose(found: readonly Recognised[], where: string): Recognised {
  const kinds = (list: readonly Recognised[]): number => new Set(list.map(r => `${r.network} ${r.form}`)).size;
  // A file without the background row that the layout's own files have is rather another's.
  const usual = found.filter(r => r.classes === publishedClasses[r.form] && r.layout.background !== false);
  if (kinds(found) === 1) return (usual[0] ?? found[0])!;
  if (kinds(usual) === 1) return usual[0]!;
  const names = found.map(r => `${r.network} (form ${r.form}, ${r.layout.layout})`);
  throw new DlcourseError({
    code: 'E_AMBIGUOUS',
    class: 'mismatch',
    where,
    problem: `expected keys of one network, got those of ${[...new Set(names)].join(' and ')}`,
    hint: kinds(found.map(r => ({ ...r, form: 'cifar' as const }))) > 1 ? 'choose with --model' : 'choose with --form',
  });
}

/** Classes of the usual published weights of a form. */
const publishedClasses: Readonly<Record<Form, number>> = { cifar: 10, imagenet: 1000 };

function noLayout({ model, layout, form }: Hints, where: string): DlcourseError {
  const names = layouts.filter(l => model === undefined || l.networks.includes(model));
  const known = [...new Set(names.map(l => `${l.layout} (${l.form})`))];
  const asked = [model, layout && `layout ${layout}`, form && `form ${form}`].filter(Boolean).join(', ');
  return new DlcourseError({
    code: 'E_LAYOUT',
    class: 'usage',
    where,
    problem: `expected a layout of the network, got ${asked}`,
    hint: known.length > 0 ? `there is ${known.join(', ')}` : 'leave --layout out',
  });
}

function unknown(
  file: Shapes,
  nearest: readonly { candidate: Candidate; difference: Difference }[],
  where: string,
): DlcourseError {
  const kinds = nearest.map(n => `${n.candidate.network} ${n.candidate.form}`);
  const distinct = nearest.filter((_, i) => kinds.indexOf(kinds[i]!) === i);
  const named = ({ network, form, layout }: Candidate): string => `${network} (${form}, ${layout.layout})`;
  if (distinct.length === 1) {
    const [{ candidate, difference }] = nearest as [(typeof nearest)[number]];
    return new DlcourseError({
      code: 'E_WEIGHTS',
      class: 'mismatch',
      where,
      problem: `expected the tensors of ${named(candidate)}, but ${listed(difference, 10)}`,
      hint: 'leave --model, --layout and --form out to have it recognised',
    });
  }
  const shown = distinct
    .slice(0, 2)
    .map(({ candidate, difference }) => `${named(candidate)}: ${listed(difference, 3)}`);
  return new DlcourseError({
    code: 'E_RECOGNISE',
    class: 'mismatch',
    where,
    problem: `expected the tensors of a known network, got ${file.size} others; nearest are ${shown.join('; ')}`,
    hint: "give --model to see all that differs; 'dlcourse models' lists the networks",
  });
}

function listed({ missing, unexpected, reshaped }: Difference, most: number): string {
  const list = (items: readonly string[], quote: boolean): string => {
    const first = items.slice(0, most).map(item => (quote ? `'${clipped(item)}'` : clipped(item)));
    return first.join(', ') + (items.length > most ? ` and ${items.length - most} more` : '');
  };
  return [
    missing.length > 0 ? `${missing.length} missing (${list(missing, true)})` : '',
    unexpected.length > 0 ? `${unexpected.length} unexpected (${list(unexpected, true)})` : '',
    reshaped.length > 0 ? `${reshaped.length} of another shape (${list(reshaped, false)})` : '',
  ]
    .filter(part => part !== '')
    .join(', ');
}

const clipped = (text: string): string => printable(text.length > 200 ? `${text.slice(0, 200)}…` : text);
