// A worker thread, or a process, that loads the addon. What it does then is said by its argument:
// `once` runs and ends; `busy` keeps running until it is stopped; `leave` ends with runs under way.

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { native } from '../../src/native.js';
import { bind, request } from './plans.js';

const addon = native();
const what = isMainThread ? process.argv[2] : (workerData as string);
const { executable, store } = bind(addon);
await addon.run(executable, request());
parentPort?.postMessage([...addon.readState(store, 'b')]);

if (what === 'busy') {
  const again = (): void => {
    addon.run(executable, request()).then(again, () => {});
  };
  again();
  again();
}
if (what === 'leave') {
  for (let i = 0; i < 50; i++) {
    const { executable } = bind(addon);
    addon.run(executable, request()).catch(() => {});
    addon.run(executable, request()).catch(() => {});
  }
  process.exit(7);
}
