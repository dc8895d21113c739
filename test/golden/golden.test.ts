// Two small networks against PyTorch: logits, gradients, running statistics, ten losses of SGD and of AdamW.
// golden.safetensors and make.py, which makes it, lie beside this file's source.

import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { readSafetensors, type Tensor } from '../../src/io/safetensors.js';
import {
  avgPool,
  type Block,
  batchNorm,
  branches,
  conv2d,
  depthwiseConv2d,
  dropout,
  flatten,
  globalAvgPool,
  groupNorm,
  linear,
  Model,
  maxPool,
  pad,
  relu,
  relu6,
  residual,
  seq,
  silu,
  subsample,
} from '../../src/layers/index.js';
import { readState, writeState } from '../../src/models/weights.js';
import { Program, Store } from '../../src/runtime/program.js';
import { evaluationGraph } from '../../src/train/evaluation.js';
import type { Source } from '../../src/train/inputs.js';
import { ArraySource } from '../../src/train/inputs.js';
import { makeRecipe, type Recipe } from '../../src/train/recipe.js';
import { slotName } from '../../src/train/step.js';
import { Training } from '../../src/train/training.js';

/** How much farther from the float64 truth than PyTorch's float32 we may be, and a floor where that was lucky. */
const FACTOR = 8;
const FLOOR = 1e-6;
const BATCH = 6;

const branch = (width: number, stride: number): Block =>
  seq({
    conv1: conv2d(width, 3, { stride, bias: false }),
    bn1: batchNorm(),
    relu: relu(),
    conv2: conv2d(width, 3, { bias: false }),
    bn2: batchNorm(),
  });

const convBn = (width: number, kernel: number, stride = 1): Block =>
  seq({ conv: conv2d(width, kernel, { stride, bias: false }), bn: batchNorm() });

const networks = {
  residual: {
    input: [16, 16, 3],
    write: seq({
      stem: convBn(8, 3),
      relu: relu(),
      pool: maxPool(3, { stride: 2, padding: 1 }),
      b: seq({ sum: residual(branch(12, 2), convBn(12, 1, 2)), relu: relu() }),
      a: seq({
        sum: residual(branch(16, 2), seq({ pixels: subsample(2), channels: pad({ channels: [2, 2] }) })),
        relu: relu(),
      }),
      mean: globalAvgPool(),
      dropout: dropout(0),
      fc: linear(5),
    }),
  },
  branching: {
    input: [10, 8, 3],
    write: seq({
      stem: conv2d(8, [3, 1]),
      norm: groupNorm(2),
      silu1: silu(),
      depthwise: depthwiseConv2d(3, { stride: [1, 2] }),
      relu6: relu6(),
      grouped: conv2d(12, 3, { groups: 2, dilation: 2 }),
      silu2: silu(),
      mixed: branches({
        point: conv2d(6, 1),
        wide: x => relu6()(conv2d(10, 3, { dilation: 3 })(x)),
        mean: avgPool(3, { stride: 1, padding: 1, countIncludePad: false }),
      }),
      pool: avgPool(2),
      flatten: flatten(),
      fc: linear(7),
    }),
  },
} as const satisfies Record<string, { input: readonly number[]; write: Block }>;

const optimizers: Record<'sgd' | 'adamw', Partial<Recipe>> = {
  sgd: { optimizer: 'sgd', lr: 0.05, momentum: 0.9, nesterov: true, weightDecay: 5e-3 },
  adamw: { optimizer: 'adamw', lr: 2e-3, weightDecay: 0.05 },
};

let golden: ReadonlyMap<string, Tensor>;
let error: Readonly<Record<string, number>>;

beforeAll(async () => {
  const file = fileURLToPath(new URL('../../../test/golden/golden.safetensors', import.meta.url));
  const { tensors, metadata } = await readSafetensors(file);
  golden = tensors;
  error = JSON.parse(metadata.get('error')!);
});

const floats = (name: string): Float32Array => golden.get(name)!.data as Float32Array;

