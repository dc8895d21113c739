// The rule from a picture of any size to the network's input, and the statistics that normalise it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { chooseGeometry, type Geometry, type ImageSurvey, placeImage } from '../../src/data/preprocessing.js';
import { packedStatistics } from '../../src/data/statistics.js';
import { DlcourseError } from '../../src/errors.js';
import { packageRoot } from '../../src/package.js';

/** width, height, resize, crop → scaled width and height, left, top: test/data/fixtures/make.py. */
const placed: number[][] = JSON.parse(
  readFileSync(join(packageRoot, 'test/data/fixtures/pictures.json'), 'utf8'),
).placed;

const imagenet: Geometry = {
  ...{ height: 224, width: 224, channels: 3, fit: 'crop', cropFraction: 0.875, interpolation: 'linear' },
};

function survey(sizes: [number, number, number][], allGrey = false): ImageSurvey {
  return {
    sizes: new Map(sizes.map(([height, width, count]) => [`${height}x${width}`, { height, width, count }])),
    allGrey,
  };
}

function thrown(work: () => unknown): DlcourseError {
  try {
    work();
  } catch (error) {
    if (error instanceof DlcourseError) return error;
  }
  throw new Error('expected a DlcourseError');
}

describe('placeImage', () => {
  test('agrees with torchvision’s Resize and CenterCrop', () => {
    for (const [width, height, side, crop, scaledWidth, scaledHeight, left, top] of placed) {
      const place = placeImage(width!, height!, {
        ...imagenet,
        height: crop!,
        width: crop!,
        cropFraction: crop! / side!,
      });
      expect([width, height, side, crop, place]).toEqual([
        ...[width, height, side, crop],
        { scaledWidth, scaledHeight, left, top },
      ]);
    }
  });

  test('the whole shorter side is kept when the crop fraction is 1', () => {
    const place = placeImage(100, 50, { ...imagenet, height: 32, width: 32, cropFraction: 1 });
    expect(place).toEqual({ scaledWidth: 64, scaledHeight: 32, left: 16, top: 0 });
  });

  test('rounding never leaves a picture smaller than its crop', () => {
    for (let side = 1; side < 400; side++) {
      const { scaledWidth, scaledHeight, left, top } = placeImage(side, 3 * side + 1, { ...imagenet, cropFraction: 1 });
      expect(scaledWidth - left).toBeGreaterThanOrEqual(224);
      expect(scaledHeight - top).toBeGreaterThanOrEqual(224);
    }
  });

  test('what is not square just covers its target', () => {
    const wide: Geometry = { ...imagenet, height: 100, width: 200, cropFraction: 0.8 };
    // To cover 250×125: 500×500 by its width, 600×200 by its height.
    expect(placeImage(500, 500, wide)).toEqual({ scaledWidth: 250, scaledHeight: 250, left: 25, top: 75 });
    expect(placeImage(600, 200, wide)).toEqual({ scaledWidth: 375, scaledHeight: 125, left: 88, top: 12 });
  });

  test('stretch goes to the target at once', () => {
    const place = placeImage(10, 1000, { ...imagenet, fit: 'stretch' });
    expect(place).toEqual({ scaledWidth: 224, scaledHeight: 224, left: 0, top: 0 });
  });
});

describe('chooseGeometry', () => {
  test('takes the size that all images share, and the channels of the data', () => {
    const grey = chooseGeometry('d', survey([[28, 28, 10]], true), {});
    expect(grey).toEqual({ ...imagenet, height: 28, width: 28, channels: 1, cropFraction: 1 });
    expect(chooseGeometry('d', survey([[28, 28, 10]]), {}).channels).toBe(3);
    expect(chooseGeometry('d', survey([[28, 28, 10]], true), { channels: 3 }).channels).toBe(3);
  });

  test('a size that was asked for crops only where there is a border to spare', () => {
    const mixed = survey([
      [300, 400, 1],
      [500, 375, 1],
    ]);
    expect(chooseGeometry('d', mixed, { input: [224, 224] }).cropFraction).toBe(0.875);
    expect(chooseGeometry('d', mixed, { input: [64, 64] }).cropFraction).toBe(1);
    expect(chooseGeometry('d', survey([[224, 224, 5]]), { input: [224, 224] }).cropFraction).toBe(1);
  });

  test('sizes that differ are an error that proposes one', () => {
    const error = thrown(() =>
      chooseGeometry(
        'pets',
        survey([
          [300, 400, 5],
          [500, 375, 3],
          [20, 20, 1],
          [21, 20, 1],
        ]),
        {},
      ),
    );
    expect(error.code).toBe('E_INPUT_SIZE');
    expect(error.message).toBe(
      'pets: expected images of one size, got 5 × 300x400, 3 × 500x375, 1 × 20x20 and 1 other sizes; ' +
        "choose the network's input, e.g. --input 224x224",
    );
    const small = survey([
      [48, 50, 1],
      [40, 90, 1],
    ]);
    expect(thrown(() => chooseGeometry('d', small, {})).hint).toContain('--input 32x32');
  });

  test.each([
    { input: [0, 4] as [number, number] },
    { input: [5000, 4] as [number, number] },
    { input: [3.5, 4] as [number, number] },
    { channels: 2 as 1 },
    { cropFraction: 0 },
    { fit: 'fill' as 'crop' },
    { interpolation: 'bicubic' as 'cubic' },
  ])('%j is refused', choice => {
    expect(thrown(() => chooseGeometry('d', survey([[8, 8, 1]]), choice)).class).toBe('usage');
  });
});

test('mean and deviation of each channel', () => {
  // Channel 0: 0, 255 → mean 0.5, deviation 0.5. Channel 1: 51, 153 → 0.4, 0.2. Channel 2: constant.
  const { mean, std } = packedStatistics(Uint8Array.of(0, 51, 102, 255, 153, 102), 3);
  expect(mean[0]).toBeCloseTo(0.5, 14);
  expect(std[0]).toBeCloseTo(0.5, 14);
  expect(mean[1]).toBeCloseTo(0.4, 14);
  expect(std[1]).toBeCloseTo(0.2, 14);
  expect(mean[2]).toBeCloseTo(0.4, 14);
  expect(std[2]).toBe(1);
  expect(packedStatistics(Uint8Array.of(0, 51, 51, 0), 1).mean[0]).toBeCloseTo(0.1, 14);
  expect(packedStatistics(new Uint8Array(), 1)).toEqual({ mean: [0.5], std: [0.25] });
});
