// Every row of the reference table of networks has a network here with exactly its figures. Matched by the figures, not
// by name: a new network needs no entry.

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { Model, summarize } from '../../src/layers/index.js';
import { allNetworks, type BuildParameters, type FormInfo, type Network } from '../../src/zoo/zoo.js';

interface Row {
  readonly name: string;
  readonly form: string;
  /** c×h×w */
  readonly input: string;
  readonly params: number;
  readonly macs: number;
  readonly reference: string;
}

const table = fileURLToPath(new URL('../../../../shared/zoo.json', import.meta.url));
const present = existsSync(table);
if (!present) console.warn(`${table} is absent: networks are not compared with the reference table`);

const classes: Readonly<Record<string, number>> = { MNIST: 10, CIFAR: 10, 'CIFAR-100': 100, ImageNet: 1000 };
/** Left out: LeNet-5 whose C3 sees chosen maps, and CIFAR-100 variants that no network of ours is written after. */
const wanted = ({ name, form }: Row): boolean => name !== 'LeNet-5 (1998)' && form !== 'CIFAR-100';
const rows = present ? (JSON.parse(readFileSync(table, 'utf8')) as Row[]).filter(wanted) : [];

const networks = await allNetworks();
const forms = networks.flatMap(network =>
  (Object.entries(network.forms) as [BuildParameters['form'], FormInfo][]).map(([form, info]) => ({
    network,
    form,
    info,
  })),
);

const build = (network: Network, form: BuildParameters['form'], info: FormInfo, auxiliary: boolean): Model =>
  Model.from(info.input, network.write({ form, classes: info.classes, auxiliary }), network.name);

(present ? test.each(rows) : test.skip.each([{} as Row]))('$name ($form, $reference)', row => {
  const [c, h, w] = row.input.split('x').map(Number) as [number, number, number];
  const matching = forms.filter(({ network, form, info }) => {
    if (info.input.join() !== [h, w, c].join() || info.classes !== classes[row.form]) return false;
    const auxiliary = info.auxiliaryParams === row.params;
    if (!auxiliary && info.params !== row.params) return false;
    // Multiply-adds are those of evaluation, which has no auxiliary classifiers.
    const counted = [
      build(network, form, info, auxiliary).parameters,
      summarize(build(network, form, info, false)),
    ] as const;
    return counted[0] === row.params && counted[1].multiplyAdds === row.macs;
  });
  expect(matching.map(({ network, form }) => `${network.name} (${form})`)).not.toEqual([]);
});
