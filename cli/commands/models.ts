// dlcourse models: the networks, or one of them layer by layer.

import { Command } from 'commander';
import { DlcourseError, unknownName } from '../../src/errors.js';
import type { Model } from '../../src/layers/model.js';
import type { Summary } from '../../src/layers/summary.js';
import type { Form, Network } from '../../src/zoo/zoo.js';
import { examples } from '../examples.js';
import { forms } from '../train-settings.js';
import { integer, percent, table, Ui } from '../ui.js';
import { choice, option, size, text, whole } from '../values.js';

interface Options {
  input?: [number, number];
  channels?: number;
  classes?: number;
  form?: Form;
  svg?: string;
  unfold?: true | string;
  json?: boolean;
}

/** A form of a network, as `--json` prints it: counted, for the input and classes that it says. */
interface FormEntry {
  form: Form;
  input: readonly number[];
  classes: number;
  params: number;
  /** With the auxiliary classifiers of training, where there are some and everything is as published. */
  auxiliaryParams?: number;
  multiplyAdds: number;
  activationBytes: number;
  /** Published accuracy, where everything is as published. */
  top1?: number;
}

export const models = (): Command =>
  new Command('models')
    .description(
      'Lists the networks with papers, parameters, multiply-adds and published accuracy; with a name, shows the layers of ' +
        'that one, and with --svg draws them.',
    )
    .argument('[name]', 'a network')
    .addHelpText(
      'before',
      examples(
        'dlcourse models',
        'dlcourse models resnet18 --input 32x32 --classes 100',
        'dlcourse models googlenet --svg googlenet.svg --unfold inception3a',
      ),
    )
    .addOption(option('--input <size>', 'pixels of an image (default: as published)', size))
    .addOption(option('--channels <n>', 'of an image (default: as published)', whole(1, 4096)))
    .addOption(option('--classes <n>', 'number of classes (default: as published)', whole(1, 1_000_000)))
    .addOption(option('--form <name>', `${forms.join(' or ')} (default: by size)`, choice(forms)))
    .addOption(option('--svg <file>', 'draw the network: its ImageNet form, or the one asked for', text))
    .option('--unfold [module]', 'with --svg: draw each layer, of everything or of one module such as stage2')
    .option('--json', 'print one JSON object')
    .action(async (name: string | undefined, options: Options) => {
      const ui = new Ui(options);
      checkDrawing(name, options);
      await (name === undefined ? list(ui, options) : one(ui, name, options));
    });

async function list(ui: Ui, options: Options): Promise<void> {
  const { allNetworks } = await import('../../src/zoo/zoo.js');
  const found: { network: Network; forms: FormEntry[] }[] = [];
  for (const network of await allNetworks()) {
    if (options.form && !network.forms[options.form]) continue;
    found.push({ network, forms: (await builtForms(network, options)).map(b => b.entry) });
  }
  const head = ['name', 'form', 'input', 'classes', 'parameters', 'with auxiliary', 'multiply-adds', 'published top-1'];
  const rows = found.flatMap(({ network, forms }) =>
    forms.map(f => [
      ...[network.name, f.form, f.input.join('×'), integer(f.classes), integer(f.params)],
      f.auxiliaryParams === undefined ? '' : integer(f.auxiliaryParams),
      ...[integer(f.multiplyAdds), f.top1 === undefined ? '' : percent(f.top1)],
    ]),
  );
  const [first, ...lines] = table([head, ...rows], ui.colors.bold);
  ui.print(first);
  let before = '';
  for (const { network, forms } of found) {
    const source = `${network.family}: ${network.paper} (${network.year})`;
    if (source !== before) {
      ui.print();
      ui.print(ui.colors.bold(source));
    }
    before = source;
    for (const line of lines.splice(0, forms.length)) ui.print(line);
  }
  ui.result({ models: found.map(({ network, forms }) => ({ ...described(network), forms })) });
}

const described = ({ name, family, paper, year }: Network) => ({ name, family, paper, year });

