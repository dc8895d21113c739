// Recipes as plain data: one good default for all networks, and what each paper trained its own with.

import type { Form } from '../zoo/zoo.js';
import { defaultRun } from './defaults.js';
import type { OptimizerName } from './optimizer.js';
import type { ScheduleName } from './schedule.js';

/** A published training. Rates and shares as published; what is missing is zero, or off. */
export interface PublishedRecipe {
  /** Names of networks with commas between them; `*` stands for any part of one. The first row that fits counts. */
  readonly networks: string;
  /** The form that it is for; absent for both. */
  readonly form?: Form;
  /** Where the values come from. */
  readonly source: string;
  /** Length of the published run, in epochs or in thousands of steps. */
  readonly length: number;
  readonly batchSize: number;
  readonly optimizer: OptimizerName;
  readonly lr: number;
  readonly momentum: number;
  readonly nesterov?: boolean;
  /** RMSprop's. */
  readonly alpha?: number;
  readonly epsilon?: number;
  readonly weightDecay: number;
  readonly schedule: ScheduleName;
  /** When the rate falls, and how long it rises first: in the unit of `length`. */
  readonly milestones?: readonly number[];
  readonly warmup?: number;
  readonly gamma?: number;
  readonly power?: number;
  /** Largest shift of a crop, as a share of the side; the rest of the augmentation as on the command line. */
  readonly shift?: number;
  readonly augment: string;
  readonly labelSmoothing?: number;
  readonly ema?: number;
  readonly clip?: number;
  /** The triangular schedule's, and the share of the run in which its rate rises. */
  readonly rise?: number;
  readonly first?: number;
  readonly last?: number;
  readonly biasLr?: number;
  readonly lookahead?: number;
  readonly whiten?: boolean;
  readonly testCrops?: number;
  /** From one evaluation to the next, in the unit of `length`. */
  readonly testEvery?: number;
  /** Before the classifier, where the network as it is built has none. */
  readonly dropout?: number;
  readonly initialisation?: string;
  readonly stochasticDepth?: number;
}

/** SGD as in He et al. 2015. */
const sgd = { optimizer: 'sgd', momentum: 0.9, weightDecay: 1e-4 } as const;
/** Padding by 4 of 32 pixels, and mirrors: He et al. 2015, section 4.2. */
const cifar = { shift: 4 / 32, augment: 'flip' } as const;
/** Crops of 8 to 100 % of the area and aspect ratios from 3/4 to 4/3: Szegedy et al. 2014, section 6. */
const inceptionCrops = 'resized=0.08,flip';
/** The same with colour and lighting, as facebook/fb.resnet.torch trains. */
const torchCrops = 'resized=0.08,flip,jitter=0.4,lighting=0.1';
/** RMSprop as Inception-v3 has it. Its ε is within the root in TensorFlow, behind it here. */
const rmsprop = { optimizer: 'rmsprop', alpha: 0.9, epsilon: 1, momentum: 0.9 } as const;

/** The network that the fast recipe is for. */
export const fastNetwork = 'airbench94';

/**
 * Jordan 2024, 94% on CIFAR-10 in 3.29 seconds on a single GPU, listing 4. Its rate of 11.5 a thousand steps of 1024
 * pictures and its decay of 0.0153 are stated apart from momentum: SGD's are the 1 + 1/(1 − 0.85)th part. Here steps are
 * of 1000 pictures, fifty an epoch of CIFAR-10, and all views of a test picture count the same.
 */
export const fastRecipe: PublishedRecipe = {
  networks: fastNetwork,
  source: 'Jordan 2024, section 3 and listing 4',
  length: 12,
  batchSize: 1000,
  optimizer: 'sgd',
  lr: (11.5 * (1000 / 1024)) / (1 + 1 / 0.15),
  momentum: 0.85,
  nesterov: true,
  weightDecay: 0.0153 / 11.5,
  biasLr: 64,
  lookahead: 0.95 ** 5,
  schedule: 'triangular',
  rise: 0.23,
  first: 0.2,
  last: 0.07,
  shift: 2 / 32,
  augment: 'reflect,alternate',
  labelSmoothing: 0.2,
  whiten: true,
  testCrops: 6,
  testEvery: 12,
};

