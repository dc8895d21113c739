// docs/benchmarks.json as tables: a section for each machine and instruction set.

import { number, table } from '../tools/markdown.js';
import {
  best,
  type Comparison,
  type Contender,
  DISTURBED,
  eager,
  geometricMean,
  type Mode,
  memoryShare,
  type Result,
  resultOf,
  shareOfPeak,
  speedup,
} from './results.js';
import { type Group, groupsOf } from './rows.js';
import { usualOrder } from './subjects.js';

const layouts = { nchw: 'NCHW', nhwc: 'NHWC' } as const;
const missing = '–';

const ratio = (value: number | undefined): string => value?.toFixed(2) ?? missing;
const percent = (value: number | undefined): string =>
  value === undefined ? missing : `${(100 * value).toFixed(0)} %`;
const mebibytes = (result: Result | undefined): string =>
  result ? number(Math.round(result.memoryBytes / 2 ** 20)) : missing;
const layout = (result: Result): string => (result.layout ? ` (${layouts[result.layout]})` : '');
const size = (c: Comparison): string => c.input.slice(0, 2).join('×');

const three = (value: number): string => (value >= 100 ? number(Math.round(value)) : `${Number(value.toPrecision(3))}`);

/** Images a second, or for one image milliseconds. */
function speed(c: Comparison, result: Result | undefined, contender?: Contender): string {
  if (!result) return contender && c.figures[contender] ? 'failed' : missing;
  const value = c.mode === 'latency' ? 1000 * result.seconds : c.batch / result.seconds;
  return `${three(value)}${result.contender === 'torch_compile' || contender === undefined ? layout(result) : ''}`;
}

/** The largest of the contenders in the row; one trial has none. */
const spread = (c: Comparison): string => {
  if (Object.values(c.figures).every(f => 'error' in f || f.seconds.length < 2)) return missing;
  const spreads = (Object.keys(c.figures) as Contender[]).flatMap(name => resultOf(c, name)?.spread ?? []);
  return percent(Math.max(0, ...spreads));
};

const ort = (c: Comparison): Result | undefined => resultOf(c, 'onnxruntime');
const own = (c: Comparison): Result | undefined => resultOf(c, 'dlcourse');
const compiled = (c: Comparison): Result | undefined => resultOf(c, 'torch_compile');

type Column = readonly [head: string, cell: (c: Comparison) => string];

const what: readonly Column[] = [
  ['network', c => `\`${c.network}\``],
  ['input', c => `${c.mode === 'latency' ? '' : `${c.batch} × `}${size(c)}`],
];
const speeds: readonly Column[] = [
  ['dlcourse', c => speed(c, own(c), 'dlcourse')],
  ['PyTorch eager', c => speed(c, eager(c))],
  ['torch.compile', c => speed(c, compiled(c), 'torch_compile')],
];
const onnx: Column = ['onnxruntime', c => speed(c, ort(c), 'onnxruntime')];
const overPytorch: readonly Column[] = [
  ['÷ eager', c => ratio(speedup(c, eager(c)))],
  ['÷ best', c => ratio(speedup(c, best(c)))],
];
const overOnnx: Column = ['÷ onnxruntime', c => ratio(speedup(c, ort(c)))];
const peak: Column = ['of peak', c => percent(shareOfPeak(c))];
const spreads: Column = ['spread', spread];
const measured: readonly Column[] = [
  ['day', c => c.date],
  ['version', c => `\`${c.commit}\``],
];

const sections: Record<Mode, { heading: string; columns: readonly Column[] }> = {
  train: {
    heading: 'Training step, images a second',
    columns: [
      ...what,
      ...speeds,
      ...overPytorch,
      peak,
      spreads,
      ['memory, MiB', c => mebibytes(own(c))],
      ['eager, MiB', c => mebibytes(eager(c))],
      ['share', c => ratio(memoryShare(c, eager(c)))],
      ...measured,
    ],
  },
  infer: {
    heading: 'Inference, images a second',
    columns: [
      ...what,
      ...speeds,
      onnx,
      ...overPytorch,
      overOnnx,
      peak,
      spreads,
      ['memory, MiB', c => mebibytes(own(c))],
      ['onnxruntime, MiB', c => mebibytes(ort(c))],
      ['share', c => ratio(memoryShare(c, ort(c)))],
      ...measured,
    ],
  },
  latency: {
    heading: 'One image, milliseconds',
    columns: [...what, ...speeds, onnx, ...overPytorch, overOnnx, spreads, ...measured],
  },
};

