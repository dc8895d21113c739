// The commands, in the order of the help. Each file declares one and loads what it needs when it runs.

import { Command, type CommanderError } from 'commander';
import { examples } from './examples.js';
import { usageError } from './failure.js';
import { version } from './version.js';

interface Entry {
  readonly name: string;
  /** What may follow the name, as the help shows it. */
  readonly takes: string;
  readonly summary: string;
  readonly load: () => Promise<() => Command>;
}

/** Every command. Its file is loaded when the command is named, so that the others cost no time. */
export const commands: readonly Entry[] = [
  {
    name: 'train',
    takes: '[options]',
    summary: 'train a network',
    load: async () => (await import('./commands/train.js')).train,
  },
  {
    name: 'eval',
    takes: '[options] <run|weights>',
    summary: 'measure a trained network',
    load: async () => (await import('./commands/eval.js')).evaluation,
  },
  {
    name: 'predict',
    takes: '[options] [images...]',
    summary: 'name what is on pictures',
    load: async () => (await import('./commands/predict.js')).predict,
  },
  {
    name: 'models',
    takes: '[options] [name]',
    summary: 'list the networks, show the layers of one, or draw it',
    load: async () => (await import('./commands/models.js')).models,
  },
  {
    name: 'data',
    takes: '',
    summary: 'list, get, inspect and draw data sets',
    load: async () => (await import('./commands/data.js')).data,
  },
  {
    name: 'import',
    takes: '[options] <files...>',
    summary: 'take over weights of PyTorch users',
    load: async () => (await import('./commands/import.js')).importing,
  },
  {
    name: 'export',
    takes: '[options] <run|file>',
    summary: 'write weights that PyTorch loads',
    load: async () => (await import('./commands/export.js')).exporting,
  },
  {
    name: 'info',
    takes: '[options]',
    summary: 'show version, instruction set, threads and memory',
    load: async () => (await import('./commands/info.js')).info,
  },
  {
    name: 'bench',
    takes: '[options]',
    summary: 'measure the speed of kernels and networks',
    load: async () => (await import('./commands/bench.js')).bench,
  },
];

/** The command line for these arguments: the commands that are named in them are whole, the others a line of the help. */
export async function program(argv: readonly string[]): Promise<Command> {
  const root = new Command('dlcourse')
    .description('Train, evaluate and run the networks of the deep-learning course on the CPU.')
    .version(version(), '--version', 'print the version')
    .option('--debug', 'with a failure, print its stack')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('before', examples('dlcourse train', 'dlcourse predict PICTURE.jpg', 'dlcourse eval RUN'))
    .action(() => root.outputHelp());
  for (const { name, summary, load } of commands) {
    const declare = argv.includes(name) ? await load() : () => new Command(name);
    root.addCommand(declare().summary(summary));
  }
  const terms = new Map(commands.map(({ name, takes }) => [name, `${name} ${takes}`.trimEnd()]));
  const plain = root.createHelp();
  root.configureHelp({ subcommandTerm: command => terms.get(command.name()) ?? plain.subcommandTerm(command) });
  inOurForm(root);
  return root;
}

/** What commander would print on a mistake becomes an error of ours, in every command. */
function inOurForm(command: Command): void {
  const { stdout, env } = process;
  const getOutHelpWidth = (): number => (stdout.isTTY ? stdout.columns : Number(env['COLUMNS']) || 80);
  command.configureOutput({ outputError: () => {}, getOutHelpWidth });
  command.exitOverride((error: CommanderError) => {
    throw error.exitCode === 0 ? error : usageError(command, error);
  });
  for (const child of command.commands) inOurForm(child);
}
