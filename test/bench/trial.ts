// One trial of dlcourse in a process of its own: `node trial.js REQUEST` prints one line of JSON. trial.py is the same
// for PyTorch and onnxruntime.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { inference, stepFeeds, trainingStep } from '../../cli/bench/model.js';
import { summarise } from '../../cli/bench/timing.js';
import { version } from '../../cli/version.js';
import { native } from '../../src/native.js';
import { Program, Store } from '../../src/runtime/program.js';
import { makeRecipe } from '../../src/train/recipe.js';
import { findNetwork } from '../../src/zoo/zoo.js';
import { images, labels } from '../parity/formula.js';
import { trainable } from '../parity/pair.js';
import { parametersOf, type TrialAnswer, type TrialRequest } from './results.js';

const WARM_UP = 2;
const FEWEST = 3;

/** Bytes now and at most: VmRSS and VmHWM on Linux, elsewhere the peak for both. */
function resident(): [now: number, most: number] {
  if (process.platform === 'linux') {
    const status = readFileSync('/proc/self/status', 'utf8');
    const field = (name: string): number => 1024 * Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)![1]);
    return [field('VmRSS'), field('VmHWM')];
  }
  const most = process.resourceUsage().maxRSS * 1024;
  return [most, most];
}

/** Bytes that the process takes when all is loaded; the peak is counted from here on. */
function loaded(): number {
  if (process.platform === 'linux') {
    try {
      writeFileSync('/proc/self/clear_refs', '5');
    } catch {
      // Not allowed here: the peak of loading counts.
    }
  }
  return resident()[0];
}

/** Seconds that threads of this process were ready and had no processor; NaN where nobody counts. */
function waited(): number {
  try {
    const threads = readdirSync('/proc/self/task').map(id => readFileSync(`/proc/self/task/${id}/schedstat`, 'utf8'));
    return threads.reduce((sum, fields) => sum + Number(fields.split(' ')[1]), 0) / 1e9;
  } catch {
    return Number.NaN;
  }
}

async function trial(request: TrialRequest): Promise<TrialAnswer> {
  const { network, form, input, classes, batch, mode, threads, isa } = request;
  await findNetwork(network);
  native();
  const start = loaded();
  const model = await trainable({ network, form }, input, classes);
  const store = new Store();
  const { graph } =
    mode === 'train' ? trainingStep(model, store, makeRecipe({ nesterov: false })) : inference(model, store);
  const program = new Program(graph, { batch, store, threads, isa });
  const feeds = stepFeeds(images(batch, input), labels(batch, classes));
  const step = async (): Promise<number> => {
    const begin = performance.now();
    const { complete } = await program.run(feeds, batch);
    if (!complete) throw new Error('the step was not finite');
    return (performance.now() - begin) / 1000;
  };
  for (let i = 0; i < WARM_UP; i++) await step();
  const seconds: number[] = [];
  const [before, begin] = [waited(), performance.now()];
  while (seconds.length < FEWEST || performance.now() - begin < 1000 * request.seconds) seconds.push(await step());
  const disturbed = (waited() - before) / ((performance.now() - begin) / 1000);
  return {
    seconds: summarise(seconds).median,
    ...(Number.isNaN(disturbed) ? {} : { disturbed }),
    memoryBytes: resident()[1] - start,
    version: version(),
    parameters: parametersOf(model),
  };
}

try {
  console.log(JSON.stringify(await trial(JSON.parse(process.argv[2]!))));
} catch (error) {
  console.log(JSON.stringify({ error: (error as Error).message.split('\n')[0] }));
}
