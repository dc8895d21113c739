// From an error to what the user sees: one line on stderr, one exit status, and with --json one object on stdout.

import type { Command, CommanderError } from 'commander';
import { DlcourseError, nearest, printable } from '../src/errors.js';

/** A failure as `--json` prints it. */
export interface Failure {
  code: string;
  exit: number;
  message: string;
  hint?: string;
}

/** Any thrown value as a failure. What is no DlcourseError is a bug of ours, and says so. */
export function failureOf(error: unknown): Failure {
  if (error instanceof DlcourseError) {
    return {
      code: error.code,
      exit: error.exitStatus,
      message: error.message,
      ...(error.hint ? { hint: error.hint } : {}),
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  const hint = 'this is a bug: run again with --debug and report what it prints';
  return { code: 'E_INTERNAL', exit: 70, message: printable(`internal: ${message}; ${hint}`), hint };
}

/** An accuracy gate that was missed; the result is printed all the same. */
export class CheckFailed extends DlcourseError {
  constructor(
    readonly result: object,
    where: string,
    wanted: number,
    got: number,
  ) {
    super({
      code: 'E_MIN_ACCURACY',
      class: 'checkFailed',
      where,
      problem: `expected a test accuracy of at least ${wanted}, got ${got}`,
      hint: 'train longer, or lower --min-accuracy',
    });
  }
}

/** The status of a process that a signal ended: 128 + the signal's number. */
export const signalStatus = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
export type StopSignal = keyof typeof signalStatus;

/**
 * What commander found wrong with the arguments of `command`, in our form. Commander's own messages have two lines
 * and no stable shape, so only the name in quotes is taken from them.
 */
export function usageError(command: Command, error: CommanderError): DlcourseError {
  const [, given = ''] = /'([^']*)'/.exec(error.message) ?? [];
  const parts = { class: 'usage', where: pathOf(command) } as const;
  const help = `see '${pathOf(command, 'dlcourse')} --help'`;
  switch (error.code) {
    case 'commander.unknownOption': {
      const options = command.createHelp().visibleOptions(command);
      const near = nearest(
        given,
        options.flatMap(o => (o.long ? [o.long] : [])),
      );
      const hint = near ? `did you mean '${near}'?` : help;
      return new DlcourseError({
        ...parts,
        code: 'E_OPTION',
        problem: `expected one of its options, got '${given}'`,
        hint,
      });
    }
    case 'commander.unknownCommand': {
      const names = command.commands.map(c => c.name());
      return unknownCommand(command, given, names);
    }
    case 'commander.optionMissingArgument': {
      const [flag] = given.split(' ');
      return new DlcourseError({
        ...parts,
        where: flag!.replace(/,$/, ''),
        code: 'E_OPTION',
        problem: 'expected a value, got none',
        hint: help,
      });
    }
    case 'commander.missingArgument':
      return new DlcourseError({
        ...parts,
        code: 'E_ARGUMENT',
        problem: `expected ${given.toUpperCase()}, got nothing`,
        hint: help,
      });
    case 'commander.excessArguments': {
      const wanted = command.registeredArguments.length;
      const got = command.args.slice(wanted).join(' ');
      if (command.commands.length > 0)
        return unknownCommand(
          command,
          command.args[0]!,
          command.commands.map(c => c.name()),
        );
      const problem = `expected ${wanted === 0 ? 'options only' : `${wanted} argument${wanted > 1 ? 's' : ''}`}, got '${got}' too`;
      return new DlcourseError({ ...parts, code: 'E_ARGUMENT', problem, hint: help });
    }
    default:
      return new DlcourseError({
        ...parts,
        code: 'E_USAGE',
        problem: error.message.replace(/^error: /, ''),
        hint: help,
      });
  }
}

function unknownCommand(command: Command, given: string, names: readonly string[]): DlcourseError {
  const near = nearest(given, names);
  return new DlcourseError({
    code: 'E_COMMAND',
    class: 'usage',
    where: pathOf(command),
    problem: `expected one of ${names.join(', ')}, got '${given}'`,
    hint: near ? `did you mean '${near}'?` : `see '${pathOf(command, 'dlcourse')} --help'`,
  });
}

/** `data get`: the words of a command, without the program's name unless there is nothing else. */
function pathOf(command: Command, prefix = ''): string {
  const words: string[] = [];
  for (let c: Command | null = command; c?.parent; c = c.parent) words.unshift(c.name());
  if (prefix) words.unshift(prefix);
  return words.join(' ') || 'command';
}
