// dlcourse data: the data sets that have names, how to get them, what a folder holds, and how to draw one.

import { relative } from 'node:path';
import { Command } from 'commander';
import { printable } from '../../src/errors.js';
import { type OutputOptions, openDecoders, shown, withOutput } from '../common.js';
import { examples } from '../examples.js';
import { stopSignal } from '../interrupt.js';
import { optionsOf, resolveSettings } from '../settings.js';
import { dataSettings, openOptions } from '../train-settings.js';
import { bytes, integer, table, Ui } from '../ui.js';
import { option, size, text, whole } from '../values.js';

export const data = (): Command => {
  const command = new Command('data');
  return command
    .description('Lists, fetches, inspects and draws data sets.')
    .addHelpText(
      'before',
      examples('dlcourse data ls', 'dlcourse data get cifar10', 'dlcourse data info ./flowers --verify'),
    )
    .addCommand(ls())
    .addCommand(get())
    .addCommand(inspect())
    .addCommand(make())
    .action(() => command.outputHelp());
};

const ls = (): Command =>
  new Command('ls')
    .summary('list the data sets that have names')
    .addHelpText('before', examples('dlcourse data ls'))
    .option('--json', 'print one JSON object')
    .action(async (options: { json?: boolean }) => {
      const { listDatasets } = await import('../../src/data/open.js');
      const ui = new Ui(options);
      const found = (await listDatasets()).map(({ manifest: m, folder, present }) => ({
        ...{ name: m.name, title: m.title, licence: m.licence, classes: m.classes.length, image: m.image },
        ...{ train: m.train, test: m.test, present, folder },
      }));
      const rows = found.map(d => [
        ...[d.name, d.title, `${d.image.height}×${d.image.width}×${d.image.channels}`, integer(d.classes)],
        ...[integer(d.train), integer(d.test), d.present ? 'here' : `dlcourse data get ${d.name}`],
      ]);
      const head = ['name', 'title', 'images', 'classes', 'train', 'test', 'there?'];
      for (const line of table([head, ...rows], ui.colors.bold)) ui.print(line);
      ui.result({ datasets: found });
    });

interface GetFlags extends OutputOptions {
  out?: string;
  from?: string;
}

const get = (): Command =>
  withOutput(
    new Command('get')
      .summary('fetch a data set')
      .description(
        'Fetches a data set into the cache (DLCOURSE_CACHE), from the first of its sources that works. An unfinished download goes on.',
      )
      .argument('<name>', "a name of 'dlcourse data ls'")
      .addHelpText(
        'before',
        examples('dlcourse data get cifar10', 'dlcourse data get cifar10 --from cifar-10-binary.tar.gz'),
      )
      .addOption(
        option('--from <file|dir>', 'what you fetched yourself: the archive, or a folder with its files', text),
      )
      .addOption(option('--out <dir>', 'another folder', text)),
  ).action(async (name: string, flags: GetFlags) => {
    const { findManifest } = await import('../../src/data/manifest.js');
    const { getDataset } = await import('../../src/data/get.js');
    const ui = new Ui(flags);
    const signal = stopSignal('data get');
    const manifest = await findManifest(name);
    let event = 0;
    const { folder, source } = await getDataset(manifest, {
      ...(flags.out === undefined ? {} : { folder: flags.out }),
      ...(flags.from === undefined ? {} : { from: flags.from }),
      signal,
      onNotice: line => ui.notice(line),
      onProgress: ({ step, done, total }) => {
        const share = total > 0 ? ` of ${bytes(total)}` : '';
        ui.live(() => `${step}${done > 0 ? `  ${bytes(done)}${share}` : ''}`);
        if (performance.now() - event < 500) return;
        event = performance.now();
        ui.event({ event: 'get', step, done, total });
      },
    });
    ui.clear();
    ui.print(
      source ? `${name} is in ${shown(folder)}, from ${source}` : `${name} is in ${shown(folder)} already, complete`,
    );
    ui.print(`dlcourse train --data ${flags.out === undefined ? name : relative('', folder) || '.'}`);
    ui.result({ name, folder, source: source ?? null });
  });

interface InspectFlags extends OutputOptions, Record<string, unknown> {
  verify?: boolean;
}

