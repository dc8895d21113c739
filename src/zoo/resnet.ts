/**
 * ResNet. He, Zhang, Ren & Sun 2015, Deep residual learning for image recognition, table 1. As torchvision writes it:
 * projection shortcuts (type B), the stride of a bottleneck on its 3×3. The CIFAR form (kuangliu/pytorch-cifar) has a
 * 3×3 stem and no first pooling.
 */

import { batchNorm, conv2d, globalAvgPool, linear, maxPool, relu, residual, seq } from '../layers/index.js';
import type { Block } from '../layers/model.js';
import { convBn } from './blocks.js';
import { type BuildParameters, defineFamily, type Published, published } from './zoo.js';

const init = 'kaiming_fan_out';
const widths = [64, 128, 256, 512];

/** Inside of a bottleneck: ⌊width · base / 64⌋ · groups channels, in `groups` groups (Xie et al. 2016, table 1). */
export interface Bottleneck {
  readonly groups: number;
  readonly base: number;
}

const basic = (width: number, stride: number): Block =>
  seq({
    conv1: conv2d(width, 3, { stride, bias: false, init }),
    bn1: batchNorm(),
    relu1: relu(),
    conv2: conv2d(width, 3, { bias: false, init }),
    bn2: batchNorm(),
  });

const bottleneck =
  ({ groups, base }: Bottleneck) =>
  (width: number, stride: number): Block =>
    groupedBottleneck(Math.floor((width * base) / 64) * groups, 4 * width, groups, stride);

export const groupedBottleneck = (inner: number, out: number, groups: number, stride: number): Block =>
  seq({
    conv1: conv2d(inner, 1, { bias: false, init }),
    bn1: batchNorm(),
    relu1: relu(),
    conv2: conv2d(inner, 3, { stride, groups, bias: false, init }),
    bn2: batchNorm(),
    relu2: relu(),
    conv3: conv2d(out, 1, { bias: false, init }),
    bn3: batchNorm(),
  });

/** relu(branch(x) + x), x projected where its shape changes. */
export const unit =
  (branch: Block, out: number, stride: number): Block =>
  x => {
    const projected = stride > 1 || x.shape[2] !== out;
    const project = projected ? convBn(out, 1, { stride, activation: 'none', init }) : undefined;
    return seq({ sum: residual(branch, project), relu: relu() })(x);
  };

const stem = (form: BuildParameters['form']): Block =>
  form === 'cifar'
    ? convBn(64, 3, { init })
    : seq({ conv: convBn(64, 7, { stride: 2, init }), pool: maxPool(3, { stride: 2, padding: 1 }) });

/** A network of basic blocks, or of bottlenecks; as many stages as there are `repeats`. */
export const residualNetwork =
  (kind: 'basic' | Bottleneck, repeats: readonly number[]) =>
  ({ form, classes }: BuildParameters): Block => {
    const [branch, expansion] = kind === 'basic' ? [basic, 1] : [bottleneck(kind), 4];
    const stage = (width: number, units: number, first: number): Block =>
      seq(
        ...Array.from({ length: units }, (_, j) => {
          const stride = j === 0 ? first : 1;
          return unit(branch(width, stride), width * expansion, stride);
        }),
      );
    return seq({
      stem: stem(form),
      ...Object.fromEntries(repeats.map((units, i) => [`stage${i + 1}`, stage(widths[i]!, units, i === 0 ? 1 : 2)])),
      pool: globalAvgPool(),
      fc: linear(classes),
    });
  };

const plain: Bottleneck = { groups: 1, base: 64 };

const network = (kind: 'basic' | Bottleneck, repeats: readonly number[], cifar: Published, imagenet: Published) => ({
  forms: published({ cifar, imagenet }),
  write: residualNetwork(kind, repeats),
});

export default defineFamily(
  { family: 'ResNet', paper: 'Deep residual learning for image recognition', year: 2015 },
  {
    // kind, blocks a stage; CIFAR and ImageNet: parameters, multiply-adds in millions, accuracy
    resnet18: network('basic', [2, 2, 2, 2], [11_173_962, 555.42, 0.9302], [11_689_512, 1814.07, 0.6976]),
    resnet34: network('basic', [3, 4, 6, 3], [21_282_122, 1159.4], [21_797_672, 3663.76, 0.7331]),
    resnet50: network(plain, [3, 4, 6, 3], [23_520_842, 1297.83, 0.9362], [25_557_032, 4089.18, 0.7613]),
    resnet101: network(plain, [3, 4, 23, 3], [42_512_970, 2509.98, 0.9375], [44_549_160, 7801.41, 0.7737]),
    resnet152: network(plain, [3, 8, 36, 3], [58_156_618, 3722.14], [60_192_808, 11513.63, 0.7831]),
  },
);
