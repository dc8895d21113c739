// dlcourse import: weights of other programs as a model file.

import { Command } from 'commander';
import { layoutNames } from '../../src/io/layouts/layout.js';
import { type OutputOptions, refuseExisting, shown, withOutput } from '../common.js';
import { examples } from '../examples.js';
import { integer, Ui } from '../ui.js';
import { choice, option, text, whole } from '../values.js';

interface Flags extends OutputOptions {
  out: string;
  model?: string;
  layout?: (typeof layoutNames)[number];
  form?: 'cifar' | 'imagenet';
  part?: string;
  classes?: string;
  preprocess?: 'torch' | 'tf';
  resize?: number;
  crop?: number;
  interpolation?: 'linear' | 'cubic';
  force?: boolean;
}

export const importing = (): Command =>
  withOutput(
    new Command('import')
      .description(
        'Reads weights that another program trained and writes a model file, with preprocessing and names of classes.\n' +
          'PyTorch checkpoints (.pth .pt .th .tar .bin, zip and older) and safetensors are read, as data: nothing in\n' +
          'them is run. Network, names, form and classes are recognised. Several files are shards of one model.',
      )
      .argument('<files...>', 'a file, or the shards of one model')
      .addHelpText(
        'before',
        examples(
          'dlcourse import resnet50-0676ba61.pth -o resnet50.safetensors',
          'dlcourse import checkpoint.pth.tar --part state_dict_ema --classes names.txt -o flowers.safetensors',
        ),
      )
      .addOption(option('-o, --out <file>', 'the model file to write, .safetensors', text).makeOptionMandatory())
      .addOption(option('--model <name>', "a network of 'dlcourse models' (default: recognised)", text))
      .addOption(option('--layout <name>', `whose names: ${layoutNames.join(', ')}`, choice(layoutNames)))
      .addOption(option('--form <form>', 'cifar or imagenet, where files of both look alike', formKind))
      .addOption(option('--part <name>', 'the part to take of several, such as state_dict_ema', text))
      .addOption(
        option('--classes <list|file>', 'names: imagenet, cifar10, cifar100, or a text file, one name a line', text),
      )
      .addOption(
        option(
          '--preprocess <name>',
          'normalise pictures as torch or tf do (default: as the weights were trained)',
          choice(['torch', 'tf']),
        ),
      )
      .addOption(option('--resize <n>', 'shorter side of pictures before the crop, in pixels', whole(1, 4096)))
      .addOption(option('--crop <n>', 'side of the crop, which is the input of the network', whole(1, 4096)))
      .addOption(option('--interpolation <name>', 'linear or cubic', choice(['linear', 'cubic'])))
      .option('--force', 'replace an existing file'),
  ).action(importFiles);

const formKind = choice(['cifar', 'imagenet']);

async function importFiles(files: string[], flags: Flags): Promise<void> {
  const ui = new Ui(flags);
  const { out, force, ...options } = flags;
  refuseExisting(out, force);
  const { importModel } = await import('../../src/models/import.js');
  const { saveModel } = await import('../../src/models/file.js');
  const imported = await importModel(files, { ...options, onNotice: line => ui.notice(line) });
  await saveModel(out, imported);
  const { network, form, layout, classes, auxiliary } = imported.recognised;
  const { preprocessing } = imported.card;
  const side = `${preprocessing!.height}×${preprocessing!.width}`;
  ui.print(`${shown(out)}: ${ui.colors.bold(network)}, ${integer(classes)} classes, pictures of ${side}`);
  ui.print(`dlcourse predict PICTURE.jpg --weights ${shown(out)}`);
  ui.result({
    ...{ file: out, from: files, model: network, form, layout: layout.layout, classes, auxiliary },
    ...{ parameters: imported.model.parameters, prefix: imported.prefix, names: imported.card.classes, preprocessing },
  });
}
