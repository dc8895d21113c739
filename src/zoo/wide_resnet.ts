/**
 * Wide ResNet for ImageNet. Zagoruyko & Komodakis 2016, Wide residual networks, section 3.4: ResNet-50 whose
 * bottlenecks are twice as wide inside, as torchvision writes it. The figures of the CIFAR form are torchvision's
 * network's with the 3×3 stem.
 */

import { residualNetwork } from './resnet.js';
import { defineFamily, published } from './zoo.js';

export default defineFamily(
  { family: 'ResNet', paper: 'Wide residual networks', year: 2016 },
  {
    wide_resnet50_2: {
      forms: published({ cifar: [66_847_050, 3684.39], imagenet: [68_883_240, 11398.02, 0.7847] }),
      write: residualNetwork({ groups: 1, base: 128 }, [3, 4, 6, 3]),
    },
  },
);
