// What a training says that it needs beside what it takes: `npm run bench:memory -- [MODEL…]`. Each network in a fresh
// process: two steps and an evaluation on noise. "Engine" is what its buffers took at most, "process" what the resident
// memory rose to above that before the model was built. --checkpoint-activations: the same with it, and the times.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { noise } from '../../cli/bench/timing.js';
import { native } from '../../src/native.js';
import { Store } from '../../src/runtime/program.js';
import { ArraySource } from '../../src/train/inputs.js';
import { makeRecipe } from '../../src/train/recipe.js';
import { Training } from '../../src/train/training.js';
import { buildNetwork } from '../../src/zoo/zoo.js';
import { table } from '../tools/markdown.js';

/** Network, side of the pictures, batch size. */
type Subject = readonly [string, number, number];

const small = [
  ...['resnet20', 'resnet18', 'preact_resnet18', 'se_resnet18', 'vgg16_bn', 'googlenet', 'densenet121'],
  ...['resnext29_2x64d', 'dpn26', 'mobilenet_v1', 'mobilenet_v2', 'shufflenet_v2_x1_0'],
].map((name): Subject => [name, 32, 64]);
const large = [
  ...['alexnet', 'vgg16', 'googlenet', 'resnet50', 'squeezenet1_1', 'densenet121', 'resnext50_32x4d', 'se_resnet50'],
  ...['xception', 'mobilenet_v2', 'shufflenet_v1_g3', 'nasnet_a_mobile'],
].map((name): Subject => [name, 224, 16]);
const subjects: readonly Subject[] = [...small, ['nasnet_a_cifar', 32, 32], ...large];

interface Trial {
  stated: number;
  engine: number;
  process: number;
  seconds: number;
}

async function trial([name, side, batchSize]: Subject, checkpointActivations: boolean): Promise<Trial> {
  const classes = side > 64 ? 1000 : 10;
  const size = side * side * 3;
  const labels = Int32Array.from({ length: batchSize }, (_, i) => i % classes);
  const source = new ArraySource(noise(batchSize * size), [side, side, 3], labels);
  native();
  const before = process.memoryUsage.rss();
  const model = await buildNetwork(name, [side, side, 3], classes, { auxiliary: true });
  const recipe = makeRecipe({ batchSize, epochs: 3, lr: 1e-4, checkpointActivations });
  const training = new Training({ model, store: new Store(), recipe, train: source, test: source });
  let seconds = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) {
    const begin = performance.now();
    await training.step();
    seconds = Math.min(seconds, (performance.now() - begin) / 1000);
    training.endEpoch();
  }
  await training.evaluate();
  return {
    stated: training.memoryBytes,
    engine: native().info().peakBytes,
    process: process.resourceUsage().maxRSS * 1024 - before,
    seconds,
  };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { trial: { type: 'string' }, 'checkpoint-activations': { type: 'boolean', default: false } },
});

if (values.trial !== undefined) {
  const found = await trial(JSON.parse(values.trial) as Subject, values['checkpoint-activations']);
  console.log(JSON.stringify(found));
} else {
  const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
  const ratio = (a: number, b: number): string => (a / b).toFixed(3);
  const run = (subject: Subject, ...flags: string[]): Trial => {
    const args = [fileURLToPath(import.meta.url), '--trial', JSON.stringify(subject), ...flags];
    const { status, stdout } = spawnSync(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`${subject.join(' ')}: ended with ${status}`);
    return JSON.parse(stdout) as Trial;
  };
  const rows = subjects
    .filter(([name]) => positionals.length === 0 || positionals.includes(name))
    .map(subject => {
      const [name, side, batchSize] = subject;
      const usual = run(subject);
      const line = [name, `${batchSize} × ${side}²`, mebibytes(usual.stated), mebibytes(usual.engine)];
      line.push(ratio(usual.stated, usual.engine), mebibytes(usual.process), ratio(usual.stated, usual.process));
      if (values['checkpoint-activations']) {
        const less = run(subject, '--checkpoint-activations');
        line.push(mebibytes(less.stated), ratio(less.stated, usual.stated), ratio(less.stated, less.process));
        line.push(ratio(less.seconds, usual.seconds));
      }
      console.error(line.join('  '));
      return line;
    });
  const head = ['network', 'batch', 'stated MiB', 'engine MiB', 'stated / engine', 'process MiB', 'stated / process'];
  if (values['checkpoint-activations']) head.push('with checkpoints', 'of usual', 'stated / process', 'time');
  console.log(table(head, rows));
}
