// dlcourse export: a model for PyTorch users.

import { Command } from 'commander';
import { layoutNames } from '../../src/io/layouts/layout.js';
import { findWeights, type OutputOptions, refuseExisting, shown, withOutput } from '../common.js';
import { examples } from '../examples.js';
import { integer, Ui } from '../ui.js';
import { choice, option, text } from '../values.js';

interface Flags extends OutputOptions {
  out: string;
  format?: 'pytorch' | 'safetensors';
  layout?: (typeof layoutNames)[number];
  force?: boolean;
}

export const exporting = (): Command =>
  withOutput(
    new Command('export')
      .description(
        'Writes the weights of a run or a model file in the names of another program: a checkpoint that\n' +
          'torch.load(weights_only=True) reads, or safetensors, each for load_state_dict(strict=True).',
      )
      .argument('<run|file>', 'a run folder, a model file, or weights that can be imported')
      .addHelpText(
        'before',
        examples(
          'dlcourse export runs/resnet18-flowers-1 -o flowers.pth',
          'dlcourse export resnet50.safetensors --layout timm --format safetensors -o timm-resnet50.safetensors',
        ),
      )
      .addOption(option('-o, --out <file>', 'the file to write', text).makeOptionMandatory())
      .addOption(
        option(
          '--format <name>',
          'pytorch or safetensors (default: safetensors where the file is named so)',
          choice(['pytorch', 'safetensors']),
        ),
      )
      .addOption(
        option(
          '--layout <name>',
          `whose names: ${layoutNames.join(', ')} (default: the first that the network has)`,
          choice(layoutNames),
        ),
      )
      .option('--force', 'replace an existing file'),
  ).action(exportFile);

async function exportFile(given: string, flags: Flags): Promise<void> {
  const ui = new Ui(flags);
  refuseExisting(flags.out, flags.force);
  const { loadModel } = await import('../../src/models/file.js');
  const { exportModel } = await import('../../src/models/export.js');
  const weights = await findWeights(given);
  const loaded = await loadModel(weights.file, { onNotice: line => ui.notice(line) });
  const format = flags.format ?? (flags.out.endsWith('.safetensors') ? 'safetensors' : 'pytorch');
  const { layout, tensors, background } = await exportModel(flags.out, loaded, { format, layout: flags.layout });
  if (background) {
    ui.notice(`${layout} counts a background class first: it is written with a probability of 0`);
  }
  const { name } = loaded.model;
  ui.print(`${shown(flags.out)}: ${ui.colors.bold(name)} in the names of ${layout}, ${integer(tensors)} tensors`);
  const load = format === 'pytorch' ? `torch.load('${shown(flags.out)}', weights_only=True)` : undefined;
  if (load) ui.print(`model.load_state_dict(${load})`);
  ui.result({ file: flags.out, from: weights.file, model: name, format, layout, tensors, background });
}
