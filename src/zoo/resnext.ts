/**
 * ResNeXt. Xie, Girshick, Dollár, Tu & He 2016, Aggregated residual transformations for deep neural networks, table 1
 * (ImageNet, as torchvision writes it) and section 5.3 (ResNeXt-29 for CIFAR: three stages of three). The figures of
 * the ImageNet networks' CIFAR form are torchvision's networks' with the 3×3 stem. Those named after kuangliu are
 * pytorch-cifar's, which have a 1×1 stem and whose blocks yield twice their inner width.
 */

import { globalAvgPool, linear, seq } from '../layers/index.js';
import { convBn } from './blocks.js';
import { type Bottleneck, groupedBottleneck, residualNetwork, unit } from './resnet.js';
import { type BuildParameters, defineFamily, type Published, published } from './zoo.js';

const large = (kind: Bottleneck, repeats: readonly number[], cifar: Published, imagenet: Published) => ({
  forms: published({ cifar, imagenet }),
  write: residualNetwork(kind, repeats),
});

const small = (kind: Bottleneck, ...cifar: Published) => ({
  forms: published({ cifar }),
  write: residualNetwork(kind, [3, 3, 3]),
});

const kuangliu = ({ groups, base }: Bottleneck, ...cifar: Published) => ({
  forms: published({ cifar }),
  write: ({ classes }: BuildParameters) =>
    seq({
      stem: convBn(64, 1, { init: 'kaiming_fan_out' }),
      ...Object.fromEntries(
        [1, 2, 4].map((widening, i) => {
          const inner = groups * base * widening;
          const block = (stride: number) =>
            unit(groupedBottleneck(inner, 2 * inner, groups, stride), 2 * inner, stride);
          return [`stage${i + 1}`, seq(block(i === 0 ? 1 : 2), block(1), block(1))];
        }),
      ),
      pool: globalAvgPool(),
      fc: linear(classes),
    }),
});

export default defineFamily(
  { family: 'ResNeXt', paper: 'Aggregated residual transformations for deep neural networks', year: 2016 },
  {
    // groups and their width in the first stage, blocks a stage; parameters, multiply-adds in millions, accuracy
    resnext50_32x4d: large({ groups: 32, base: 4 }, [3, 4, 6, 3], [22_992_714, 1343.97], [25_028_904, 4230.48, 0.7762]),
    resnext101_32x4d: large(
      { groups: 32, base: 4 },
      [3, 4, 23, 3],
      [42_141_514, 2565.03],
      [44_177_704, 7970.0, 0.7819],
    ),
    resnext101_32x8d: large(
      { groups: 32, base: 8 },
      [3, 4, 23, 3],
      [86_755_146, 5322.26],
      [88_791_336, 16414.02, 0.7931],
    ),
    resnext101_64x4d: large(
      { groups: 64, base: 4 },
      [3, 4, 23, 3],
      [81_419_082, 5010.84],
      [83_455_272, 15460.27, 0.8325],
    ),
    resnext29_2x64d: small({ groups: 2, base: 64 }, 9_130_314, 1411.07),
    resnext29_8x64d: small({ groups: 8, base: 64 }, 34_426_698, 5387.27, 0.9635),
    resnext29_16x64d: small({ groups: 16, base: 64 }, 68_155_210, 10688.87, 0.9642),
    resnext29_32x4d: small({ groups: 32, base: 4 }, 4_775_754, 774.06),
    resnext29_2x64d_kuangliu: kuangliu({ groups: 2, base: 64 }, 9_128_778, 1409.49, 0.9482),
    resnext29_4x64d_kuangliu: kuangliu({ groups: 4, base: 64 }, 27_104_586, 4228.08),
    resnext29_8x64d_kuangliu: kuangliu({ groups: 8, base: 64 }, 89_598_282, 14093.1),
    resnext29_32x4d_kuangliu: kuangliu({ groups: 32, base: 4 }, 4_774_218, 772.48, 0.9473),
  },
);
