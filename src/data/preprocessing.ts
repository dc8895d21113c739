// How an image of any size becomes the network's input: a rule stated as plain data, stored in every checkpoint.

import { DlcourseError } from '../errors.js';

/** Interpolation kernels, as in Pillow: bilinear, bicubic (a = −1/2), Lanczos, all antialiased when shrinking. */
export const interpolations = ['nearest', 'linear', 'cubic', 'lanczos3'] as const;
export type Interpolation = (typeof interpolations)[number];

/**
 * The way from a decoded picture to H × W × C bytes:
 *
 * 1. EXIF orientation is applied; an embedded colour profile (and CMYK) is converted to sRGB, 16 bits to the upper 8,
 *    palettes to their colours; alpha is composited on white.
 * 2. `channels` 1 takes the luminance, 3 gives grey pictures three equal channels.
 * 3. `fit: 'crop'` scales both sides by the same factor until the picture just covers
 *    (height / cropFraction) × (width / cropFraction), rounded to pixels, then takes the height × width in the centre:
 *    torchvision's Resize and CenterCrop. `'stretch'` scales each side to its target. A picture that has the size that
 *    it would be scaled to is not resampled.
 */
export interface Geometry {
  height: number;
  width: number;
  channels: 1 | 3;
  fit: 'crop' | 'stretch';
  /** In (0, 1]: 0.875 is the 224 of 256 that is usual for ImageNet. Has no meaning for `'stretch'`. */
  cropFraction: number;
  interpolation: Interpolation;
}

/** The geometry, then `(byte / 255 − mean) / std` for each channel. */
export interface Preprocessing extends Geometry {
  mean: number[];
  std: number[];
}

/** Where the target lies in a picture: the scaled size, and the corner of the crop in it. */
export interface Placement {
  scaledWidth: number;
  scaledHeight: number;
  left: number;
  top: number;
}

/** Applies the rule of `Geometry` to a picture of the given size (after orientation). */
export function placeImage(width: number, height: number, to: Geometry): Placement {
  if (to.fit === 'stretch') return { scaledWidth: to.width, scaledHeight: to.height, left: 0, top: 0 };
  const wide = Math.round(to.width / to.cropFraction);
  const high = Math.round(to.height / to.cropFraction);
  // The side that just covers its target decides; the other is cut to whole pixels, as in torchvision.
  const byWidth = wide * height >= high * width;
  const scaledWidth = byWidth ? wide : Math.trunc((high * width) / height);
  const scaledHeight = byWidth ? Math.trunc((wide * height) / width) : high;
  return {
    scaledWidth,
    scaledHeight,
    left: roundHalfEven((scaledWidth - to.width) / 2),
    top: roundHalfEven((scaledHeight - to.height) / 2),
  };
}

/** Python's round(): halves go to the even neighbour. */
export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/** What a user may fix about the geometry; the data decide the rest. */
export interface GeometryChoice {
  /** `[height, width]` in pixels, 1–4096 each. */
  input?: readonly [number, number];
  channels?: 1 | 3;
  fit?: 'crop' | 'stretch';
  cropFraction?: number;
  interpolation?: Interpolation;
}

/** What the headers of all pictures say together. */
export interface ImageSurvey {
  /** `height × width` (after orientation) → number of images. */
  sizes: ReadonlyMap<string, { height: number; width: number; count: number }>;
  allGrey: boolean;
}

/**
 * Chooses the input size: the one asked for, else the one that all images share, else an error that proposes one.
 * Channels follow the data: 1 when every image is grey. The crop fraction is 0.875 when pictures are scaled to more
 * than 64 pixels, else 1: a small picture has no border to spare.
 *
 * @throws DlcourseError `E_INPUT_SIZE` when sizes differ and none was asked for, or an option is out of range.
 */
export function chooseGeometry(where: string, survey: ImageSurvey, choice: GeometryChoice): Geometry {
  checkChoice(choice);
  const [shared] = survey.sizes.size === 1 ? survey.sizes.values() : [];
  if (!choice.input && !shared) throw sizesDiffer(where, survey);
  const [height, width] = choice.input ?? [shared!.height, shared!.width];
  if (height > maxInput || width > maxInput) throw outOfRange('input', `sides of 1–${maxInput}`, `${height}x${width}`);
  const sameSize = shared !== undefined && shared.height === height && shared.width === width;
  return {
    height,
    width,
    channels: choice.channels ?? (survey.allGrey ? 1 : 3),
    fit: choice.fit ?? 'crop',
    cropFraction: choice.cropFraction ?? (sameSize || Math.min(height, width) <= 64 ? 1 : 0.875),
    interpolation: choice.interpolation ?? 'linear',
  };
}

const maxInput = 4096;

function checkChoice({ input, channels, fit, cropFraction, interpolation }: GeometryChoice): void {
  if (input && (input.length !== 2 || !input.every(n => Number.isInteger(n) && n >= 1))) {
    throw outOfRange('input', 'height x width in whole pixels', input.join('x'));
  }
  if (channels !== undefined && channels !== 1 && channels !== 3) throw outOfRange('channels', '1 or 3', channels);
  if (fit !== undefined && fit !== 'crop' && fit !== 'stretch') throw outOfRange('fit', 'crop or stretch', fit);
  if (cropFraction !== undefined && !(cropFraction > 0 && cropFraction <= 1)) {
    throw outOfRange('cropFraction', 'a number in (0, 1]', cropFraction);
  }
  if (interpolation !== undefined && !interpolations.includes(interpolation)) {
    throw outOfRange('interpolation', interpolations.join(', '), interpolation);
  }
}

function outOfRange(option: string, expected: string, got: unknown): DlcourseError {
  return new DlcourseError({
    code: 'E_INPUT_SIZE',
    class: 'usage',
    where: option,
    problem: `expected ${expected}, got ${got}`,
  });
}

function sizesDiffer(where: string, survey: ImageSurvey): DlcourseError {
  const sizes = [...survey.sizes.values()].sort((a, b) => b.count - a.count);
  const shown = sizes.slice(0, 3).map(s => `${s.count} × ${s.height}x${s.width}`);
  const more = sizes.length > 3 ? ` and ${sizes.length - 3} other sizes` : '';
  const side = proposeSide(sizes);
  return new DlcourseError({
    code: 'E_INPUT_SIZE',
    class: 'data',
    where,
    problem: `expected images of one size, got ${shown.join(', ')}${more}`,
    hint: `choose the network's input, e.g. --input ${side}x${side}`,
  });
}

/** 224 when half of the images have a shorter side of at least that, else the power of two below their median. */
function proposeSide(sizes: { height: number; width: number; count: number }[]): number {
  const sides = sizes.map(s => ({ side: Math.min(s.height, s.width), count: s.count })).sort((a, b) => a.side - b.side);
  const total = sides.reduce((sum, s) => sum + s.count, 0);
  let below = 0;
  const median = sides.find(s => {
    below += s.count;
    return 2 * below >= total;
  });
  if (!median) return 32;
  return median.side >= 224 ? 224 : Math.max(8, 2 ** Math.floor(Math.log2(median.side)));
}