/** The sections of docs/benchmarks.md. */
export function benchmarkTables(comparisons: readonly Comparison[]): string {
  if (comparisons.length === 0) return 'Nothing has been measured yet.';
  return groupsOf(comparisons).map(section).join('\n\n');
}

function section({ name, rows: comparisons }: Group<Comparison>): string {
  const parts = (Object.keys(sections) as Mode[]).flatMap(mode => {
    const rows = usualOrder(comparisons.filter(c => c.mode === mode));
    if (rows.length === 0) return [];
    const { heading, columns } = sections[mode];
    const body = rows.map(c => columns.map(([, cell]) => cell(c)));
    return [
      `### ${heading}`,
      table(
        columns.map(([head]) => head),
        body,
      ),
    ];
  });
  return [`## ${name}`, means(comparisons), ...parts, ...failures(comparisons), circumstances(comparisons)].join(
    '\n\n',
  );
}

/** Geometric means for each size of the input, with the number of networks where it is not that of all. */
function means(comparisons: readonly Comparison[]): string {
  const sizes = [...new Set(usualOrder(comparisons).map(size))];
  const lines = sizes.map(input => {
    const all = comparisons.filter(c => size(c) === input);
    const networks = new Set(all.map(c => c.network)).size;
    const of = (mode: Mode, value: (c: Comparison) => number | undefined): string => {
      const known = all.filter(c => c.mode === mode).flatMap(c => value(c) ?? []);
      const some = known.length > 0 && known.length < networks;
      return `${ratio(geometricMean(known))}${some ? ` (${known.length})` : ''}`;
    };
    return [
      input,
      `${networks}`,
      of('train', c => speedup(c, eager(c))),
      of('train', c => speedup(c, best(c))),
      of('train', c => memoryShare(c, eager(c))),
      of('infer', c => speedup(c, best(c))),
      of('infer', c => speedup(c, ort(c))),
      of('latency', c => speedup(c, best(c))),
      of('latency', c => speedup(c, ort(c))),
    ];
  });
  const head = ['geometric mean', 'networks', 'training ÷ eager', 'training ÷ best', "training's memory, share"];
  const more = ['inference ÷ best', 'inference ÷ onnxruntime', 'one image ÷ best', 'one image ÷ onnxruntime'];
  return table([...head, ...more], lines);
}

function failures(comparisons: readonly Comparison[]): string[] {
  const lines = usualOrder(comparisons).flatMap(c =>
    Object.entries(c.figures).flatMap(([name, f]) =>
      'error' in f
        ? [`- \`${c.network}\`, ${c.mode}, ${size(c)}: ${name} failed: \`${f.error.replaceAll('`', "'")}\``]
        : [],
    ),
  );
  return lines.length > 0 ? [lines.join('\n')] : [];
}

function circumstances(comparisons: readonly Comparison[]): string {
  const listed = (values: readonly (string | undefined)[]): string =>
    [...new Set(values.filter(v => v !== undefined))].sort().join(', ');
  const version = (...names: Contender[]): string =>
    listed(
      comparisons.flatMap(c =>
        names.map(name => {
          const f = c.figures[name];
          return f && 'version' in f ? f.version : undefined;
        }),
      ),
    ) || missing;
  const peaks = comparisons.map(c => c.peakGflops);
  const made = comparisons.flatMap(c => Object.values(c.figures)).filter(f => 'seconds' in f);
  const trials = made.reduce((sum, f) => sum + f.seconds.length, 0);
  const disturbed = made.flatMap(f => f.disturbed ?? []).filter(share => share > DISTURBED).length;
  return [
    `FMA peak ${three(Math.min(...peaks))} to ${three(Math.max(...peaks))} GFLOP/s;`,
    `dlcourse ${version('dlcourse')} on Node.js ${listed(comparisons.map(c => c.node))},`,
    `PyTorch ${version('torch', 'torch_channels_last', 'torch_compile')}, onnxruntime ${version('onnxruntime')};`,
    `${number(trials)} trials, ${number(disturbed)} of them disturbed: more than a tenth of their time their`,
    'threads waited for a processor.',
  ].join(' ');
}