function inspect(): Command {
  const command = new Command('info')
    .summary('show what a data set holds, and which files are bad')
    .description('Shows classes, sizes and bad files of a data set. Nothing is changed.')
    .argument('<dir|name>', "a folder, or a name of 'dlcourse data ls'")
    .addHelpText('before', examples('dlcourse data info stickers', 'dlcourse data info ./flowers --verify'))
    .option('--verify', 'decode every picture');
  for (const setting of optionsOf(dataSettings)) command.addOption(setting);
  return withOutput(command).action(async (given: string, flags: InspectFlags) => {
    const { inspectDataset } = await import('../../src/data/open.js');
    const { DlcourseError } = await import('../../src/errors.js');
    const ui = new Ui(flags);
    const { values } = resolveSettings(dataSettings, flags, undefined);
    const signal = stopSignal('data info');
    const how = openOptions(values);
    await openDecoders(how.formats);
    const found = await inspectDataset(given, {
      ...how,
      verify: flags.verify === true,
      signal,
      onNotice: line => ui.notice(line),
      onProgress: ({ done, total }) => ui.live(() => `${integer(done)} of ${integer(total)} files`),
    });
    ui.clear();
    const { bold, red, dim } = ui.colors;
    ui.print(`${bold(printable(found.name))}  ${found.kind}, in ${shown(found.folder)}`);
    ui.print(
      `${integer(found.train.images)} training and ${integer(found.test.images)} test images, ${found.channels === 1 ? 'grey' : 'colour'}`,
    );
    const sizes = found.sizes.map(s => `${s.height}×${s.width} (${integer(s.count)})`);
    ui.print(`sizes ${sizes.slice(0, 5).join(', ')}${sizes.length > 5 ? ` and ${sizes.length - 5} more` : ''}`);
    if (found.statistics) {
      const list = (numbers: ArrayLike<number>): string => Array.from(numbers, n => n.toFixed(4)).join(' ');
      ui.print(`mean ${list(found.statistics.mean)}, standard deviation ${list(found.statistics.std)}`);
    }
    if (found.fingerprint) ui.print(dim(found.fingerprint));
    ui.print();
    const rows = found.classes.map((name, i) => [
      printable(name),
      integer(found.train.perClass[i]!),
      integer(found.test.perClass[i]!),
    ]);
    for (const line of table([['class', 'train', 'test'], ...rows], bold)) ui.print(line);
    for (const line of found.notices) ui.notice(line);
    for (const { file, reason } of found.bad) ui.print(`${red('bad')}  ${shown(file)}: ${printable(reason)}`);
    ui.result({ ...found, fingerprint: found.fingerprint ?? null, statistics: found.statistics ?? null });
    if (found.bad.length > 0)
      process.exitCode = new DlcourseError({
        code: 'E_DATA_BAD_FILES',
        class: 'data',
        where: given,
        problem: '',
      }).exitStatus;
  });
}

interface MakeFlags extends OutputOptions {
  seed?: number;
  train?: number;
  test?: number;
  size?: [number, number];
}

const make = (): Command =>
  withOutput(
    new Command('make')
      .summary('draw a data set like the embedded one')
      .description(
        'Draws pictures of ten things into a new folder: the same seed, the same pixels. With the defaults it is the embedded set.',
      )
      .argument('<out>', 'the folder to make')
      .addHelpText(
        'before',
        examples('dlcourse data make ./stickers', 'dlcourse data make ./large --size 64 --train 10000 --seed 7'),
      )
      .addOption(option('--seed <n>', 'other seeds, other pictures (default: 1)', whole(0, 2 ** 32 - 1)))
      .addOption(option('--train <n>', 'training pictures (default: 4000)', whole(1, 9_999_999)))
      .addOption(option('--test <n>', 'test pictures (default: 1000)', whole(0, 9_999_999)))
      .addOption(option('--size <n>', 'height and width in pixels (default: 32)', size)),
  ).action(async (out: string, flags: MakeFlags) => {
    const { makeStickers } = await import('../../src/data/make.js');
    const { DlcourseError } = await import('../../src/errors.js');
    const ui = new Ui(flags);
    const [height, width] = flags.size ?? [];
    if (height !== width) {
      throw new DlcourseError({
        code: 'E_OPTION',
        class: 'usage',
        where: '--size',
        problem: `expected a square, got ${height}x${width}`,
      });
    }
    const made = await makeStickers({
      out,
      ...(flags.seed === undefined ? {} : { seed: flags.seed }),
      ...(flags.train === undefined ? {} : { train: flags.train }),
      ...(flags.test === undefined ? {} : { test: flags.test }),
      ...(height === undefined ? {} : { size: height }),
      signal: stopSignal('data make'),
      onProgress: ({ done, total }) => ui.live(() => `${integer(done)} of ${integer(total)} pictures`),
    });
    ui.clear();
    ui.print(
      `${integer(made.train)} training and ${integer(made.test)} test pictures of ${made.size}×${made.size} in ${shown(made.folder)}, ${bytes(made.bytes)}`,
    );
    ui.print(`dlcourse train --data ${shown(made.folder)}`);
    ui.result(made);
  });
