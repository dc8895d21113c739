// DenseNet.

import { cifarPictures, imagenetPictures, type Layout } from './layout.js';

const densenets = ['densenet121', 'densenet161', 'densenet169', 'densenet201'];

const torchvision: Pick<Layout, 'networks' | 'form' | 'rules' | 'aliases'> = {
  networks: densenets,
  form: 'imagenet',
  rules: [
    [/^stem\.conv\.conv$/, 'features.conv0'],
    [/^stem\.conv\.bn$/, 'features.norm0'],
    [/^block(\d)\.(\d+)\./, (_, block, unit) => `features.denseblock${block}.denselayer${Number(unit) + 1}.`],
    [/^transition/, 'features.transition'],
    [/^norm$/, 'features.norm5'],
    [/^fc$/, 'classifier'],
  ],
  // norm.1, conv.2 until PyTorch 0.4 forbade dots in names of modules.
  aliases: [[/(\.denselayer\d+\.(?:norm|conv))\.(\d)\./, '$1$2.']],
};

export const densenetLayouts: readonly Layout[] = [
  { ...torchvision, layout: 'torchvision', preprocessing: imagenetPictures({ resize: 256 }) },
  { ...torchvision, layout: 'timm', preprocessing: imagenetPictures({ resize: 256, interpolation: 'cubic' }) },
  {
    layout: 'kuangliu',
    networks: [...densenets, 'densenet_cifar'],
    form: 'cifar',
    rules: [
      [/^stem$/, 'conv1'],
      [/^block(\d)\.(\d+)\.norm/, 'dense$1.$2.bn'],
      [/^block/, 'dense'],
      [/^transition(\d)\.norm$/, 'trans$1.bn'],
      [/^transition/, 'trans'],
      [/^norm$/, 'bn'],
      [/^fc$/, 'linear'],
    ],
    preprocessing: cifarPictures.kuangliu,
  },
];
