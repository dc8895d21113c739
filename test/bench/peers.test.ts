// The comparison with peers: rounds, what is kept of them, ratios, tables; and one trial of ours in its process.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { readResults } from '../parity/results.js';
import { chartSvg } from './chart.js';
import { type Ask, type Failure, measure, type Task } from './measure.js';
import {
  best,
  type Comparison,
  type Contender,
  contenders,
  eager,
  geometricMean,
  median,
  memoryShare,
  resultOf,
  shareOfPeak,
  speedup,
  type TrialAnswer,
} from './results.js';
import { subjectsOf } from './subjects.js';
import { benchmarkTables } from './tables.js';

const task: Task = {
  ...{ network: 'lenet5', form: 'cifar', input: [28, 28, 1], classes: 10, batch: 2, mode: 'infer' },
  ...{ threads: 1, isa: 'scalar', seconds: 0 },
};

/** Answers as `seconds` says: a number a trial, or an error; notes who was asked. */
function peers(seconds: Partial<Record<Contender, (number | string)[]>>, parameters = 7) {
  const asked: string[] = [];
  const ask: Ask = async ({ contender, layout }): Promise<TrialAnswer | Failure> => {
    asked.push(layout ? `${contender} ${layout}` : contender);
    if (contender === 'export') return { seconds: 0, memoryBytes: 0, version: '', parameters };
    const next = seconds[contender]?.shift() ?? 1;
    if (typeof next === 'string') return { error: next };
    return {
      seconds: next,
      memoryBytes: 10 * next,
      version: '1',
      ...(contender === 'onnxruntime' ? {} : { parameters }),
    };
  };
  return { asked, ask };
}

describe('rounds', () => {
  test('contenders take turns; torch.compile has the layout that was faster in the first', async () => {
    const { asked, ask } = peers({ torch: [3, 1], torch_channels_last: [2, 5] });
    const rounds: boolean[] = [];
    const figures = await measure(task, {
      ...{ entrants: contenders, trials: 2, parameters: 7, file: 'x.onnx', ask },
      after: (_, complete) => rounds.push(complete),
    });
    const round = ['dlcourse', 'torch nchw', 'torch_channels_last nhwc', 'torch_compile nhwc'];
    expect(asked).toEqual([...round, 'export', 'onnxruntime', ...round, 'onnxruntime']);
    expect(rounds).toEqual([false, false, false, false, true, false, false, false, false, true]);
    expect(figures.torch).toEqual({ version: '1', layout: 'nchw', seconds: [3, 1], memoryBytes: [30, 10] });
    expect(figures.torch_compile).toMatchObject({ layout: 'nhwc' });
  });

  test('who fails is recorded, is not asked again, and stops nobody', async () => {
    const { asked, ask } = peers({ torch_compile: ['RuntimeError: no compiler'] });
    const figures = await measure(task, {
      ...{ entrants: ['dlcourse', 'torch', 'torch_compile'], trials: 2, parameters: 7, file: '', ask },
    });
    expect(figures.torch_compile).toEqual({ error: 'RuntimeError: no compiler' });
    expect(asked.filter(name => name.startsWith('torch_compile'))).toHaveLength(1);
    expect(figures.torch).toMatchObject({ seconds: [1, 1] });
  });

  test('a later failure leaves the figures of earlier rounds', async () => {
    const { ask } = peers({ torch: [2, 'ended with SIGKILL', 4] });
    const figures = await measure(task, { entrants: ['torch'], trials: 3, parameters: 7, file: '', ask });
    expect(figures.torch).toMatchObject({ seconds: [2, 4] });
  });

  test('a disturbed trial is made again, and the least disturbed is taken', async () => {
    const shares = { dlcourse: [0.5, 0.05], torch: [0.4, 0.3, 0.2, 0.6, 0] };
    const asked: string[] = [];
    const ask: Ask = async ({ contender }) => {
      asked.push(contender);
      const disturbed = shares[contender as 'dlcourse' | 'torch'].shift()!;
      return { seconds: disturbed, memoryBytes: 1, version: '1', parameters: 7, disturbed };
    };
    const entrants = ['dlcourse', 'torch'] as const;
    const figures = await measure(task, { entrants, trials: 1, parameters: 7, file: '', ask });
    expect(asked).toEqual(['dlcourse', 'dlcourse', 'torch', 'torch', 'torch', 'torch']);
    expect(figures).toMatchObject({ dlcourse: { disturbed: [0.05] }, torch: { disturbed: [0.2], seconds: [0.2] } });
  });

  test.each<Contender>(['torch', 'onnxruntime'])('another number of parameters is refused: %s', async contender => {
    const { ask } = peers({}, 8);
    const measuring = measure(task, { entrants: [contender], trials: 1, parameters: 7, file: '', ask });
    await expect(measuring).rejects.toMatchObject({
      ...{ code: 'E_PARAMETERS', exitStatus: 78 },
      message: expect.stringMatching(/^lenet5 \(cifar\): expected 7 parameters as in dlcourse's, got 8 in \w+'s; /),
    });
  });
});

