// Augmentation as data, and the numbers drawn from it for each sample. Keyed by (seed, epoch, sample): the pixels of a
// sample do not depend on the batch, the order or the number of threads. The arithmetic is native (ops/augment.ts).

import { DlcourseError, suggest } from '../errors.js';
import { generator } from '../layers/initializers.js';

/** What may be done to a training image. Every field has a neutral value, with which it costs nothing. */
export interface Augmentation {
  /** Pixels by which a crop may shift over the border (translation; He et al. 2015, section 4.2). */
  readonly crop: number;
  /** Beyond the border lies the image's mirror image, without its outermost pixels, instead of black. */
  readonly reflect: boolean;
  /** Mirror an image with probability 1/2. */
  readonly flip: boolean;
  /** Mirror every image in every second epoch, half of them in the odd ones (Jordan 2024, section 3.6). */
  readonly alternate: boolean;
  /** Smallest share of the area that a random resized crop keeps; 1 for none (Szegedy et al. 2014, section 6). */
  readonly resized: number;
  /** Side of the square that cutout removes, as a share of the image's (DeVries & Taylor 2017). */
  readonly cutout: number;
  /** Probability of erasing a random rectangle (Zhong et al. 2017). */
  readonly erasing: number;
  /** Largest relative change of brightness, contrast and saturation (Howard 2013); hue changes by a quarter of it. */
  readonly jitter: number;
  /** Standard deviation of AlexNet's lighting along the principal components of colour (Krizhevsky et al. 2012, 4.1). */
  readonly lighting: number;
  /** α of mixup's Beta(α, α) (Zhang et al. 2017). */
  readonly mixup: number;
  /** α of cutmix's Beta(α, α) (Yun et al. 2019). */
  readonly cutmix: number;
}

export const noAugmentation: Augmentation = {
  crop: 0,
  reflect: false,
  flip: false,
  alternate: false,
  resized: 1,
  cutout: 0,
  erasing: 0,
  jitter: 0,
  lighting: 0,
  mixup: 0,
  cutmix: 0,
};

/** Value of each name when it is given without one: `--augment crop,flip,cutout=0.25`. */
const usual: Readonly<Record<keyof Augmentation, number | true>> = {
  crop: 4,
  reflect: true,
  flip: true,
  alternate: true,
  resized: 0.08,
  cutout: 0.5,
  erasing: 0.25,
  jitter: 0.4,
  lighting: 0.1,
  mixup: 0.2,
  cutmix: 1,
};

/** Those that are on or off. */
const flags = ['reflect', 'flip', 'alternate'] as const;
type Flag = (typeof flags)[number];
const isFlag = (key: keyof Augmentation): key is Flag => (flags as readonly string[]).includes(key);

const ranges: Readonly<Record<Exclude<keyof Augmentation, Flag>, readonly [number, number]>> = {
  crop: [0, 512],
  resized: [0.01, 1],
  cutout: [0, 1],
  erasing: [0, 1],
  jitter: [0, 1],
  lighting: [0, 1],
  mixup: [0, 100],
  cutmix: [0, 100],
};

/**
 * Reads `none` or a list such as `crop=4,flip,cutout=0.25`.
 * Throws E_AUGMENT for an unknown name (with the nearest) or a value out of range.
 */
export function parseAugmentation(text: string): Augmentation {
  const out: Record<string, number | boolean> = { ...noAugmentation };
  if (text.trim() === '' || text.trim() === 'none') return noAugmentation;
  for (const part of text.split(',')) {
    const [name = '', value] = part.trim().split('=');
    if (!(name in usual)) {
      throw augmentError(
        'augment',
        `names of augmentations`,
        `'${name}'`,
        suggest(name, [...Object.keys(usual), 'none']),
      );
    }
    const key = name as keyof Augmentation;
    if (isFlag(key)) {
      if (value !== undefined) throw augmentError('augment', `${key} without a value`, `'${part.trim()}'`);
      out[key] = true;
      continue;
    }
    const number = value === undefined ? (usual[key] as number) : Number(value);
    const [low, high] = ranges[key];
    if (!(number >= low && number <= high) || (key === 'crop' && !Number.isInteger(number))) {
      throw augmentError('augment', `${key} from ${low} to ${high}`, `'${value}'`);
    }
    out[key] = number;
  }
  return out as unknown as Augmentation;
}

