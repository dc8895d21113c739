// dlcourse models: the networks, or one of them layer by layer.

import { Command } from 'commander';
import type { LayerSummary } from '../../src/layers/summary.js';
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

/** A form of a network, as `--json` prints it. */
interface FormEntry {
  form: Form;
  input: readonly number[];
  classes: number;
  params: number;
  multiplyAdds: number;
  /** Published accuracy, where the form is as published. */
  top1?: number;
  activationBytes?: number;
  layers?: readonly LayerSummary[];
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
    found.push({
      network,
      forms: isPublished(options) ? published(network, options) : [await built(network, options)],
    });
  }
  const rows = found.flatMap(({ network, forms }) =>
    forms.map(f => [
      network.name,
      `${network.family} ${network.year}`,
      f.form,
      f.input.join('×'),
      integer(f.classes),
      integer(f.params),
      integer(f.multiplyAdds),
      f.top1 === undefined ? '' : percent(f.top1),
    ]),
  );
  const head = ['name', 'family', 'form', 'input', 'classes', 'parameters', 'multiply-adds', 'published top-1'];
  for (const line of table([head, ...rows], ui.colors.bold)) ui.print(line);
  ui.result({ models: found.map(({ network, forms }) => entry(network, forms)) });
}

const isPublished = ({ input, channels, classes }: Options): boolean => !input && !channels && !classes;

const entry = ({ name, family, paper, year }: Network, forms: readonly FormEntry[]) => ({
  name,
  family,
  paper,
  year,
  forms,
});

function published(network: Network, { form }: Options): FormEntry[] {
  return (Object.keys(network.forms) as Form[])
    .filter(f => !form || f === form)
    .map(f => {
      const { multiplyAddsMillions, input, classes, params, top1 } = network.forms[f]!;
      const multiplyAdds = Math.round(multiplyAddsMillions * 1e6);
      return { form: f, input, classes, params, multiplyAdds, ...(top1 === undefined ? {} : { top1 }) };
    });
}

async function one(ui: Ui, name: string, options: Options): Promise<void> {
  const { findNetwork } = await import('../../src/zoo/zoo.js');
  const { showSummary } = await import('../../src/layers/summary.js');
  const network = await findNetwork(name);
  // As published, every form has its summary; otherwise the one that was asked for.
  const wanted = isPublished(options) && !options.form ? (Object.keys(network.forms) as Form[]) : [undefined];
  const entries: FormEntry[] = [];
  for (const form of wanted) {
    const found = await built(network, form ? { form } : options);
    entries.push(found);
    ui.print(`${ui.colors.bold(`${network.name}, ${found.form} form`)}: ${network.paper} (${network.year})`);
    ui.print(showSummary({ ...found, ...found.summary }, ui.colors.dim));
    ui.print();
  }
  ui.result({
    models: [
      entry(
        network,
        entries.map(({ ...e }) => ({ ...e, summary: undefined })),
      ),
    ],
  });
}

/** Builds a form and counts. */
async function built(
  network: Network,
  options: Options,
): Promise<FormEntry & { summary: import('../../src/layers/summary.js').Summary }> {
  const { buildNetwork, formFor } = await import('../../src/zoo/zoo.js');
  const { summarize } = await import('../../src/layers/summary.js');
  const [height, width] = options.input ?? (network.forms[options.form!] ?? Object.values(network.forms)[0]!).input;
  const form = formFor(network, height, width, options.form);
  const info = network.forms[form]!;
  const classes = options.classes ?? info.classes;
  const input = [height, width, options.channels ?? info.input[2]] as const;
  const summary = summarize(await buildNetwork(network.name, input, classes, form));
  const { parameters: params, multiplyAdds, activationBytes, layers } = summary;
  const asPublished = input.join() === info.input.join() && classes === info.classes;
  const top1 = asPublished && info.top1 !== undefined ? { top1: info.top1 } : {};
  return { form, input, classes, params, multiplyAdds, ...top1, activationBytes, layers, summary };
}