/** One row for each published training. Plateaus are told as when they came, or as equal parts of the run. */
export const publishedRecipes: readonly PublishedRecipe[] = [
  {
    networks: 'lenet*',
    source:
      'LeCun et al. 1998, section III-B: one picture a step; 0.0005 over the damping of 0.02, halved in four falls',
    length: 20,
    batchSize: 1,
    optimizer: 'sgd',
    lr: 0.025,
    momentum: 0,
    weightDecay: 0,
    schedule: 'multi_step',
    milestones: [2, 5, 8, 12],
    gamma: 0.5,
    augment: 'none',
  },
  {
    networks: 'alexnet*',
    source: 'Krizhevsky et al. 2012, sections 4 and 5; shifts of ±16 of 224 pixels; three plateaus',
    length: 90,
    batchSize: 128,
    optimizer: 'sgd',
    lr: 0.01,
    momentum: 0.9,
    weightDecay: 5e-4,
    schedule: 'multi_step',
    milestones: [22.5, 45, 67.5],
    shift: 16 / 224,
    augment: 'flip,lighting=0.1',
    initialisation: 'normal_0.01',
  },
  {
    networks: 'vgg*',
    source:
      "Simonyan & Zisserman 2014, section 3.1; three plateaus; Glorot's initialisation, which they say does as well",
    length: 74,
    batchSize: 256,
    optimizer: 'sgd',
    lr: 0.01,
    momentum: 0.9,
    weightDecay: 5e-4,
    schedule: 'multi_step',
    milestones: [18.5, 37, 55.5],
    shift: 16 / 224,
    augment: 'flip,lighting=0.1',
    initialisation: 'xavier_uniform',
  },
  {
    networks: 'googlenet*',
    source:
      'Szegedy et al. 2014, section 6; rate, decay and initialisation of BVLC/caffe, which trained it in 60 epochs',
    length: 60,
    batchSize: 32,
    optimizer: 'sgd',
    lr: 0.01,
    momentum: 0.9,
    weightDecay: 2e-4,
    schedule: 'polynomial',
    power: 0.5,
    augment: inceptionCrops,
    initialisation: 'xavier_uniform',
  },
  {
    networks: 'inception_v3*',
    source: 'Szegedy et al. 2015, section 8; momentum, decay and average of tensorflow/models inception',
    length: 100,
    batchSize: 32,
    ...rmsprop,
    lr: 0.045,
    weightDecay: 4e-5,
    schedule: 'exponential',
    gamma: 0.94 ** (100 / 2),
    clip: 2,
    ema: 0.9999,
    labelSmoothing: 0.1,
    augment: inceptionCrops,
  },
  {
    networks: 'resnet110, resnet1202',
    source: 'He et al. 2015, section 4.2: a warm-up of 400 steps',
    length: 64,
    batchSize: 128,
    ...sgd,
    lr: 0.1,
    schedule: 'multi_step',
    milestones: [32, 48],
    warmup: 0.4,
    ...cifar,
    initialisation: 'kaiming_normal',
  },
  {
    networks: 'resnet*',
    form: 'cifar',
    source: 'He et al. 2015, section 4.2: 64,000 steps, falls at 32,000 and 48,000',
    length: 64,
    batchSize: 128,
    ...sgd,
    lr: 0.1,
    schedule: 'multi_step',
    milestones: [32, 48],
    ...cifar,
    initialisation: 'kaiming_normal',
  },
  {
    networks: 'resnet*',
    form: 'imagenet',
    source: 'He et al. 2015, section 3.4; areas of scales from 256 to 480; the falls of facebook/fb.resnet.torch',
    length: 90,
    batchSize: 256,
    ...sgd,
    lr: 0.1,
    schedule: 'multi_step',
    milestones: [30, 60],
    augment: 'resized=0.22,flip,lighting=0.1',
    initialisation: 'kaiming_normal',
  },
  {
    networks: 'preact_resnet*',
    source: 'He et al. 2016, appendix: as ResNet, with a warm-up of 400 steps for all',
    length: 64,
    batchSize: 128,
    ...sgd,
    lr: 0.1,
    schedule: 'multi_step',
    milestones: [32, 48],
    warmup: 0.4,
    ...cifar,
    initialisation: 'kaiming_normal',
  },
  {
    networks: 'wide_resnet*',
    form: 'cifar',
    source: 'Zagoruyko & Komodakis 2016, section 3',
    length: 200,
    batchSize: 128,
    ...sgd,
    nesterov: true,
    weightDecay: 5e-4,
    lr: 0.1,
    schedule: 'multi_step',
    milestones: [60, 120, 160],
    gamma: 0.2,
    ...cifar,
    initialisation: 'kaiming_normal',
  },
  {
    networks: 'wide_resnet*',
    form: 'imagenet',
    source: 'Zagoruyko & Komodakis 2016, section 3.4: as facebook/fb.resnet.torch',
    length: 90,
    batchSize: 256,
    ...sgd,
    nesterov: true,
    lr: 0.1,
    schedule: 'multi_step',
    milestones: [30, 60],
    augment: torchCrops,
    initialisation: 'kaiming_normal',
  },
  {
    networks: 'squeezenet*',
    source: 'Iandola et al. 2016, section 5: the solver of forresti/SqueezeNet, 170,000 steps',
    length: 170,
    batchSize: 512,
    optimizer: 'sgd',
    lr: 0.04,
    momentum: 0.9,
    weightDecay: 2e-4,
    schedule: 'linear',
    shift: 14 / 227,
    augment: 'flip',
  },
  {
    networks: 'densenet*',
    form: 'cifar',
    source: 'Huang et al. 2016, section 4.2',
    length: 300,
    batchSize: 64,
    ...sgd,
    nesterov: true,
    lr: 0.1,
    schedule: 'multi_step',
    milestones: [150, 225],
    ...cifar,
    initialisation: 'kaiming_normal',
  },
  {
    networks: 'densenet*',
    form: 'imagenet',
    source: 'Huang et al. 2016, section 4.2; augmentation of facebook/fb.resnet.torch',
    length: 90,
    batchSize: 256,
    ...sgd,
    nesterov: true,
    lr: 0.1,
    schedule: 'multi_step',
    milestones: [30, 60],
    augment: torchCrops,
    initialisation: 'kaiming_normal',
  },
  {
    networks: 'resnext*',
    form: 'cifar',
    source: 'Xie et al. 2016, section 5.3',
    length: 300,
    batchSize: 256,
    ...sgd,
    nesterov: true,
    weightDecay: 5e-4,
    lr: 0.1,
    schedule: 'multi_step',
    milestones: [150, 225],
    ...cifar,
    initialisation: 'kaiming_normal',
  },
  {
    networks: 'resnext*',
    form: 'imagenet',
    source: 'Xie et al. 2016, section 4: three falls as in facebook/fb.resnet.torch',
    length: 120,
    batchSize: 256,
    ...sgd,
    nesterov: true,
    lr: 0.1,
    schedule: 'multi_step',
    milestones: [30, 60, 90],
    augment: torchCrops,
    initialisation: 'kaiming_normal',
  },
  {
    networks: 'xception*',
    source: 'Chollet 2016, section 4.3; batch size of Inception-v3, the paper names none',
    length: 100,
    batchSize: 32,
    optimizer: 'sgd',
    lr: 0.045,
    momentum: 0.9,
    weightDecay: 1e-5,
    schedule: 'exponential',
    gamma: 0.94 ** (100 / 2),
    dropout: 0.5,
    ema: 0.9999,
    augment: inceptionCrops,
  },
  {
    networks: 'dpn*',
    source:
      'Chen et al. 2017, section 4: a rate of √0.1 for 40 × 32 pictures; crops of cypw/DPNs; decay and falls of ResNeXt',
    length: 120,
    batchSize: 1280,
    ...sgd,
    nesterov: true,
    lr: Math.sqrt(0.1),
    schedule: 'multi_step',
    milestones: [30, 60, 90],
    augment: 'resized=0.08,flip,jitter=0.4',
    initialisation: 'kaiming_normal',
  },
  {
    networks: 'nasnet*',
    form: 'cifar',
    source: 'Zoph et al. 2017, appendix A; decay, clipping and cutout as tensorflow/models has them',
    length: 600,
    batchSize: 32,
    optimizer: 'sgd',
    lr: 0.025,
    momentum: 0.9,
    nesterov: true,
    weightDecay: 5e-4,
    schedule: 'cosine',
    clip: 5,
    ...cifar,
    augment: 'flip,cutout=0.5',
  },
  {
    networks: 'nasnet*',
    form: 'imagenet',
    source: 'Zoph et al. 2017, appendix A: 0.04 for each of 100 workers of 32 pictures, × 0.97 every 2.4 epochs',
    length: 250,
    batchSize: 32,
    ...rmsprop,
    lr: 0.04,
    weightDecay: 4e-5,
    schedule: 'exponential',
    gamma: 0.97 ** (250 / 2.4),
    clip: 10,
    ema: 0.9999,
    labelSmoothing: 0.1,
    augment: inceptionCrops,
  },
  {
    networks: 'se*',
    form: 'cifar',
    source: 'Hu et al. 2017, section 5: trained as the network without gates: He et al. 2015, section 4.2',
    length: 64,
    batchSize: 128,
    ...sgd,
    lr: 0.1,
    schedule: 'multi_step',
    milestones: [32, 48],
    ...cifar,
    initialisation: 'kaiming_normal',
  },
  {
    networks: 'se*',
    form: 'imagenet',
    source: 'Hu et al. 2017, section 4',
    length: 100,
    batchSize: 1024,
    ...sgd,
    lr: 0.6,
    schedule: 'multi_step',
    milestones: [30, 60, 90],
    augment: inceptionCrops,
    initialisation: 'kaiming_normal',
  },
  {
    networks: 'mobilenet_v1*',
    source:
      'Howard et al. 2017, section 3.2: as Inception-v3, with less augmentation; values of tensorflow/models slim',
    length: 100,
    batchSize: 64,
    ...rmsprop,
    lr: 0.045,
    weightDecay: 4e-5,
    schedule: 'exponential',
    gamma: 0.94 ** (100 / 2.5),
    augment: 'resized=0.25,flip',
  },
  {
    networks: 'mobilenet_v2*',
    source: 'Sandler et al. 2018, section 6.1: × 0.98 an epoch',
    length: 200,
    batchSize: 96,
    ...rmsprop,
    lr: 0.045,
    weightDecay: 4e-5,
    schedule: 'exponential',
    gamma: 0.98 ** 200,
    ema: 0.9999,
    augment: 'resized=0.25,flip',
  },
  {
    networks: 'shufflenet*',
    source: 'Zhang et al. 2017, section 4, and Ma et al. 2018, appendix: 300,000 steps, linearly to 0',
    length: 300,
    batchSize: 1024,
    optimizer: 'sgd',
    lr: 0.5,
    momentum: 0.9,
    weightDecay: 4e-5,
    schedule: 'linear',
    augment: 'resized=0.25,flip',
  },
  fastRecipe,
];

