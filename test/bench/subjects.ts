// What is compared when nothing is said: the course's networks at 32×32 and at 224×224 pixels.

import { allNetworks, type Form, findNetwork, type Network } from '../../src/zoo/zoo.js';
import type { Input } from '../parity/pair.js';

export interface Subject {
  readonly network: string;
  readonly form: Form;
  readonly input: Input;
  readonly classes: number;
  readonly batch: number;
}

/** Of form cifar, 64 images of 32×32 at a time; of form imagenet, 16 of 224×224. */
const usual: Record<Form, readonly string[]> = {
  cifar: [
    ...['resnet20', 'resnet18', 'preact_resnet18', 'se_resnet18', 'vgg16_bn', 'googlenet', 'densenet121'],
    ...['resnext29_2x64d_kuangliu', 'dpn26', 'mobilenet_v1', 'mobilenet_v2', 'shufflenet_v2_x1_0', 'nasnet_a_cifar'],
  ],
  imagenet: [
    ...['alexnet', 'vgg16', 'googlenet', 'resnet50', 'squeezenet1_1', 'densenet121', 'resnext50_32x4d', 'se_resnet50'],
    ...['xception', 'mobilenet_v2', 'shufflenet_v1_g3', 'nasnet_a_mobile'],
  ],
};
const batches: Record<Form, number> = { cifar: 64, imagenet: 16 };
const smaller: Readonly<Record<string, number>> = { nasnet_a_cifar: 32 };
/** Where the paper's is another. */
const sides: Readonly<Record<string, number>> = { xception: 224 };

const forms = Object.keys(usual) as Form[];

/**
 * The named networks in their usual forms, or in all that they have when they are not among the usual ones.
 * Throws what findNetwork throws for a name that is not in the zoo.
 */
export async function subjectsOf(names: readonly string[], form?: Form, batch?: number): Promise<Subject[]> {
  for (const name of names) await findNetwork(name);
  const networks = new Map((await allNetworks()).map(n => [n.name, n]));
  return forms
    .filter(f => form === undefined || f === form)
    .flatMap(f => {
      const others = names.filter(name => !forms.some(g => usual[g].includes(name)) && networks.get(name)!.forms[f]);
      const chosen = names.length === 0 ? usual[f] : [...usual[f].filter(name => names.includes(name)), ...others];
      return chosen.map(name => subject(networks.get(name)!, f, batch));
    });
}

function subject({ name, forms }: Network, form: Form, batch?: number): Subject {
  const { input, classes } = forms[form]!;
  const side = form === 'imagenet' ? sides[name] : undefined;
  return {
    ...{ network: name, form, classes, batch: batch ?? smaller[name] ?? batches[form] },
    input: side ? [side, side, input[2]] : [...input],
  };
}

/** Comparisons in the order of the usual networks, smaller inputs first, others last. */
export function usualOrder<C extends { network: string; form: Form; input: Input }>(comparisons: readonly C[]): C[] {
  const place = ({ network, form }: C): number => {
    const at = usual[form].indexOf(network);
    return at < 0 ? Number.MAX_SAFE_INTEGER : at;
  };
  return [...comparisons].sort(
    (a, b) => a.input[0] - b.input[0] || place(a) - place(b) || (a.network < b.network ? -1 : 1),
  );
}
