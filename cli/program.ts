// The commands, in the order of the help. Each file declares one and loads what it needs when it runs.

import { Command, type CommanderError } from 'commander';
import { bench } from './commands/bench.js';
import { data } from './commands/data.js';
import { evaluation } from './commands/eval.js';
import { exporting } from './commands/export.js';
import { importing } from './commands/import.js';
import { info } from './commands/info.js';
import { models } from './commands/models.js';
import { predict } from './commands/predict.js';
import { train } from './commands/train.js';
import { examples } from './examples.js';
import { usageError } from './failure.js';
import { version } from './version.js';

/** Every command, by its declaration. */
const commands: readonly (() => Command)[] = [
  train,
  evaluation,
  predict,
  models,
  data,
  importing,
  exporting,
  info,
  bench,
];

export function program(): Command {
  const root = new Command('dlcourse')
    .description('Train, evaluate and run the networks of the deep-learning course on the CPU.')
    .version(version(), '--version', 'print the version')
    .option('--debug', 'with a failure, print its stack')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('before', examples('dlcourse train', 'dlcourse predict PICTURE.jpg', 'dlcourse eval RUN'))
    .action(() => root.outputHelp());
  for (const declare of commands) root.addCommand(declare());
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