/** Huang et al. 2016, Deep networks with stochastic depth, section 4: for any residual network. */
export const stochasticDepthRecipe: PublishedRecipe = {
  networks: '*',
  source: 'Huang et al. 2016, section 4: survival falls linearly to a half',
  length: 500,
  batchSize: 128,
  ...sgd,
  nesterov: true,
  lr: 0.1,
  schedule: 'multi_step',
  milestones: [250, 375],
  ...cifar,
  initialisation: 'kaiming_normal',
  stochasticDepth: 0.5,
};

export const recipeNames = ['quick', 'fast', 'paper', 'stochastic_depth'] as const;
export type RecipeName = (typeof recipeNames)[number];

/** What a recipe is fitted to. */
export interface Occasion {
  readonly network: string;
  readonly form: Form;
  /** Sides of the input. */
  readonly input: readonly [height: number, width: number];
  readonly epochs: number;
  readonly trainImages: number;
  /** Where it is given, it goes before the recipe's. */
  readonly batchSize?: number | undefined;
  /** It begins with trained weights. */
  readonly initialised: boolean;
}

/** Values of settings, written as on the command line. */
export type WrittenRecipe = Readonly<Record<string, string>>;

/** The published recipe of a network, if there is one. */
export function publishedRecipe(network: string, form: Form): PublishedRecipe | undefined {
  return publishedRecipes.find(row => {
    const pattern = new RegExp(`^(${row.networks.replace(/\*/g, '.*').replaceAll(', ', '|')})$`);
    return pattern.test(network) && (row.form ?? form) === form;
  });
}

