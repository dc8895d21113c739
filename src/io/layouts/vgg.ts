// VGG. Its layers are numbered in the file one by one: convolution, norm, activation, pool.

import { cifarPictures, imagenetPictures, type Layout, type Rule } from './layout.js';

/** Convolutions before each pool. */
const columns: Readonly<Record<string, readonly number[]>> = {
  vgg11: [1, 1, 2, 2, 2],
  vgg13: [2, 2, 2, 2, 2],
  vgg16: [2, 2, 3, 3, 3],
  vgg19: [2, 2, 4, 4, 4],
};

/** Our number counts units and pools; theirs counts convolution, norm where there is one, activation and pools. */
function features(stages: readonly number[], norm: boolean): Rule {
  const numbers = new Map<number, number>();
  let [ours, theirs] = [0, 0];
  for (const convolutions of stages) {
    for (let i = 0; i < convolutions; i++) {
      numbers.set(ours++, theirs);
      theirs += norm ? 3 : 2;
    }
    ours++;
    theirs++;
  }
  return [
    /^features\.(\d+)\.(conv|bn)$/,
    (_, unit, kind) => `features.${numbers.get(Number(unit))! + (kind === 'bn' ? 1 : 0)}`,
  ];
}

const network = (name: string, stages: readonly number[], norm: boolean): readonly Layout[] => {
  const shared = { networks: [norm ? `${name}_bn` : name] };
  const rule = features(stages, norm);
  return [
    {
      ...shared,
      layout: 'torchvision',
      form: 'imagenet',
      rules: [rule, [/^classifier\.fc(\d)$/, (_, n) => `classifier.${3 * (Number(n) - 1)}`]],
      preprocessing: imagenetPictures({ resize: 256 }),
    },
    {
      ...shared,
      layout: 'timm',
      form: 'imagenet',
      rules: [rule, [/^classifier\.fc3$/, 'head.fc'], [/^classifier\.fc/, 'pre_logits.fc']],
      convolutions: [
        [/^classifier\.fc1$/, 7],
        [/^classifier\.fc2$/, 1],
      ],
      preprocessing: imagenetPictures({ resize: 256 }),
    },
    {
      ...shared,
      layout: 'kuangliu',
      form: 'cifar',
      rules: [rule, [/^classifier\.fc$/, 'classifier']],
      preprocessing: cifarPictures.kuangliu,
    },
  ];
};

export const vggLayouts: readonly Layout[] = Object.entries(columns).flatMap(([name, stages]) => [
  ...network(name, stages, false),
  ...network(name, stages, true),
]);
