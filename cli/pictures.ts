// The options of `predict` and `eval` that say how pictures are cut.

import { type CropCount, cropCounts } from '../src/data/crops.js';
import { setting } from './settings.js';
import { type Kind, size, whole } from './values.js';

const cropCount: Kind<CropCount> = {
  expected: '1, 2, 5, 6, 10 or 144',
  parse: value => cropCounts.find(count => String(count) === value),
};

export const pictureSettings = {
  resize: setting('--resize <n>', "shorter side that pictures are scaled to (default: the model's)", whole(1, 4096)),
  crop: setting('--crop <size>', "pixels of the crop, such as 224 or 224x320 (default: the model's input)", size),
  crops: setting(
    '--crops <n>',
    "1, 2, 5, 6, 10 or 144 crops of each picture, whose answers are averaged (default: the model's, mostly 1)",
    cropCount,
  ),
} as const;
