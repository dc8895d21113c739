/**
 * Wide ResNet for ImageNet. Zagoruyko & Komodakis 2016, Wide residual networks, section 3.4: ResNet whose
 * bottlenecks are twice as wide inside, as torchvision writes it. The figures of the CIFAR form are torchvision's
 * networks' with the 3×3 stem.
 */

import { residualNetwork } from './resnet.js';
import { defineFamily, published } from './zoo.js';

export default defineFamily(
  { family: 'Wide ResNet', paper: 'Wide residual networks', year: 2016 },
  {
    wide_resnet50_2: {
      forms: published({ cifar: [66_847_050, 3684.39], imagenet: [68_883_240, 11398.02, 0.7847] }),
      write: residualNetwork({ groups: 1, base: 128 }, [3, 4, 6, 3]),
    },
    wide_resnet101_2: {
      forms: published({ cifar: [124_850_506, 7392.15], imagenet: [126_886_696, 22753.05, 0.7885] }),
      write: residualNetwork({ groups: 1, base: 128 }, [3, 4, 23, 3]),
    },
  },
);
