// `npm run golden -- [NETWORK…]` asks PyTorch for the answers that the tests compare with: those that are missing, and
// those of the named networks anew.

import { allNetworks, type Form } from '../../src/zoo/zoo.js';
import { type Golden, readGolden, TRAINED, uncovered, writeGolden } from './golden.js';
import { Python } from './python.js';

/** Networks that are built otherwise than the smallest of their paper and form. */
const others: readonly (readonly [network: string, form: Form])[] = [
  ['lenet', 'cifar'],
  ['alexnet', 'cifar'],
  ['vgg11_bn', 'cifar'],
  ['googlenet_2014', 'imagenet'],
  ['resnet18', 'cifar'],
  ['densenet121', 'cifar'],
  ['resnext29_32x4d', 'cifar'],
  ['preact_resnet18', 'cifar'],
  ['se_resnet50', 'imagenet'],
  ['mobilenet_v1_symmetric_x0_25', 'imagenet'],
  ['shufflenet_v1_g3_x0_5', 'imagenet'],
  ['shufflenet_v1_g3', 'imagenet'],
];

const networks = await allNetworks();
const order = new Map(networks.map((n, i) => [n.name, i]));
const place = (g: Golden): number => 2 * (order.get(g.network) ?? 0) + (g.form === 'cifar' ? 0 : 1);
const again = process.argv.slice(2);
const known = new Map(readGolden().map(g => [`${g.network} ${g.form}`, g]));
const python = new Python();
const referenced = new Set((await python.ask<[string, string][]>({ asked: 'list' })).map(pair => pair.join(' ')));
for (const { network, form } of [
  ...uncovered(networks, readGolden()),
  ...others.map(([network, form]) => ({ network, form })),
]) {
  const key = `${network} ${form}`;
  if (known.has(key) && !again.includes(network)) continue;
  if (!referenced.has(key)) {
    console.log(`${key}: no reference in test/parity/references`);
    continue;
  }
  const { params } = networks.find(n => n.name === network)!.forms[form]!;
  known.set(key, await python.ask<Golden>({ asked: 'golden', network, form, trained: params <= TRAINED }));
  writeGolden([...known.values()].sort((a, b) => place(a) - place(b)));
  console.log(key);
}
python.end();
