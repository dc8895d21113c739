// Writes the generated parts of README.md and docs/: `npm run docs`. With --check, fails when they are not fresh.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exitStatus } from '../../src/errors.js';
import { activations } from '../../src/ops/activations.js';
import { packageRoot } from '../../src/package.js';
import { type PublishedRecipe, publishedRecipes, stochasticDepthRecipe } from '../../src/train/recipes.js';
import { allNetworks } from '../../src/zoo/zoo.js';
import { chartSvg } from '../bench/chart.js';
import { fastTable, readFastRuns } from '../bench/fast-runs.js';
import { inputTable, readInputRows } from '../bench/input-rows.js';
import { kernelTable, readKernelResults } from '../bench/kernel-rows.js';
import { memoryTable, readMemoryRows } from '../bench/memory-rows.js';
import { profileTable, readProfiles } from '../bench/profile-rows.js';
import { readComparisons } from '../bench/results.js';
import { readStartupRows, startupTable } from '../bench/startup-rows.js';
import { benchmarkTables } from '../bench/tables.js';
import { cliPath } from '../cli/dlcourse.js';
import { parityTable, readResults } from '../parity/results.js';
import { curvesTable, readCurves } from './learning-curves.js';
import { table } from './markdown.js';
import { drawing, familyTable, networkTables } from './networks-tables.js';
import { readTrainings, trainingTable } from './training-runs.js';

const activationTable = (): string =>
  table(
    ['name', 'formula', 'source'],
    Object.entries(activations).map(([name, row]) => [`\`${name}\``, row.formula, row.source]),
  );

const short = (value: number): string => String(Number(value.toPrecision(3)));

/** `multi_step at 50 %, 75 %, × 0.1` */
const scheduleText = (row: PublishedRecipe): string => {
  const { schedule, milestones, length, gamma, power, warmup, rise, first, last } = row;
  const share = (at: number): string => `${short((100 * at) / length)} %`;
  const parts = [
    milestones ? `${schedule} × ${gamma ?? 0.1} at ${milestones.map(share).join(', ')}` : schedule,
    ...(milestones || gamma === undefined ? [] : [`to ${short(gamma)}`]),
    ...(power === undefined ? [] : [`power ${power}`]),
    ...(rise === undefined ? [] : [`from ${first ?? 0} up to 1 at ${short(100 * rise)} %, to ${last ?? 0}`]),
  ];
  return `${parts.join(' ')}${warmup ? `; warm-up ${share(warmup)}` : ''}`;
};

const others = [
  ...['labelSmoothing', 'ema', 'lookahead', 'clip', 'biasLr', 'whiten', 'testCrops'],
  ...['dropout', 'stochasticDepth', 'initialisation'],
] as (keyof PublishedRecipe)[];

const recipes = (): string =>
  table(
    ['networks', 'form', 'optimizer', 'rate', 'decay', 'batch', 'schedule', 'augmentation', 'more', 'after'],
    [...publishedRecipes, stochasticDepthRecipe].map(row => {
      const { optimizer, momentum, nesterov, alpha, epsilon, shift, augment } = row;
      const constants = [
        ...(momentum > 0 ? [`${nesterov ? 'Nesterov' : 'momentum'} ${momentum}`] : []),
        ...(alpha === undefined ? [] : [`α ${alpha}`]),
        ...(epsilon === undefined ? [] : [`ε ${epsilon}`]),
      ];
      const more = others.flatMap(key => {
        const value = row[key];
        if (value === undefined) return [];
        return value === true ? [key] : [`${key} ${typeof value === 'number' ? Number(value.toPrecision(4)) : value}`];
      });
      const crop = shift === undefined ? '' : `crop of ${short(100 * shift)} % of the side`;
      return [
        row === stochasticDepthRecipe ? '`stochastic_depth`: any residual network' : `\`${row.networks}\``,
        row.form ?? 'both',
        [optimizer, ...constants].join(', '),
        short(row.lr),
        short(row.weightDecay),
        String(row.batchSize),
        scheduleText(row),
        [crop, augment].filter(Boolean).join(', '),
        more.join(', ') || '–',
        row.source,
      ];
    }),
  );

