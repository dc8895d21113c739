// How long commands take from the shell, beside Node that does nothing: `npm run bench:startup`. Every trial is a fresh
// process, files are warm. Peers are any other commands: `npm run bench:startup -- --peer "python startup_torch.py …"`.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { summarise } from '../../cli/bench/timing.js';
import { packageRoot } from '../../src/native.js';
import { table } from '../tools/markdown.js';

const root = packageRoot();
const { values } = parseArgs({
  options: {
    weights: { type: 'string', default: join(root, 'datasets', 'weights', 'cifar10-resnet20.safetensors') },
    picture: { type: 'string', default: join(root, 'docs', 'stickers.webp') },
    trials: { type: 'string', default: '20' },
    peer: { type: 'string', multiple: true, default: [] },
  },
});

const cli = join(root, 'dist', 'cli', 'index.js');
const commands: [string, string[]][] = [
  ['node, nothing', [process.execPath, '-e', '0']],
  ['dlcourse --help', [process.execPath, cli, '--help']],
  ['dlcourse predict', [process.execPath, cli, 'predict', values.picture, '--weights', values.weights]],
  ...values.peer.map((peer): [string, string[]] => [peer, peer.split(' ')]),
];

/** Milliseconds of one run. Throws when it fails: its time would mean nothing. */
function time([program, ...args]: string[]): number {
  const begin = performance.now();
  const { status, stderr } = spawnSync(program!, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  const elapsed = performance.now() - begin;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ended with ${status}\n${stderr}`);
  return elapsed;
}

for (const [, command] of commands) time(command);
// Interleaved, so that what else the machine does meets all of them.
const times = commands.map((): number[] => []);
for (let trial = 0; trial < Number(values.trials); trial++) {
  commands.forEach(([, command], i) => {
    times[i]!.push(time(command));
  });
}
const rows = commands.map(([name], i) => {
  const { best, median, p95 } = summarise(times[i]!);
  return [name, ...[median, best, p95].map(ms => ms.toFixed(0))];
});
console.log(`Node ${process.version}, ${values.trials} trials`);
console.log(table(['command', 'median ms', 'best', '95 %'], rows));
