// How other programs name and store the tensors of our networks. Plain data: what is done with it is in src/models.

/** Whose names: a library, the repository of a well-known collection, or our own. */
export const layoutNames = [
  'torchvision',
  'timm',
  'cadene',
  'kuangliu',
  'akamaster',
  'weiaicunzai',
  'megvii',
  'dlcourse',
] as const;
export type LayoutName = (typeof layoutNames)[number];

/**
 * One substitution in the path of a layer. All rules of a layout are applied in order, each to what the ones before
 * made of it; one that does not match changes nothing.
 */
export type Rule = readonly [pattern: RegExp, replacement: string | ((match: string, ...groups: string[]) => string)];

/** How pictures were prepared for published weights. `resize` is the shorter side before the crop of the input's size. */
export interface PublishedPreprocessing {
  readonly resize: number;
  readonly crop: number;
  readonly interpolation: 'linear' | 'cubic';
  /** Of channels in [0, 1], red first. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** The layout of some networks in one form. */
export interface Layout {
  readonly layout: LayoutName;
  /** Names of the zoo. */
  readonly networks: readonly string[];
  readonly form: 'cifar' | 'imagenet';
  /** From the path of one of our layers to that of the file, without `weight`, `bias`, `running_mean`, `running_var`. */
  readonly rules: readonly Rule[];
  /** Older names in published files, brought to the present ones: substitutions in whole keys of the file. */
  readonly aliases?: readonly Rule[];
  /** Our linear layers, by path, that the file stores as convolutions of this kernel: [out, in, k, k]. */
  readonly convolutions?: readonly (readonly [path: RegExp, kernel: number])[];
  /** In published files, the first row of the classifier is TensorFlow's background class, which we leave out. */
  readonly background?: boolean;
  readonly preprocessing?: PublishedPreprocessing;
}

/** The name in the file of one of our tensors, such as `stage1.0.sum.conv1.weight`. */
export function foreignName({ rules }: Layout, name: string): string {
  const dot = name.lastIndexOf('.');
  const path = rules.reduce((p, [pattern, to]) => p.replace(pattern, to as string), name.slice(0, dot));
  return path + name.slice(dot);
}

/** The usual ways of preparing pictures, by the name that --preprocess takes. */
export const preparations = {
  /** torchvision's: mean and deviation of ImageNet. */
  torch: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  /** TensorFlow's and timm's "inception": to [−1, 1]. */
  tf: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
} as const;

/** The preprocessing of ImageNet weights: 224 pixels, bilinear, torchvision's mean and deviation unless said otherwise. */
export const imagenetPictures = (
  differing: Partial<PublishedPreprocessing> & Pick<PublishedPreprocessing, 'resize'>,
): PublishedPreprocessing => ({ crop: 224, interpolation: 'linear', ...preparations.torch, ...differing });

const whole = { resize: 32, crop: 32, interpolation: 'linear' } as const;

/** Pictures of 32 pixels as they are, by collection. */
export const cifarPictures = {
  kuangliu: { ...whole, mean: [0.4914, 0.4822, 0.4465], std: [0.2023, 0.1994, 0.201] },
  akamaster: { ...whole, ...preparations.torch },
  weiaicunzai: { ...whole, mean: [0.5071, 0.4865, 0.4409], std: [0.2673, 0.2564, 0.2762] },
} as const satisfies Partial<Record<LayoutName, PublishedPreprocessing>>;