const exits = (): string =>
  table(
    ['status', 'meaning'],
    [
      ['0', 'done'],
      ...Object.entries({
        usage: 'the command line is wrong',
        data: 'the data are wrong: bad images, labels, sizes',
        notFound: 'something named is not there, or cannot be read',
        refusedFile: 'a file is not what it should be',
        internal: 'a bug of dlcourse',
        resources: 'not enough memory or other resources',
        write: 'a file could not be written or synced',
        interrupted: 'stopped, everything saved, can be resumed (not by a signal)',
        integrity: 'a file is damaged',
        permission: 'not permitted',
        mismatch: 'does not match: other data, other model than the run or the weights',
        diverged: 'the training diverged (NaN or infinity)',
        checkFailed: 'a check failed: --min-accuracy was not reached',
      }).map(([name, meaning]) => [String(exitStatus[name as keyof typeof exitStatus]), meaning]),
      ['128 + n', 'ended by signal n after saving: 130 Ctrl-C, 143 TERM, 129 HUP'],
    ],
  );

/** `dlcourse --help`, as a terminal of 100 columns shows it. */
const help = (): string => {
  const text = execFileSync(process.execPath, [cliPath, '--help'], {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', COLUMNS: '100' },
  });
  return `\`\`\`text\n${text.trimEnd()}\n\`\`\``;
};

const generated: Record<string, () => string | Promise<string>> = {
  families: async () => familyTable(await allNetworks()),
  networks: async () => networkTables(await allNetworks()),
  activations: activationTable,
  recipes,
  'exit-statuses': exits,
  help,
  training: async () => trainingTable(readTrainings(), await allNetworks()),
  curves: () => curvesTable(readCurves()),
  parity: async () => parityTable(readResults(), await allNetworks()),
  benchmarks: () => benchmarkTables(readComparisons()),
  profiles: () => profileTable(readProfiles()),
  fast: () => fastTable(readFastRuns()),
  input: () => inputTable(readInputRows()),
  kernels: () => kernelTable(readKernelResults()),
  memory: () => memoryTable(readMemoryRows()),
  startup: () => startupTable(readStartupRows()),
};

/** Files that are generated as a whole. */
const whole: Record<string, () => string | Promise<string>> = {
  'docs/resnet18.svg': drawing,
  'docs/benchmarks.svg': () => chartSvg(readComparisons()),
};

let stale = false;
function keep(file: string, before: string | undefined, after: string): void {
  if (after === before) return;
  if (process.argv.includes('--check')) {
    console.error(`${file}: expected its generated parts to be fresh; run \`npm run docs\``);
    stale = true;
  } else writeFileSync(join(packageRoot, file), after);
}

for (const name of [
  'README',
  'docs/cli',
  'docs/models',
  'docs/training',
  'docs/parity',
  'docs/benchmarks',
  'docs/fast',
]) {
  const file = `${name}.md`;
  const before = readFileSync(join(packageRoot, file), 'utf8');
  let after = before;
  for (const [name, make] of Object.entries(generated)) {
    const [open, close] = [`<!-- generated: ${name} -->`, `<!-- end: ${name} -->`];
    const [from, to] = [after.indexOf(open), after.indexOf(close)];
    if (from >= 0 && to > from)
      after = `${after.slice(0, from + open.length)}\n\n${await make()}\n\n${after.slice(to)}`;
  }
  keep(file, before, after);
}
for (const [file, make] of Object.entries(whole)) {
  const path = join(packageRoot, file);
  keep(file, existsSync(path) ? readFileSync(path, 'utf8') : undefined, await make());
}
process.exitCode = stale ? 1 : 0;