describe('subjects', () => {
  test('the usual networks have passed the parity checks', async () => {
    const passed = new Set(readResults().flatMap(r => (r.passed ? [`${r.network} ${r.form}`] : [])));
    const subjects = await subjectsOf([]);
    expect(subjects.filter(s => !passed.has(`${s.network} ${s.form}`))).toEqual([]);
    expect(subjects.map(s => s.batch)).toEqual([...Array(12).fill(64), 32, ...Array(12).fill(16)]);
    expect(new Set(subjects.map(s => s.input.join('×')))).toEqual(new Set(['32×32×3', '224×224×3']));
  });

  test('a name chooses its usual forms, or all of a network that is not usual', async () => {
    const of = async (...args: Parameters<typeof subjectsOf>) =>
      (await subjectsOf(...args)).map(s => `${s.network} ${s.form} ${s.batch}`);
    expect(await of(['googlenet'])).toEqual(['googlenet cifar 64', 'googlenet imagenet 16']);
    expect(await of(['resnet18'])).toEqual(['resnet18 cifar 64']);
    expect(await of(['resnet34'], 'imagenet', 4)).toEqual(['resnet34 imagenet 4']);
    await expect(subjectsOf(['resnet21'])).rejects.toThrow(/did you mean 'resnet20'\?/);
  });
});

const comparison: Comparison = {
  ...{ cpu: 'Some CPU', isa: 'avx2', threads: 2, network: 'resnet20', form: 'cifar', mode: 'train' },
  ...{ input: [32, 32, 3], batch: 64, parameters: 7, multiplyAdds: 1e9, peakGflops: 1536 },
  ...{ date: '2026-01-02', commit: 'abc1234', node: '20.0.0' },
  figures: {
    dlcourse: { version: '0.1.0', seconds: [0.5, 0.4, 0.6], memoryBytes: [2 ** 20, 2 ** 20, 2 ** 20] },
    torch: {
      ...{ version: '2', layout: 'nchw', seconds: [2, 2, 2], memoryBytes: [2 ** 21, 2 ** 21, 2 ** 21] },
      disturbed: [0, 0.2, 0.1],
    },
    torch_channels_last: { version: '2', layout: 'nhwc', seconds: [1], memoryBytes: [2 ** 22] },
    torch_compile: { version: '2', layout: 'nhwc', seconds: [0.8], memoryBytes: [2 ** 23] },
  },
};

