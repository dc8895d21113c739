// What a network of the zoo is, and how one is found by name.

import { DlcourseError, unknownName } from '../errors.js';
import { type Block, Model } from '../layers/model.js';

/** A network for small pictures (64 pixels and below) or for large ones. */
export type Form = 'cifar' | 'imagenet';

export interface FormInfo {
  /** [h, w, c] that the published figures hold for. */
  readonly input: readonly [number, number, number];
  readonly classes: number;
  /**
   * Number of learned parameters, and multiply-adds in millions, with `input` and `classes`: published, or counted in
   * PyTorch where a family says so.
   */
  readonly params: number;
  readonly multiplyAddsMillions: number;
  /** Parameters with the auxiliary classifiers that training has, where there are some. */
  readonly auxiliaryParams?: number;
  /** Published top-1 accuracy, a fraction; absent where none is known. */
  readonly top1?: number;
}

export interface BuildParameters {
  readonly form: Form;
  readonly classes: number;
  /** With the auxiliary classifiers, as training wants them: side outputs of the model. */
  readonly auxiliary: boolean;
}

export interface Network {
  readonly name: string;
  readonly family: string;
  readonly paper: string;
  readonly year: number;
  readonly forms: Readonly<Partial<Record<Form, FormInfo>>>;
  readonly write: (parameters: BuildParameters) => Block;
}

/** Declares the networks of one file. */
export function defineFamily(
  family: { readonly family: string; readonly paper: string; readonly year: number },
  networks: Readonly<Record<string, Omit<Network, 'name' | 'family' | 'paper' | 'year'>>>,
): Network[] {
  return Object.entries(networks).map(([name, network]) => ({ name, ...family, ...network }));
}

/** Published figures of one form, as families list them. */
export type Published = readonly [params: number, multiplyAddsMillions: number, top1?: number];

/**
 * Forms with the usual inputs: 32×32 pixels and 10 classes, 224×224 and 1000.
 * @param auxiliary parameters with auxiliary classifiers
 */
export function published(
  figures: Partial<Record<Form, Published>>,
  auxiliary: Partial<Record<Form, number>> = {},
): Network['forms'] {
  const usual = {
    cifar: { input: [32, 32, 3], classes: 10 },
    imagenet: { input: [224, 224, 3], classes: 1000 },
  } as const;
  return Object.fromEntries(
    Object.entries(figures).map(([form, [params, multiplyAddsMillions, top1]]) => [
      form,
      {
        ...usual[form as Form],
        params,
        multiplyAddsMillions,
        ...(auxiliary[form as Form] === undefined ? {} : { auxiliaryParams: auxiliary[form as Form] }),
        ...(top1 === undefined ? {} : { top1 }),
      },
    ]),
  );
}

/** Families by the names in them; each file is imported when it is needed. The only list. */
const files: readonly { names: readonly string[]; load: () => Promise<{ default: Network[] }> }[] = [
  { names: ['lenet5', 'lenet'], load: () => import('./lenet.js') },
  { names: ['alexnet', 'alexnet_grouped'], load: () => import('./alexnet.js') },
  {
    names: ['vgg11', 'vgg13', 'vgg16', 'vgg19'].flatMap(name => [name, `${name}_bn`]),
    load: () => import('./vgg.js'),
  },
  { names: ['googlenet'], load: () => import('./googlenet.js') },
  { names: ['googlenet_2014'], load: () => import('./googlenet_2014.js') },
  { names: ['inception_v3'], load: () => import('./inception_v3.js') },
  { names: ['xception'], load: () => import('./xception.js') },
  {
    names: ['resnet20', 'resnet32', 'resnet44', 'resnet56', 'resnet110', 'resnet1202'],
    load: () => import('./resnet_cifar.js'),
  },
  { names: ['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'], load: () => import('./resnet.js') },
  { names: ['squeezenet1_0', 'squeezenet1_1'], load: () => import('./squeezenet.js') },
  {
    names: ['densenet121', 'densenet161', 'densenet169', 'densenet201', 'densenet_cifar', 'densenet_bc100'],
    load: () => import('./densenet.js'),
  },
  { names: ['wide_resnet50_2', 'wide_resnet101_2'], load: () => import('./wide_resnet.js') },
  {
    names: [
      ...['resnext50_32x4d', 'resnext101_32x4d', 'resnext101_32x8d', 'resnext101_64x4d'],
      ...['resnext29_2x64d', 'resnext29_8x64d', 'resnext29_16x64d', 'resnext29_32x4d'],
      ...['2x64d', '4x64d', '8x64d', '32x4d'].map(shape => `resnext29_${shape}_kuangliu`),
    ],
    load: () => import('./resnext.js'),
  },
  {
    names: [18, 34, 50, 101, 152, 164, 1001].map(depth => `preact_resnet${depth}`),
    load: () => import('./preact_resnet.js'),
  },
  {
    names: [
      ...['se_resnet18', 'se_resnet50', 'se_resnet101', 'se_resnet152', 'se_resnet50_v1_5'],
      ...['se_resnext50_32x4d', 'se_resnext101_32x4d', 'senet154'],
    ],
    load: () => import('./senet.js'),
  },
  {
    names: [26, 68, 92, 98, 107, 131].map(depth => `dpn${depth}`),
    load: () => import('./dpn.js'),
  },
  {
    names: ['nasnet_a_large', 'nasnet_a_large_timm', 'nasnet_a_mobile', 'nasnet_a_cifar'],
    load: () => import('./nasnet.js'),
  },
  {
    names: ['', '_symmetric'].flatMap(style =>
      ['', '_x0_75', '_x0_5', '_x0_25'].map(width => `mobilenet_v1${style}${width}`),
    ),
    load: () => import('./mobilenet_v1.js'),
  },
  {
    names: ['', '_x0_25', '_x0_35', '_x0_5', '_x0_75', '_x1_3', '_x1_4'].map(width => `mobilenet_v2${width}`),
    load: () => import('./mobilenet_v2.js'),
  },
  {
    names: [
      ...['g1', 'g2', 'g3', 'g4', 'g8'],
      ...['g3', 'g8'].flatMap(groups => ['0_5', '1_0', '1_5', '2_0'].map(width => `${groups}_x${width}`)),
    ].map(name => `shufflenet_v1_${name}`),
    load: () => import('./shufflenet_v1.js'),
  },
  {
    names: ['0_5', '1_0', '1_5', '2_0'].map(width => `shufflenet_v2_x${width}`),
    load: () => import('./shufflenet_v2.js'),
  },
  { names: ['airbench94'], load: () => import('./airbench.js') },
];

