// A model made ready for pictures that are cut otherwise than its card says.

import type { Preprocessing } from '../data/preprocessing.js';
import { DlcourseError } from '../errors.js';
import type { LoadedModel } from './file.js';

/** How pictures are cut, where it differs from the model's card. */
export interface Cut {
  /** Shorter side that pictures are scaled to, 1–4096 pixels. Default: as much larger than the crop as in the card. */
  readonly resize?: number;
  /** `[height, width]` of the crop, 1–4096 pixels each: the model's input. */
  readonly crop?: readonly [number, number];
}

/**
 * The model and its card for pictures cut in this way, with the same weights.
 * Throws E_INPUT when the model can't take the crop, E_CUT when pictures would be smaller than their crop,
 * E_NO_PREPROCESSING for a model of plain arrays.
 *
 * @param where names the model in errors.
 */
export function withCut(
  loaded: LoadedModel,
  cut: Cut,
  where: string,
): LoadedModel & { card: { preprocessing: Preprocessing } } {
  const { model, card, store } = loaded;
  const { preprocessing } = card;
  if (!preprocessing) throw noPreprocessing(where);
  const { resize, crop = [preprocessing.height, preprocessing.width] } = cut;
  checkSides([resize ?? 1, ...crop]);
  const [height, width] = crop;
  const shorter = Math.min(height, width);
  if (resize !== undefined && resize < shorter) {
    throw cutError('resize', `at least the crop's ${shorter} pixels`, `${resize}`);
  }
  const fraction = resize === undefined ? preprocessing.cropFraction : shorter / resize;
  const fit = resize === undefined ? preprocessing.fit : 'crop';
  const same = height === preprocessing.height && width === preprocessing.width;
  return {
    model: same ? model : model.withInput([height, width, preprocessing.channels]),
    card: { ...card, preprocessing: { ...preprocessing, height, width, fit, cropFraction: fraction } },
    store,
  };
}

function checkSides(sides: readonly number[]): void {
  const wrong = sides.find(side => !(Number.isInteger(side) && side >= 1 && side <= 4096));
  if (wrong !== undefined) throw cutError('crop', 'sides of 1–4096 pixels', `${wrong}`);
}

const cutError = (where: string, expected: string, got: string): DlcourseError =>
  new DlcourseError({ code: 'E_CUT', class: 'usage', where, problem: `expected ${expected}, got ${got}` });

/** The error for pictures given to a model that knows none. */
export const noPreprocessing = (where: string): DlcourseError =>
  new DlcourseError({
    code: 'E_NO_PREPROCESSING',
    class: 'mismatch',
    where,
    problem: 'expected a model of images, got one that was trained on plain arrays',
    hint: 'give it rows: predict --tensor, or predict() and evaluate() of the library',
  });
