/**
 * DenseNet. Huang, Liu, van der Maaten & Weinberger 2016, Densely connected convolutional networks, table 1 (ImageNet)
 * and section 3 (bottlenecks of 4k, compression by half: BC), as torchvision writes it: what is new comes last in a
 * concatenation. The CIFAR form of the ImageNet networks (kuangliu/pytorch-cifar) has a 3×3 stem and no first pooling,
 * and puts what is new first.
 */

import { avgPool, batchNorm, concat, conv2d, globalAvgPool, linear, maxPool, relu, seq } from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { convBn } from './blocks.js';
import { type BuildParameters, defineFamily, type Published, published } from './zoo.js';

const init = 'kaiming_normal';

const denseLayer = (growth: number, newFirst: boolean): Block => {
  const branch = seq({
    norm1: batchNorm(),
    relu1: relu(),
    conv1: conv2d(4 * growth, 1, { bias: false, init }),
    norm2: batchNorm(),
    relu2: relu(),
    conv2: conv2d(growth, 3, { bias: false, init }),
  });
  return x => {
    const y = branch(x);
    return x.model.scoped('concat', () => (newFirst ? concat(y, x) : concat(x, y)));
  };
};

const transition: Block = x =>
  seq({
    norm: batchNorm(),
    relu: relu(),
    conv: conv2d(Math.floor(x.shape[2]! / 2), 1, { bias: false, init }),
    pool: avgPool(2),
  })(x);

/** `layers` a block, with transitions between; `stem` may be any block. */
const network = (stem: Block, growth: number, layers: readonly number[], newFirst: boolean, classes: number): Block =>
  seq({
    stem,
    ...Object.fromEntries(
      layers.flatMap((repeats, i) => [
        [`transition${i}`, i > 0 ? transition : undefined],
        [`block${i + 1}`, seq(...Array.from({ length: repeats }, () => denseLayer(growth, newFirst)))],
      ]),
    ),
    norm: batchNorm(),
    relu: relu(),
    pool: globalAvgPool(),
    fc: linear(classes),
  });

const smallStem = (growth: number): Block => conv2d(2 * growth, 3, { bias: false, init });
const largeStem = (growth: number): Block =>
  seq({
    conv: convBn(2 * growth, 7, { stride: 2, init }),
    pool: maxPool(3, { stride: 2, padding: 1 }),
  });

const densenet = (growth: number, layers: readonly number[], cifar: Published, imagenet: Published) => ({
  forms: published({ cifar, imagenet }),
  write: ({ form, classes }: BuildParameters) =>
    form === 'cifar'
      ? network(smallStem(growth), growth, layers, true, classes)
      : network(largeStem(growth), growth, layers, false, classes),
});

export default defineFamily(
  { family: 'DenseNet', paper: 'Densely connected convolutional networks', year: 2016 },
  {
    // growth, layers a block; CIFAR and ImageNet: parameters, multiply-adds in millions, accuracy
    densenet121: densenet(32, [6, 12, 24, 16], [6_956_298, 888.35, 0.9504], [7_978_856, 2834.16, 0.7443]),
    densenet161: densenet(48, [6, 12, 36, 24], [26_482_378, 2467.55], [28_681_000, 7727.91, 0.7714]),
    densenet169: densenet(32, [6, 12, 32, 32], [12_493_322, 1059.8], [14_149_480, 3359.84, 0.756]),
    densenet201: densenet(32, [6, 12, 48, 32], [18_104_330, 1363.89], [20_013_928, 4291.37, 0.769]),
    // kuangliu's for CIFAR: DenseNet-121 with k = 12.
    densenet_cifar: {
      forms: published({ cifar: [1_000_618, 125.34] }),
      write: ({ classes }) => network(smallStem(12), 12, [6, 12, 24, 16], true, classes),
    },
    // DenseNet-BC for CIFAR, depth 100 and k = 12: three blocks of (100 − 4)/6 bottlenecks.
    densenet_bc100: {
      forms: published({ cifar: [769_162, 287.93, 0.9549] }),
      write: ({ classes }) => network(smallStem(12), 12, [16, 16, 16], false, classes),
    },
  },
);