/** The inverse of `parseAugmentation`. */
export function showAugmentation(a: Augmentation): string {
  const parts = (Object.keys(usual) as (keyof Augmentation)[])
    .filter(key => a[key] !== noAugmentation[key])
    .map(key => (isFlag(key) ? key : `${key}=${a[key]}`));
  return parts.join(',') || 'none';
}

const augmentError = (where: string, expected: string, got: string, hint?: string): DlcourseError =>
  new DlcourseError({
    code: 'E_AUGMENT',
    class: 'usage',
    where,
    problem: `expected ${expected}, got ${got}`,
    ...(hint ? { hint } : {}),
  });

/** What was drawn for one sample. Windows are x0, y0, x1, y1 in pixels. */
export interface Draw {
  /** Window of the source that becomes the image; may lie partly outside. */
  box: [number, number, number, number];
  flip: boolean;
  /** Rectangle of the result that is erased; empty for none. */
  erase: [number, number, number, number];
  /** Brightness, contrast, saturation factors and hue shift in turns. */
  color: [number, number, number, number];
  /** Added to each channel of [0, 1]. */
  lighting: number[];
  /** Weight of the own pixels in mixup. */
  blend: number;
  /** Weight of the own label. */
  mix: number;
  /** Rectangle of the result that comes from the partner; empty for none. */
  cut: [number, number, number, number];
}

export interface Principal {
  readonly values: readonly number[];
  /** One vector a component. */
  readonly vectors: readonly (readonly number[])[];
}

/** ImageNet's principal components of RGB in [0, 1], as used since AlexNet. */
export const imagenetPrincipal: Principal = {
  values: [0.2175, 0.0188, 0.0045],
  vectors: [
    [-0.5675, -0.5808, -0.5836],
    [0.7192, -0.0045, -0.6948],
    [0.4009, -0.814, 0.4203],
  ],
};

/** Draws the augmentation of one sample in one epoch. */
export function drawAugmentation(
  a: Augmentation,
  seed: number,
  epoch: number,
  sample: number,
  [height, width, channels]: readonly [number, number, number],
): Draw {
  const random = generator(seed, `augment/${epoch}/${sample}`);
  const between = (low: number, high: number): number => low + (high - low) * random();
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const draw: Draw = {
    box: [0, 0, width, height],
    flip: false,
    erase: [0, 0, 0, 0],
    color: [1, 1, 1, 0],
    lighting: Array.from({ length: channels }, () => 0),
    blend: 1,
    mix: 1,
    cut: [0, 0, 0, 0],
  };
  if (a.resized < 1) draw.box = resizedCrop(a.resized, height, width, between);
  if (a.crop > 0) {
    const dx = Math.floor(between(-a.crop, a.crop + 1));
    const dy = Math.floor(between(-a.crop, a.crop + 1));
    draw.box = [draw.box[0] + dx, draw.box[1] + dy, draw.box[2] + dx, draw.box[3] + dy];
  }
  if (a.flip) draw.flip = random() < 0.5;
  if (a.alternate) draw.flip = generator(seed, `alternate/${sample}`)() < 0.5 === (epoch % 2 === 0);
  if (a.cutout > 0) {
    const side = Math.round(a.cutout * Math.min(height, width));
    const x = Math.floor(between(0, width)) - Math.floor(side / 2);
    const y = Math.floor(between(0, height)) - Math.floor(side / 2);
    draw.erase = [Math.max(0, x), Math.max(0, y), Math.min(width, x + side), Math.min(height, y + side)];
  }
  if (a.erasing > 0 && random() < a.erasing) draw.erase = rectangle(between(0.02, 1 / 3), 0.3, height, width, between);
  if (a.jitter > 0) {
    const factor = (): number => between(1 - a.jitter, 1 + a.jitter);
    draw.color = [factor(), factor(), factor(), between(-a.jitter / 4, a.jitter / 4)];
  }
  if (a.lighting > 0 && channels === 3) {
    const weights = imagenetPrincipal.values.map(value => value * a.lighting * normal());
    draw.lighting = [0, 1, 2].map(c => weights.reduce((sum, w, i) => sum + w * imagenetPrincipal.vectors[i]![c]!, 0));
  }
  // With both, each sample takes one of the two at random.
  const cutmix = a.cutmix > 0 && (a.mixup === 0 || random() < 0.5);
  if (cutmix) {
    const share = Math.sqrt(1 - beta(a.cutmix, random));
    draw.cut = around(between(0, width), between(0, height), share * width, share * height, height, width);
    draw.mix = 1 - area(draw.cut) / (height * width);
  } else if (a.mixup > 0) draw.mix = draw.blend = beta(a.mixup, random);
  return draw;
}