describe('figures', () => {
  test('medians, the faster eager layout, the best, shares', () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
    expect(geometricMean([2, undefined, 8])).toBeCloseTo(4, 12);
    expect(geometricMean([undefined])).toBeUndefined();
    expect(eager(comparison)).toMatchObject({ contender: 'torch_channels_last', seconds: 1 });
    expect(best(comparison)).toMatchObject({ contender: 'torch_compile' });
    const { torch_compile: _, ...others } = comparison.figures;
    expect(best({ ...comparison, figures: others })).toBeUndefined();
    expect(speedup(comparison, eager(comparison))).toBe(2);
    expect(speedup(comparison, best(comparison))).toBe(1.6);
    expect(memoryShare(comparison, eager(comparison))).toBe(0.25);
    expect(resultOf(comparison, 'dlcourse')!.spread).toBeCloseTo(0.4, 12);
    // 2 · 10⁹ · 64 · 3 operations in half a second.
    expect(shareOfPeak(comparison)).toBeCloseTo(0.5, 12);
    expect(shareOfPeak({ ...comparison, mode: 'infer' })).toBeCloseTo(0.5 / 3, 12);
  });

  test('the tables show them, and whatever failed', () => {
    const failed: Comparison = {
      ...{ ...comparison, network: 'resnet18', mode: 'infer' },
      figures: { ...comparison.figures, torch_compile: { error: 'RuntimeError: `x`' } },
    };
    const lines = benchmarkTables([comparison, failed]).split('\n');
    expect(lines[0]).toBe('## Some CPU, avx2, 2 threads');
    expect(lines).toContain('| 32×32 | 2 | 2.00 (1) | 1.60 (1) | 0.25 (1) | 2.00 (1) | – | – | – |');
    expect(benchmarkTables([comparison])).toContain('| 32×32 | 1 | 2.00 | 1.60 | 0.25 | – | – | – | – |');
    expect(lines).toContain(
      '| `resnet20` | 64 × 32×32 | 128 | 64 (NHWC) | 80 (NHWC) | 2.00 | 1.60 | 50 % | 40 % | 1 | 4 | 0.25 ' +
        '| 2026-01-02 | `abc1234` |',
    );
    expect(lines).toContain("- `resnet18`, infer, 32×32: torch_compile failed: `RuntimeError: 'x'`");
    expect(lines.at(-1)).toContain('dlcourse 0.1.0 on Node.js 20.0.0, PyTorch 2, onnxruntime –;');
    expect(lines.at(-1)).toContain('; 15 trials, 2 of them disturbed');
    expect(benchmarkTables([])).toBe('Nothing has been measured yet.');
  });

  test('the chart has a bar from 1 to the ratio, on a scale of factors of two', () => {
    const svg = chartSvg([comparison]);
    expect(svg).toContain('Some CPU, avx2, 2 threads');
    expect(svg).toContain('Training step');
    // Nothing was measured of it.
    expect(svg).not.toContain('Inference');
    const bar = /<rect class="a" x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="12"/.exec(svg)!;
    const ticks = Object.fromEntries(
      [...svg.matchAll(/<text x="([\d.]+)"[^>]*>([\d.]+)×</g)].reverse().map(m => [m[2], m[1]]),
    );
    expect(Number(bar[1])).toBeCloseTo(Number(ticks['1']), 1);
    expect(Number(bar[1]) + Number(bar[2])).toBeCloseTo(Number(ticks['2']), 1);
  });
});

test('a trial of ours answers with time, memory and parameters; a failure with its first line', () => {
  const trial = (request: object) => {
    const program = fileURLToPath(new URL('./trial.js', import.meta.url));
    const { stdout } = spawnSync(process.execPath, [program, JSON.stringify(request)], { encoding: 'utf8' });
    return JSON.parse(stdout);
  };
  for (const mode of ['train', 'infer']) {
    const answer = trial({ ...task, mode, contender: 'dlcourse' });
    expect(answer).toMatchObject({
      ...{ seconds: expect.any(Number), memoryBytes: expect.any(Number) },
      ...{ version: expect.stringMatching(/^\d+\.\d+\.\d+$/), parameters: 61_706 },
    });
    expect(answer.seconds).toBeGreaterThan(0);
    // The weights alone.
    expect(answer.memoryBytes).toBeGreaterThan(4 * 61_706);
  }
  expect(trial({ ...task, contender: 'dlcourse', isa: 'sse2' })).toEqual({ error: expect.stringContaining('sse2') });
});
