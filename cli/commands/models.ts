// dlcourse models: the networks, or one of them layer by layer.

import { Command } from 'commander';
import type { Summary } from '../../src/layers/summary.js';
import type { Form, Network } from '../../src/zoo/zoo.js';
import { examples } from '../examples.js';
import { forms } from '../train-settings.js';
import { integer, percent, table, Ui } from '../ui.js';
import { choice, option, size, whole } from '../values.js';

interface Options {
  input?: [number, number];
  channels?: number;
  classes?: number;
  form?: Form;
  json?: boolean;
}

/** A form of a network, as `--json` prints it: counted, for the input and classes that it says. */
interface FormEntry {
  form: Form;
  input: readonly number[];
  classes: number;
  params: number;
  multiplyAdds: number;
  activationBytes: number;
  /** Published accuracy, where everything is as published. */
  top1?: number;
}

export const models = (): Command =>
  new Command('models')
    .summary('list the networks, or show the layers of one')
    .description('Lists the networks with their parameters and multiply-adds; with a name, the layers of that one.')
    .argument('[name]', 'a network')
    .addHelpText(
      'before',
      examples('dlcourse models', 'dlcourse models resnet18', 'dlcourse models resnet18 --input 32x32 --classes 100'),
    )
    .addOption(option('--input <size>', 'pixels of an image (default: as published)', size))
    .addOption(option('--channels <n>', 'of an image (default: as published)', whole(1, 4096)))
    .addOption(option('--classes <n>', 'number of classes (default: as published)', whole(1, 1_000_000)))
    .addOption(option('--form <name>', `${forms.join(' or ')} (default: by size)`, choice(forms)))
    .option('--json', 'print one JSON object')
    .action(async (name: string | undefined, options: Options) => {
      const ui = new Ui(options);
      await (name === undefined ? list(ui, options) : one(ui, name, options));
    });

async function list(ui: Ui, options: Options): Promise<void> {
  const { allNetworks } = await import('../../src/zoo/zoo.js');
  const found: { network: Network; forms: FormEntry[] }[] = [];
  for (const network of await allNetworks()) {
    if (options.form && !network.forms[options.form]) continue;
    found.push({ network, forms: (await builtForms(network, options)).map(b => b.entry) });
  }
  const rows = found.flatMap(({ network, forms }) =>
    forms.map(f => [
      ...[network.name, `${network.family} ${network.year}`, f.form, f.input.join('×'), integer(f.classes)],
      ...[integer(f.params), integer(f.multiplyAdds), f.top1 === undefined ? '' : percent(f.top1)],
    ]),
  );
  const head = ['name', 'family', 'form', 'input', 'classes', 'parameters', 'multiply-adds', 'published top-1'];
  for (const line of table([head, ...rows], ui.colors.bold)) ui.print(line);
  ui.result({ models: found.map(({ network, forms }) => ({ ...described(network), forms })) });
}

const described = ({ name, family, paper, year }: Network) => ({ name, family, paper, year });

async function one(ui: Ui, name: string, options: Options): Promise<void> {
  const { findNetwork } = await import('../../src/zoo/zoo.js');
  const { showSummary } = await import('../../src/layers/summary.js');
  const network = await findNetwork(name);
  const found = await builtForms(network, options);
  for (const { entry, summary } of found) {
    ui.print(`${ui.colors.bold(`${network.name}, ${entry.form} form`)}: ${network.paper} (${network.year})`);
    ui.print(showSummary(summary, ui.colors.dim));
    ui.print();
  }
  const forms = found.map(({ entry, summary }) => ({ ...entry, layers: summary.layers }));
  ui.result({ models: [{ ...described(network), forms }] });
}

/** Every form as published; or the one that was asked for. */
async function builtForms(network: Network, options: Options): Promise<{ entry: FormEntry; summary: Summary }[]> {
  const asPublished = !options.input && !options.channels && !options.classes && !options.form;
  const wanted = asPublished ? (Object.keys(network.forms) as Form[]).map(form => ({ form })) : [options];
  return Promise.all(wanted.map(one => built(network, one)));
}

/** Builds a form and counts. */
async function built(network: Network, options: Options): Promise<{ entry: FormEntry; summary: Summary }> {
  const { buildNetwork, formFor } = await import('../../src/zoo/zoo.js');
  const { summarize } = await import('../../src/layers/summary.js');
  const [height, width] = options.input ?? (network.forms[options.form!] ?? Object.values(network.forms)[0]!).input;
  const form = formFor(network, height, width, options.form);
  const info = network.forms[form]!;
  const classes = options.classes ?? info.classes;
  const input = [height, width, options.channels ?? info.input[2]] as const;
  const summary = summarize(await buildNetwork(network.name, input, classes, { form }));
  const { parameters: params, multiplyAdds, activationBytes } = summary;
  const asPublished = input.join() === info.input.join() && classes === info.classes;
  const top1 = asPublished && info.top1 !== undefined ? { top1: info.top1 } : {};
  return { entry: { form, input, classes, params, multiplyAdds, activationBytes, ...top1 }, summary };
}
