// dlcourse info: what is installed, and what this machine offers.

import os from 'node:os';
import { Command } from 'commander';
import { examples } from '../examples.js';
import { bytes, Ui } from '../ui.js';
import { version } from '../version.js';

export const info = (): Command =>
  new Command('info')
    .description('Shows what is installed and what this machine offers. DLCOURSE_ISA chooses a lower instruction set.')
    .addHelpText('before', examples('dlcourse info', 'DLCOURSE_ISA=avx2 dlcourse info'))
    .option('--json', 'print one JSON object')
    .action(async (options: { json?: boolean }) => {
      const { native } = await import('../../src/native.js');
      const { defaultThreads } = await import('../../src/runtime/program.js');
      const { cacheFolder } = await import('../../src/data/locations.js');
      const { decoderVersion } = await import('../../src/data/image.js');
      const ui = new Ui(options);
      const addon = native().info();
      const result = {
        version: version(),
        node: process.version,
        platform: `${process.platform}-${process.arch}`,
        addon: { protocol: addon.protocol, isa: addon.isa, isas: addon.isas },
        threads: defaultThreads(),
        hardwareThreads: addon.hardwareThreads,
        cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
        memory: { totalBytes: os.totalmem(), freeBytes: os.freemem(), availableBytes: availableMemory() },
        decoders: decoderVersion(),
        cache: cacheFolder(),
      };
      const { memory } = result;
      const lines: [string, string][] = [
        ['dlcourse', result.version],
        ['Node', `${result.node} on ${result.platform}`],
        [
          'processor',
          `${result.cpu}, ${result.hardwareThreads} threads${result.threads === result.hardwareThreads ? '' : `, ${result.threads} in use`}`,
        ],
        ['instruction set', `${addon.isa} (supported: ${addon.isas.join(', ')})`],
        ['addon', `protocol ${addon.protocol}`],
        ['memory', `${bytes(memory.availableBytes)} available of ${bytes(memory.totalBytes)}`],
        ['decoders', result.decoders],
        ['cache', result.cache],
      ];
      const width = Math.max(...lines.map(([name]) => name.length));
      for (const [name, value] of lines) ui.print(`${ui.colors.bold(name.padEnd(width))}  ${value}`);
      ui.result(result);
    });

/** The smaller of what is free and what a container's limit leaves. */
function availableMemory(): number {
  const free = process.availableMemory?.() ?? os.freemem();
  return Math.min(free, os.totalmem());
}
