// The input op: uint8 pictures to normalised floats, with everything that augmentation does to pixels on the way.

import { defineOp, flag, ints, oneOf } from '../graph/op.js';

/**
 * Inputs: images u8[n,h,w,c]; boxes f32[n,4], the window x0 y0 x1 y1 of the source; flip i32[n]; erase f32[n,4]; mean[c],
 * std[c]; with `color`: factors f32[n,4] (brightness, contrast, saturation, hue) and lighting f32[n,c]; with `mixing`:
 * partner i32[n], mix f32[n], cut f32[n,4]. Output f32[n,oh,ow,c] = (pixel / 255 − mean) / std.
 */
export const augment = defineOp({
  name: 'augment',
  attributes: {
    size: { ...ints([1, 1], 1), local: true },
    /** What lies outside of the source. */
    fill: oneOf('zero', 'mean', 'reflect'),
    color: flag(false),
    mixing: flag(false),
  },
  infer: ([images], a) => [{ ...images!, dtype: 'f32', shape: [...a.size, images!.shape[2]!] }],
});