async function one(ui: Ui, name: string, options: Options): Promise<void> {
  const { findNetwork } = await import('../../src/zoo/zoo.js');
  const { showSummary } = await import('../../src/layers/summary.js');
  const network = await findNetwork(name);
  const found = await builtForms(network, options);
  if (options.svg !== undefined) await draw(ui, network, found.at(-1)!, options.svg, options.unfold);
  for (const { entry, summary } of found) {
    ui.print(`${ui.colors.bold(`${network.name}, ${entry.form} form`)}: ${network.paper} (${network.year})`);
    ui.print(showSummary(summary, ui.colors.dim));
    ui.print();
  }
  const forms = found.map(({ entry, summary }) => ({ ...entry, layers: summary.layers }));
  ui.result({ models: [{ ...described(network), forms }], ...(options.svg === undefined ? {} : { svg: options.svg }) });
}

/** Refuses what would be left out in silence. */
function checkDrawing(name: string | undefined, { svg, unfold }: Options): void {
  const wrong = (where: string, problem: string, hint: string) =>
    new DlcourseError({ code: 'E_OPTION', class: 'usage', where, problem, hint });
  if (svg !== undefined && name === undefined)
    throw wrong(
      '--svg',
      'expected the name of a network beside it, got none',
      'give one: dlcourse models resnet18 --svg FILE',
    );
  if (unfold !== undefined && svg === undefined)
    throw wrong('--unfold', 'expected --svg beside it, got none', 'say where to draw: --svg FILE');
}

async function draw(ui: Ui, network: Network, built: Built, file: string, unfold: true | string = ''): Promise<void> {
  const { graphSvg } = await import('../../src/report/graph.js');
  const { modulePaths } = await import('../../src/report/graph-boxes.js');
  const { writeFileDurably } = await import('../../src/io/durable.js');
  const { model, entry } = built;
  const modules = modulePaths(model);
  if (typeof unfold === 'string' && unfold !== '' && !modules.includes(unfold)) {
    throw unknownName(
      { code: 'E_OPTION', class: 'usage', where: '--unfold' },
      `a module of ${network.name}`,
      unfold,
      modules,
    );
  }
  const title = `${network.name}, ${entry.form} form`;
  const unfolded = unfold === true ? true : [unfold].filter(path => path !== '');
  await writeFileDurably(file, graphSvg(model, { title, unfold: unfolded }));
  ui.notice(`${title}: drawn in ${file}`);
}

interface Built {
  readonly entry: FormEntry;
  readonly model: Model;
  readonly summary: Summary;
}

/** Every form as published; or the one that was asked for. */
async function builtForms(network: Network, options: Options): Promise<Built[]> {
  const asPublished = !options.input && !options.channels && !options.classes && !options.form;
  const wanted = asPublished ? (Object.keys(network.forms) as Form[]).map(form => ({ form })) : [options];
  return Promise.all(wanted.map(one => built(network, one)));
}

/** Builds a form and counts. */
async function built(network: Network, options: Options): Promise<Built> {
  const { buildNetwork, formFor, publishedInput } = await import('../../src/zoo/zoo.js');
  const { summarize } = await import('../../src/layers/summary.js');
  const [height, width] = options.input ?? publishedInput(network, options.form);
  const form = formFor(network, height, width, options.form);
  const info = network.forms[form]!;
  const classes = options.classes ?? info.classes;
  const input = [height, width, options.channels ?? info.input[2]] as const;
  const model = await buildNetwork(network.name, input, classes, { form });
  const summary = summarize(model);
  const { parameters: params, multiplyAdds, activationBytes } = summary;
  const asPublished = input.join() === info.input.join() && classes === info.classes;
  const { top1, auxiliaryParams } = asPublished ? info : {};
  const known = {
    ...(auxiliaryParams === undefined ? {} : { auxiliaryParams }),
    ...(top1 === undefined ? {} : { top1 }),
  };
  return { entry: { form, input, classes, params, multiplyAdds, activationBytes, ...known }, model, summary };
}