/**
 * One good default for every network: that of the default run. Clipping is for networks without norms: LeNet learns
 * at the rate of the others then. Few pictures are learned in small batches: ShuffleNet v2 ×0.5 reaches 94 % in 12
 * epochs of 250 steps, 67 % in 12 of 63. The rate goes with the square root of the batch, whoever chose that, which
 * keeps the variance of a step's change (Krizhevsky 2014, One weird trick, section 5): AlexNet, which has no norm
 * either, does not begin to learn at 0.1 in batches of 16, and ResNet-20 loses 0.4 % to it at most. Trained weights
 * take a tenth of the rate, for they would be lost.
 */
export function quickRecipe({
  initialised,
  trainImages,
  batchSize = halved(Number(defaultRun.batchSize), trainImages, 200, 16),
}: Pick<Occasion, 'batchSize' | 'initialised' | 'trainImages'>): WrittenRecipe {
  const { optimizer, lr, weightDecay, momentum, clip, schedule, augment } = defaultRun;
  const rate = Number(lr) * Math.sqrt(batchSize / Number(defaultRun.batchSize)) * (initialised ? 0.1 : 1);
  return { batchSize: String(batchSize), optimizer, lr: number(rate), weightDecay, momentum, clip, schedule, augment };
}

/** The batch size, halved until an epoch has so many steps, but not below the smallest. */
function halved(batchSize: number, images: number, steps: number, smallest: number): number {
  let size = batchSize;
  while (size >= 2 * smallest && size % 2 === 0 && images / size < steps) size /= 2;
  return size;
}

