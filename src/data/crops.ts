// From a decoded picture to what a network is shown: its channels, its scale, and one crop or several.

import { DlcourseError } from '../errors.js';
import { type Geometry, type Interpolation, placeImage, roundHalfEven } from './preprocessing.js';
import { crop, mirror, type Picture, resize, type Size, type Window } from './resize.js';

/**
 * Parts of a picture whose answers are averaged:
 * 1 – the one that `Geometry` says; 2 – this and its mirror image; 6 – these, and the same moved by a pixel to either
 * corner over a reflected border (Jordan 2024, section 3.5);
 * 5 – the four corners and the centre of the scaled picture; 10 – these and the mirrored ones (Krizhevsky et al. 2012,
 * section 4.1);
 * 144 – at 4 scales, of 3 squares along the longer side, 4 corners, centre and the whole square, and the mirrored ones
 * (Szegedy et al. 2014, section 7).
 */
export const cropCounts = [1, 2, 5, 6, 10, 144] as const;
export type CropCount = (typeof cropCounts)[number];
/** Those that are made of the one crop, whatever was around it. */
export const viewCounts = [1, 2, 6] as const satisfies readonly CropCount[];
export type ViewCount = (typeof viewCounts)[number];

/** The rule of `Geometry`: height × width × channels bytes. Only the pixels of the crop are computed. */
export function fitPicture(picture: Picture, geometry: Geometry): Uint8Array {
  const { height, width, channels, interpolation } = geometry;
  const { scaledHeight, scaledWidth, left, top } = placeImage(picture.width, picture.height, geometry);
  const scaled = { height: scaledHeight, width: scaledWidth };
  return resize(withChannels(picture, channels), scaled, interpolation, { left, top, width, height }).data;
}

/**
 * `count` crops, one after the other: count × height × width × channels bytes.
 *
 * @param geometry one that `checkCrops` has passed.
 */
export function cropsOf(picture: Picture, geometry: Geometry, count: CropCount): Uint8Array {
  if (count === 1) return fitPicture(picture, geometry);
  if (isViewCount(count)) {
    const { height, width, channels } = geometry;
    const data = fitPicture(picture, geometry);
    return Buffer.concat(viewsOf({ height, width, channels, data }, count).map(view => view.data));
  }
  const own = withChannels(picture, geometry.channels);
  const crops = count === 144 ? manyCrops(own, geometry) : cornersOf(own, geometry, count === 10);
  return Buffer.concat(crops.map(c => c.data));
}

const isViewCount = (count: CropCount): count is ViewCount => (viewCounts as readonly CropCount[]).includes(count);

/** The picture and its mirror image; then both of the picture moved by a pixel, to the upper left, to the lower right. */
export function viewsOf(picture: Picture, count: ViewCount): Picture[] {
  const moved = [0, 1, -1].flatMap(by => (count === 6 || by === 0 ? [shifted(picture, by)] : []));
  return moved.flatMap(one => (count === 1 ? [one] : [one, mirror(one)]));
}

/** What a window sees that has moved to the right and down by so many pixels, over a reflected border. */
function shifted(picture: Picture, by: number): Picture {
  if (by === 0) return picture;
  const { height, width, channels, data } = picture;
  const reflected = (i: number, n: number): number => (n === 1 ? 0 : i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i);
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (reflected(y + by, height) * width + reflected(x + by, width)) * channels;
      out.set(data.subarray(from, from + channels), (y * width + x) * channels);
    }
  }
  return { ...picture, data: out };
}

/** Whether several crops of pictures in this geometry make sense. Throws E_CROPS. */
export function checkCrops({ height, width, fit }: Geometry, count: CropCount): void {
  const refused = (problem: string, hint: string) =>
    new DlcourseError({ code: 'E_CROPS', class: 'usage', where: `${count} crops`, problem, hint });
  if (!isViewCount(count) && fit === 'stretch') {
    throw refused('expected pictures that are cropped, got a model that stretches them', 'give --resize');
  }
  if (count === 144 && height !== width) {
    throw refused(`expected a square input, got ${height}×${width}`, 'take 5 or 10 crops');
  }
}

