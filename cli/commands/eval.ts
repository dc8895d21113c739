// dlcourse eval: how good a model is on test images.

import { resolve } from 'node:path';
import { Command } from 'commander';
import type { OpenOptions } from '../../src/data/open.js';
import { DlcourseError, printable } from '../../src/errors.js';
import type { ModelCard } from '../../src/models/file.js';
import {
  checkAccuracy,
  findWeights,
  type OutputOptions,
  openDecoders,
  shown,
  type Weights,
  withOutput,
} from '../common.js';
import { examples } from '../examples.js';
import { stopSignal } from '../interrupt.js';
import { pictureSettings } from '../pictures.js';
import { optionsOf, readConfig, resolveSettings, setting } from '../settings.js';
import { dataSettings, openOptions, trainSettings } from '../train-settings.js';
import { integer, percent, table, Ui } from '../ui.js';
import { exactHelp, real, text, whole, yes } from '../values.js';

const { split, skipBad, formats, labels } = dataSettings;
const evalSettings = {
  data: setting('--data <dir|name>', 'a folder or a name (default: what the model was trained on)', text),
  batchSize: setting('--batch-size <n>', 'images at a time', whole(1, 65_536), { initial: '64' }),
  exact: setting('--exact [yes]', exactHelp, yes),
  threads: setting('--threads <n>', 'threads, which change no result (default: all)', whole(1, 1024)),
  minAccuracy: setting('--min-accuracy <x>', 'fail with status 80 below this accuracy, such as 0.9', real(0, 1)),
  ...{ split, skipBad, formats, labels },
  ...pictureSettings,
} as const;

type Flags = OutputOptions & Record<string, unknown>;

export const evaluation = (): Command => {
  const command = new Command('eval')
    .description('Measures a model on the test images of the data it was trained on, or of others.')
    .argument('<run|weights>', 'a run folder, or a model file')
    .addHelpText(
      'before',
      examples(
        'dlcourse eval runs/resnet20-stickers-1',
        'dlcourse eval model.safetensors --data ./flowers --min-accuracy 0.9',
        'dlcourse eval model.safetensors --data ./imagenet-val --resize 256 --crop 224 --crops 10',
      ),
    );
  for (const option of optionsOf(evalSettings)) command.addOption(option);
  return withOutput(command).action(evaluate);
};

async function evaluate(given: string, flags: Flags): Promise<void> {
  const ui = new Ui(flags);
  const { values } = resolveSettings(evalSettings, flags, undefined);
  const stop = stopSignal('eval');
  const weights = await findWeights(given);
  const { loadModel } = await import('../../src/models/file.js');
  const { withCut } = await import('../../src/models/pictures.js');
  const { openDataset } = await import('../../src/data/open.js');
  const { ImageSource } = await import('../../src/train/inputs.js');
  const { evaluate: measure, evaluationGraph } = await import('../../src/train/evaluation.js');
  const { defaultThreads, Program } = await import('../../src/runtime/program.js');

  const { resize, crop } = values;
  const onNotice = (line: string): void => ui.notice(line);
  const { model, card, store } = withCut(
    await loadModel(weights.file, { onNotice }),
    { resize, crop },
    shown(weights.file),
  );
  const { source, how } = await dataOf(weights, card, values.data, openOptions(values));
  await openDecoders(how.formats);
  const dataset = await openDataset(source, {
    ...how,
    preprocessing: card.preprocessing,
    classes: card.classes,
    crops: values.crops ?? card.crops ?? 1,
    signal: stop,
    onNotice: line => ui.notice(line),
    onProgress: ({ done, total }) => ui.live(() => `reading ${source}  ${integer(done)} of ${integer(total)}`),
  });
  ui.clear();
  const { test } = dataset.splits;
  if (test.length === 0) throw noTest(source);
  const images = new ImageSource(test, card.preprocessing);
  const program = new Program(
    evaluationGraph(model, graph => images.input(graph)),
    {
      batch: Math.min(values.batchSize!, test.length),
      store,
      exact: values.exact ?? false,
      threads: values.threads ?? defaultThreads(),
    },
  );
  const pictures = test.length / images.crops;
  const found = await measure(program, images, card.classes, stop, done =>
    ui.live(() => `${integer(done)} of ${integer(pictures)} images`),
  );
  ui.clear();

  const { bold } = ui.colors;
  ui.print(
    `${printable(`${model.name} on ${dataset.name}`)}: ${bold(percent(found.top1, 2))} of ${integer(found.images)} test images right, ` +
      `${percent(found.top5, 2)} among the first five, loss ${found.loss.toFixed(4)}`,
  );
  ui.print();
  const rows = found.classes.map(c => [
    printable(c.name),
    integer(c.images),
    ...[c.precision, c.recall, c.f1].map(x => percent(x)),
  ]);
  for (const line of table([['class', 'images', 'precision', 'recall', 'F1'], ...rows], bold)) ui.print(line);
  const result = { model: model.name, data: dataset.name, weights: weights.file, ...found };
  checkAccuracy(result, shown(given), values.minAccuracy, found.top1);
  ui.result(result);
}

/** What to evaluate on: what was asked for, else the data of the run, else those that the model's card names. */
async function dataOf(
  { file, run }: Weights,
  card: ModelCard,
  asked: string | undefined,
  how: OpenOptions,
): Promise<{ source: string; how: OpenOptions }> {
  if (run) {
    const config = await readConfig(`${run}/config.json`, trainSettings);
    const { values } = resolveSettings(trainSettings, {}, config, {});
    // The run's own data are split as they were, so that no training image is among the test images.
    if (asked === undefined || asked === values.data || resolve(asked) === values.data) {
      return { source: values.data!, how: { ...openOptions(values), ...how } };
    }
  }
  if (asked !== undefined) return { source: asked, how: { split: 1, ...how } };
  if (card.data) {
    const { listManifests } = await import('../../src/data/manifest.js');
    if ((await listManifests()).some(m => m.name === card.data)) return { source: card.data, how };
  }
  throw new DlcourseError({
    code: 'E_NO_DATA',
    class: 'usage',
    where: shown(file),
    problem: 'expected --data, got a model file that names no data set',
    hint: 'give --data DIR|NAME',
  });
}

const noTest = (where: string): DlcourseError =>
  new DlcourseError({
    code: 'E_NO_SAMPLES',
    class: 'data',
    where,
    problem: 'expected test images, got none',
    hint: 'set some aside with --split',
  });