/**
 * A published recipe fitted to the data and the epochs at hand: milestones and warm-up come at the same share of the
 * run; the batch is halved until an epoch has 50 steps, but not below 8; the rate is in proportion to the batch
 * (Goyal et al. 2017, section 2.1), whoever chose that; shifts are the same share of the side.
 */
export function fittedRecipe(row: PublishedRecipe, at: Occasion): WrittenRecipe {
  const batchSize = at.batchSize ?? halved(row.batchSize, at.trainImages, 50, 8);
  const epochs = (published: number): string => number((published / row.length) * at.epochs);
  const shift = row.shift === undefined ? 0 : Math.max(1, Math.round(row.shift * Math.min(...at.input)));
  const optional = {
    nesterov: row.optimizer === 'sgd' ? (row.nesterov ?? false) : undefined,
    alpha: row.alpha,
    epsilon: row.epsilon,
    milestones: row.milestones?.map(epochs).join(','),
    warmup: row.warmup === undefined ? undefined : epochs(row.warmup),
    gamma: row.gamma === undefined ? undefined : number(row.gamma),
    power: row.power,
    labelSmoothing: row.labelSmoothing,
    ema: row.ema,
    clip: row.clip,
    rise: row.rise,
    first: row.first,
    last: row.last,
    biasLr: row.biasLr,
    lookahead: row.lookahead,
    whiten: row.whiten,
    testCrops: row.testCrops,
    testEvery:
      row.testEvery === undefined ? undefined : Math.max(1, Math.round((row.testEvery / row.length) * at.epochs)),
    dropout: row.dropout,
    initialisation: row.initialisation,
    stochasticDepth: row.stochasticDepth,
  };
  return {
    batchSize: String(batchSize),
    optimizer: row.optimizer,
    lr: number((row.lr * batchSize) / row.batchSize),
    momentum: String(row.momentum),
    weightDecay: String(row.weightDecay),
    schedule: row.schedule,
    augment: shift > 0 ? `crop=${shift}${row.augment === 'none' ? '' : `,${row.augment}`}` : row.augment,
    ...Object.fromEntries(
      Object.entries(optional).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]])),
    ),
  };
}

/** Four digits are enough for a rate. */
const number = (value: number): string => String(Number(value.toPrecision(4)));
