// How the scripts that measure end where something is wrong.

import type { Command } from 'commander';
import { DlcourseError } from '../../src/errors.js';

/** Runs the command with the arguments of the process. A known error is one line, and an exit status: its own, or `status`. */
export async function main(command: Command, status?: () => number | undefined): Promise<void> {
  try {
    await command.parseAsync();
  } catch (error) {
    if (!(error instanceof DlcourseError)) throw error;
    console.error(error.message);
    process.exit(status?.() ?? error.exitStatus);
  }
}
