// The networks as tables, from the one list: by family in README.md, form by form in docs/models.md.

import { graphSvg } from '../../src/report/graph.js';
import { buildNetwork, type Form, type FormInfo, type Network } from '../../src/zoo/zoo.js';
import { number, percent, table } from './markdown.js';

/** Networks of one paper, in the order of the list. */
interface Family {
  readonly family: string;
  readonly paper: string;
  readonly year: number;
  readonly networks: readonly Network[];
}

function familiesOf(networks: readonly Network[]): Family[] {
  const families = new Map<string, Network[]>();
  for (const network of networks) {
    const key = `${network.family} ${network.paper} ${network.year}`;
    families.set(key, [...(families.get(key) ?? []), network]);
  }
  return [...families.values()].map(list => {
    const { family, paper, year } = list[0]!;
    return { family, paper, year, networks: list };
  });
}

/** A row a family. */
export function familyTable(networks: readonly Network[]): string {
  const lines = familiesOf(networks).map(({ family, year, networks: members }) => {
    const params = members.flatMap(n => Object.values(n.forms).map(form => form.params));
    return [
      `${family} (${year})`,
      members.map(n => `\`${n.name}\``).join(' '),
      [...new Set([Math.min(...params), Math.max(...params)].map(n => number(n)))].join(' to '),
    ];
  });
  return table(['family', 'networks', 'parameters'], lines);
}

const forms = { cifar: 'CIFAR', imagenet: 'ImageNet' } as const;

/** A table a family: a row a network, its forms side by side. */
export const networkTables = (networks: readonly Network[]): string => familiesOf(networks).map(section).join('\n\n');

function section({ family, paper, year, networks }: Family): string {
  const present = (Object.keys(forms) as Form[]).filter(form => networks.some(n => n.forms[form]));
  const head = present.flatMap(form => [`${forms[form]} form`, 'parameters', 'multiply-adds (M)', 'top-1']);
  const lines = networks.map(n => [`\`${n.name}\``, ...present.flatMap(form => cells(n.forms[form]))]);
  return `## ${family} (${year})\n\n${paper}\n\n${table(['network', ...head], lines)}`;
}

function cells(info: FormInfo | undefined): string[] {
  if (!info) return ['', '', '', ''];
  const { input, params, auxiliaryParams, multiplyAddsMillions, top1 } = info;
  const auxiliary = auxiliaryParams === undefined ? '' : ` (${number(auxiliaryParams)})`;
  return [input.join('×'), number(params) + auxiliary, number(multiplyAddsMillions), percent(top1)];
}

/** The example of a drawing. */
export async function drawing(): Promise<string> {
  const model = await buildNetwork('resnet18', [224, 224, 3], 1000);
  return graphSvg(model, { title: 'resnet18, imagenet form', unfold: ['stage2.0'] });
}
