// Ctrl-C and its kin: the first asks the work to stop, which it does when what it has done is safe; the second ends
// the process at once.

import { DlcourseError } from '../src/errors.js';
import { type StopSignal, signalStatus } from './failure.js';

let first: StopSignal | undefined;

/** The signal that asked this process to stop, and the status to end with. */
export function received(): { signal: StopSignal; status: number } | undefined {
  return first && { signal: first, status: signalStatus[first] };
}

/**
 * Turns SIGINT, SIGTERM and SIGHUP into an abort of the returned signal, whose reason is an E_INTERRUPTED.
 * @param where the command, for the message
 * @param onStop called with the first: says what happens now
 */
export function stopSignal(where: string, onStop: () => void = () => {}): AbortSignal {
  const controller = new AbortController();
  for (const name of Object.keys(signalStatus) as StopSignal[]) {
    process.on(name, () => {
      // Files are written durably and whole: nothing needs to be put in order.
      if (first) process.exit(signalStatus[name]);
      first = name;
      onStop();
      const problem = `stopped by ${name}`;
      controller.abort(new DlcourseError({ code: 'E_INTERRUPTED', class: 'interrupted', where, problem }));
    });
  }
  return controller.signal;
}