const area = ([x0, y0, x1, y1]: readonly number[]): number => (x1! - x0!) * (y1! - y0!);

function around(x: number, y: number, w: number, h: number, height: number, width: number): Draw['cut'] {
  const clamp = (v: number, high: number): number => Math.min(high, Math.max(0, Math.round(v)));
  return [clamp(x - w / 2, width), clamp(y - h / 2, height), clamp(x + w / 2, width), clamp(y + h / 2, height)];
}

/** A window of a random share of the area and a random aspect ratio from 3/4 to 4/3. */
function resizedCrop(
  smallest: number,
  height: number,
  width: number,
  between: (a: number, b: number) => number,
): Draw['box'] {
  for (let attempt = 0; attempt < 10; attempt++) {
    const target = between(smallest, 1) * height * width;
    const ratio = Math.exp(between(Math.log(3 / 4), Math.log(4 / 3)));
    const w = Math.round(Math.sqrt(target * ratio));
    const h = Math.round(Math.sqrt(target / ratio));
    if (w >= 1 && h >= 1 && w <= width && h <= height) {
      const x = Math.floor(between(0, width - w + 1));
      const y = Math.floor(between(0, height - h + 1));
      return [x, y, x + w, y + h];
    }
  }
  return [0, 0, width, height];
}

/** A rectangle inside the image of the given share of its area and an aspect ratio from `flattest` to 1/`flattest`. */
function rectangle(
  share: number,
  flattest: number,
  height: number,
  width: number,
  between: (a: number, b: number) => number,
): Draw['erase'] {
  const ratio = Math.exp(between(Math.log(flattest), Math.log(1 / flattest)));
  const w = Math.min(width, Math.max(1, Math.round(Math.sqrt(share * height * width * ratio))));
  const h = Math.min(height, Math.max(1, Math.round(Math.sqrt((share * height * width) / ratio))));
  const x = Math.floor(between(0, width - w + 1));
  const y = Math.floor(between(0, height - h + 1));
  return [x, y, x + w, y + h];
}

/** Beta(α, α) by Jöhnk's method (1964) for α ≤ 1, else by two gamma variates (Marsaglia & Tsang 2000). */
function beta(alpha: number, random: () => number): number {
  if (alpha <= 1) {
    for (;;) {
      const x = random() ** (1 / alpha);
      const y = random() ** (1 / alpha);
      // Both powers underflow for a tiny α: then the smaller exponent decides.
      if (x + y > 0 && x + y <= 1) return x / (x + y);
      if (x + y === 0) return random() < 0.5 ? 0 : 1;
    }
  }
  const gamma = (): number => {
    const d = alpha - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const z = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
      const v = (1 + c * z) ** 3;
      if (v > 0 && Math.log(1 - random()) < z ** 2 / 2 + d - d * v + d * Math.log(v)) return d * v;
    }
  };
  const x = gamma();
  return x / (x + gamma());
}