/** Checks values against the truth of that name: the largest error, relative to the largest value. */
function expectClose(name: string, values: ArrayLike<number>): void {
  const truth = floats(name);
  expect(values.length).toBe(truth.length);
  let largest = 0;
  let difference = 0;
  for (let i = 0; i < truth.length; i++) {
    largest = Math.max(largest, Math.abs(truth[i]!));
    difference = Math.max(difference, Number.isNaN(values[i]!) ? Infinity : Math.abs(values[i]! - truth[i]!));
  }
  const allowed = Math.max(FACTOR * error[name]!, FLOOR);
  if (!(difference / largest <= allowed)) {
    throw new Error(
      `${name}: relative error ${(difference / largest).toExponential(2)}, allowed ${allowed.toExponential(2)}`,
    );
  }
}

describe.each(Object.keys(networks) as (keyof typeof networks)[])('%s network', name => {
  const { input, write } = networks[name];
  const model = Model.from(input, write, name);
  const row = input[0] * input[1] * input[2];

  async function loaded(): Promise<Store> {
    const store = new Store();
    for (const spec of model.state) store.define(spec.name, spec.shape);
    const find = async (path: string) => golden.get(`${name}/state/${path}`) as { shape: number[]; data: Float32Array };
    await writeState(store, model.state, find, name);
    return store;
  }

  /** The stored batches in their order, one an epoch. */
  function batches(): Source {
    const x = floats(`${name}/x`);
    const y = golden.get(`${name}/y`)!.data as Int32Array;
    const count = y.length / BATCH;
    const parts = Array.from(
      { length: count },
      (_, i) =>
        new ArraySource(
          x.slice(i * BATCH * row, (i + 1) * BATCH * row),
          input,
          Int32Array.from(y.slice(i * BATCH, (i + 1) * BATCH)),
        ),
    );
    return {
      length: BATCH,
      labels: parts[0]!.labels!,
      input: graph => parts[0]!.input(graph),
      feeds: (samples, training) => parts[training!.epoch % count]!.feeds(samples),
    };
  }

  async function train(
    steps: number,
    given: Partial<Recipe>,
  ): Promise<{ losses: number[]; training: Training; store: Store }> {
    const store = await loaded();
    const recipe = makeRecipe({
      epochs: steps,
      batchSize: BATCH,
      schedule: { ...makeRecipe().schedule, name: 'constant' },
      ...given,
    });
    const training = new Training({ model, store, recipe, train: batches() });
    const losses: number[] = [];
    for (let i = 0; i < steps; i++) {
      losses.push((await training.step()).loss);
      training.endEpoch();
    }
    return { losses, training, store };
  }

  test('logits in evaluation', async () => {
    const program = new Program(
      evaluationGraph(model, graph => batches().input(graph)),
      {
        batch: BATCH,
        store: await loaded(),
      },
    );
    const { results } = await program.run({ x: floats(`${name}/x`).slice(0, BATCH * row) }, BATCH);
    expectClose(`${name}/logits`, results['output']!);
  });

  test('gradients of all parameters', async () => {
    // Without decay, SGD's momentum after one step is the gradient.
    const { training, store } = await train(1, { optimizer: 'sgd', lr: 0, weightDecay: 0, momentum: 0.5 });
    const slots = training.state.filter(spec => spec.name.startsWith(slotName('momentum', '')));
    const expected = [...golden.keys()].filter(n => n.startsWith(`${name}/gradient/`));
    expect(slots.length).toBe(expected.length);
    for (const tensor of readState(store, slots)) {
      expectClose(
        `${name}/gradient/${tensor.name.slice(slotName('momentum', '').length)}`,
        tensor.data as Float32Array,
      );
    }
  });

  test.each(['sgd', 'adamw'] as const)('ten steps of %s: losses, statistics, last layer', async kind => {
    const { losses, store } = await train(10, optimizers[kind]);
    expectClose(`${name}/${kind}/losses`, losses);
    const kept = model.state.filter(s => s.role === 'statistic' || s.name === 'fc.weight');
    expect(kept.length).toBeGreaterThan(0);
    for (const { name: path, data } of readState(store, kept)) {
      expectClose(`${name}/${kind}/after/${path}`, data as Float32Array);
    }
  });
});