function cornersOf(picture: Picture, geometry: Geometry, mirrored: boolean): Picture[] {
  const { scaledHeight: height, scaledWidth: width } = placeImage(picture.width, picture.height, geometry);
  const windows = five({ height, width }, geometry);
  // A window of the mirrored picture is the mirrored window from the other side.
  const opposite = windows.map(w => ({ ...w, left: width - w.left - w.width }));
  const parts = partsOf(
    picture,
    { height, width },
    geometry.interpolation,
    mirrored ? [...windows, ...opposite] : windows,
  );
  return parts.map((part, i) => (i < windows.length ? part : mirror(part)));
}

/** Corners and centre, in torchvision's order. */
function five(outer: Size, { height, width }: Size): Window[] {
  const right = outer.width - width;
  const bottom = outer.height - height;
  const corners = [
    [0, 0],
    [right, 0],
    [0, bottom],
    [right, bottom],
    [roundHalfEven(right / 2), roundHalfEven(bottom / 2)],
  ];
  return corners.map(([left, top]) => ({ left, top, height, width }));
}

/** Shorter sides of GoogLeNet's scaled pictures, for an input of 224; others are in proportion. */
const scales = [256, 288, 320, 352];

function manyCrops(picture: Picture, geometry: Geometry): Picture[] {
  const { height, width, interpolation } = geometry;
  return scales.flatMap(scale => {
    const side = Math.round((scale * height) / 224);
    const square: Geometry = { ...geometry, height: side, width: side, fit: 'crop', cropFraction: 1 };
    const { scaledHeight, scaledWidth } = placeImage(picture.width, picture.height, square);
    const windows = [0, 0.5, 1].map(share => ({
      left: roundHalfEven((scaledWidth - side) * share),
      top: roundHalfEven((scaledHeight - side) * share),
      height: side,
      width: side,
    }));
    return partsOf(picture, { height: scaledHeight, width: scaledWidth }, interpolation, windows)
      .flatMap(part => [part, mirror(part)])
      .flatMap(part => [
        ...five(part, geometry).map(w => crop(part, w)),
        resize(part, { height, width }, interpolation),
      ]);
  });
}

/** Windows of a scaled picture: cut from the whole, or scaled one by one where the whole would be larger than they. */
function partsOf(picture: Picture, size: Size, kernel: Interpolation, windows: readonly Window[]): Picture[] {
  const area = windows.reduce((sum, w) => sum + w.height * w.width, 0);
  if (size.height * size.width > area) return windows.map(window => resize(picture, size, kernel, window));
  const whole = resize(picture, size, kernel);
  return windows.map(window => crop(whole, window));
}

/** Luminance, or three equal channels, where the picture has not as many. */
export function withChannels(picture: Picture, channels: 1 | 3): Picture {
  if (picture.channels === channels) return picture;
  const data = channels === 1 ? luminance(picture.data) : threefold(picture.data);
  return { ...picture, channels, data };
}

/** ITU-R 601 luma in 16-bit integers, as in Pillow; equal channels keep their value. */
function luminance(rgb: Uint8Array): Uint8Array {
  const grey = new Uint8Array(rgb.length / 3);
  for (let i = 0, p = 0; i < grey.length; i++, p += 3) {
    grey[i] = (19595 * rgb[p] + 38470 * rgb[p + 1] + 7471 * rgb[p + 2] + 0x8000) >>> 16;
  }
  return grey;
}

function threefold(grey: Uint8Array): Uint8Array {
  const rgb = new Uint8Array(3 * grey.length);
  for (let i = 0, p = 0; i < grey.length; i++, p += 3) rgb.fill(grey[i], p, p + 3);
  return rgb;
}