export const networkNames: readonly string[] = files.flatMap(file => file.names);

/** A network by name. Throws E_MODEL_NAME with the nearest name. */
export async function findNetwork(name: string): Promise<Network> {
  const file = files.find(f => f.names.includes(name));
  const network = file && (await file.load()).default.find(n => n.name === name);
  if (network) return network;
  throw unknownName(
    { code: 'E_MODEL_NAME', class: 'usage', where: 'model' },
    'the name of a network',
    name,
    networkNames,
  );
}

/** All networks, in the order of the list. */
export async function allNetworks(): Promise<Network[]> {
  const networks: Network[] = [];
  for (const file of files) networks.push(...(await file.load()).default);
  return networks;
}

/** Pictures of up to this many pixels a side take a network's CIFAR form. */
export const SMALL = 64;

/**
 * The form for an input size: `cifar` up to 64 pixels, `imagenet` above, the only one where there is but one.
 * Throws E_FORM when `asked` is not among the network's forms.
 */
export function formFor(network: Network, height: number, width: number, asked?: Form): Form {
  const forms = Object.keys(network.forms) as Form[];
  if (asked !== undefined) {
    if (forms.includes(asked)) return asked;
    throw new DlcourseError({
      code: 'E_FORM',
      class: 'usage',
      where: network.name,
      problem: `expected form ${forms.join(' or ')}, got '${asked}'`,
    });
  }
  const wanted: Form = Math.max(height, width) <= SMALL ? 'cifar' : 'imagenet';
  return forms.includes(wanted) ? wanted : forms[0]!;
}

/** The input [h, w, c] of a form's paper; of the network's first form where the asked one is missing. */
export const publishedInput = (network: Network, asked?: Form): readonly [number, number, number] =>
  ((asked && network.forms[asked]) ?? Object.values(network.forms)[0]!).input;

export interface NetworkOptions {
  /** Default: by the input's size. */
  readonly form?: Form | undefined;
  /** Also build auxiliary classifiers, where the network has some (default: no). */
  readonly auxiliary?: boolean;
}

/**
 * Builds a network for an input shape [h, w, c] and a number of classes.
 * Throws E_MODEL_NAME, E_FORM, or E_SHAPE where a window of the network is larger than what it looks at.
 */
export async function buildNetwork(
  name: string,
  input: readonly [number, number, number],
  classes: number,
  { form, auxiliary = false }: NetworkOptions = {},
): Promise<Model> {
  const network = await findNetwork(name);
  const parameters = { form: formFor(network, input[0], input[1], form), classes, auxiliary };
  try {
    return Model.from(input, network.write(parameters), name);
  } catch (error) {
    throw tooSmall(network, input, parameters, error) ?? error;
  }
}

/** The smallest square, in pixels a side, that a network takes; undefined when not even the published size is. */
export function smallestSide({ forms, write }: Network, parameters: BuildParameters, channels = 3): number | undefined {
  const [published] = forms[parameters.form]!.input;
  for (let side = 1; side <= published; side++) {
    try {
      Model.from([side, side, channels], write(parameters));
      return side;
    } catch (error) {
      if (!isShapeError(error)) throw error;
    }
  }
  return undefined;
}

const isShapeError = (error: unknown): error is DlcourseError =>
  error instanceof DlcourseError && error.code === 'E_SHAPE';

/** A shape error of a layer as one of the network's, with the size that it needs; undefined where size is not what lacks. */
function tooSmall(
  network: Network,
  [h, w, c]: readonly [number, number, number],
  parameters: BuildParameters,
  error: unknown,
): DlcourseError | undefined {
  if (!isShapeError(error)) return undefined;
  const side = smallestSide(network, parameters, c);
  if (side === undefined || Math.min(h, w) >= side) return undefined;
  const { form } = parameters;
  const [other] = Object.keys(network.forms).filter(f => f !== form);
  return new DlcourseError({
    code: 'E_SHAPE',
    class: 'usage',
    where: `${network.name}.${error.where}`,
    problem: error.problem,
    hint: `give pictures of at least ${side}×${side} pixels to the form ${form}${other ? `, or take the form ${other}` : ''}`,
    cause: error,
  });
}
