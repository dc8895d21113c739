// Where a plan's time goes, beside the roofline.

import { opList } from '../../src/graph/op.js';
import { native } from '../../src/native.js';
import { conv2d, conv2dGradInput, conv2dGradWeight } from '../../src/ops/conv2d.js';
import type { BuiltPlan } from '../../src/plan/build.js';
import { type Peak, rooflineTime } from './timing.js';

export interface ProfileRow {
  name: string;
  steps: number;
  milliseconds: number;
  /** Of the time of all steps, 0 to 1. */
  share: number;
  /** Operands read and results written, each once. */
  bytes: number;
  /** Time that the roofline allows by the time taken. Above 100 where operands lie in a cache, or with Winograd. */
  percentOfRoofline: number;
  /** Time taken beyond what the roofline allows, in milliseconds. */
  millisecondsBeyond: number;
  /** For convolutions and linear layers, counted as if they were computed directly. */
  gflops?: number;
  percentOfPeak?: number;
}

/** Rows are sorted by the time that they take beyond what the roofline allows. */
export interface Profile {
  /** Of the best time of each step, in milliseconds. */
  total: number;
  /** What the roofline allows for them, in milliseconds. */
  roofline: number;
  /** Of the memory, in GB/s, measured after the steps. */
  bandwidthGBps: number;
  /** Convolutions by their windows: `conv2d 3×3`, `conv2d_grad_weight 3×3 depthwise, stride 2`. */
  ops: ProfileRow[];
  layers: ProfileRow[];
  /** Each step of the plan: `name` is op, layer and output shape. */
  steps: ProfileRow[];
}

/**
 * @param nanoseconds of each step of the plan
 * @param batch rows of the run that was measured
 */
export async function profileOf(
  plan: BuiltPlan,
  nanoseconds: Float64Array,
  batch: number,
  peak: Peak,
): Promise<Profile> {
  const bandwidthGBps = await native().bandwidth(peak.isa, peak.threads, 0.3);
  const flops = multiplyAddsOf(plan).map(count => 2 * count * batch);
  const bytes = bytesOf(plan);
  const allowed = flops.map((count, i) => rooflineTime(count, bytes[i]!, peak.gflops, bandwidthGBps));
  const sum = (values: ArrayLike<number>, steps: readonly number[]) => steps.reduce((s, i) => s + values[i]!, 0);
  const all = plan.wire.steps.map((_, i) => i);
  const total = sum(nanoseconds, all);

  const group = (name: (step: number) => string): ProfileRow[] => {
    const groups = new Map<string, number[]>();
    for (const i of all) groups.set(name(i), [...(groups.get(name(i)) ?? []), i]);
    return [...groups]
      .map(([key, steps]) => {
        const [time, least] = [sum(nanoseconds, steps), sum(allowed, steps)];
        const row = {
          ...{ name: key, steps: steps.length, milliseconds: time / 1e6, share: time / total },
          ...{ bytes: sum(bytes, steps), percentOfRoofline: (100 * least) / time },
          millisecondsBeyond: Math.max(0, time - least) / 1e6,
        };
        const counted = steps.filter(i => flops[i]! > 0);
        if (counted.length === 0) return row;
        const gflops = sum(flops, counted) / sum(nanoseconds, counted);
        return { ...row, gflops, percentOfPeak: peak.percent(gflops) };
      })
      .sort((a, b) => b.millisecondsBeyond - a.millisecondsBeyond);
  };
  const { wire, paths } = plan;
  const shape = (i: number): string =>
    wire.tensors[wire.steps[i]!.outputs[0] ?? wire.steps[i]!.inputs[0]!]!.shape.join('×');
  return {
    total: total / 1e6,
    roofline: sum(allowed, all) / 1e6,
    bandwidthGBps,
    ops: group(i => [wire.steps[i]!.op, ...windowOf(plan, i)].join(' ')),
    layers: group(i => paths[i] || '(step)'),
    steps: group(i => `${wire.steps[i]!.op} ${paths[i]} ${shape(i)} #${i}`),
  };
}

/** What tells one convolution from others for its kernels: `3×3 grouped, stride 2`. */
function windowOf({ wire }: BuiltPlan, step: number): string[] {
  const { op, inputs, outputs, attributes } = wire.steps[step]!;
  const weights = { [conv2d.name]: inputs[1], [conv2dGradInput.name]: inputs[1], [conv2dGradWeight.name]: outputs[0] };
  const tensor = weights[op];
  if (tensor === undefined) return [];
  const [kh, kw, icPerGroup, oc] = wire.tensors[tensor]!.shape;
  const { groups, stride } = attributes as { groups: number; stride: number[] };
  const kind = groups === 1 ? '' : icPerGroup === 1 && groups === oc ? ' depthwise' : ' grouped';
  const steps = [...new Set(stride)].join('×');
  return [`${kh}×${kw}${kind}${steps === '1' ? '' : `, stride ${steps}`}`];
}

/** Multiply-adds of each step of a plan for one row: a gradient has those of the layer's forward pass. */
function multiplyAddsOf({ wire, paths }: BuiltPlan): number[] {
  const type = (i: number) => {
    const { dtype, shape, count } = wire.tensors[i]!;
    return { dtype, count, shape: count < 0 ? shape : shape.slice(1) };
  };
  const own = wire.steps.map(({ op, inputs, outputs, attributes }) =>
    opList.get(op)?.spec.multiplyAdds?.(inputs.map(type), outputs.map(type), attributes as never),
  );
  const forward = new Map(own.flatMap((count, i) => (count === undefined ? [] : [[paths[i]!, count]])));
  const gradients = new Set([conv2dGradInput, conv2dGradWeight].map(op => op.name));
  return wire.steps.map(({ op }, i) => own[i] ?? (gradients.has(op) ? forward.get(paths[i]!) : undefined) ?? 0);
}

/** Bytes that each step must move at least: distinct operands once, results once, what it updates both ways. */
export function bytesOf({ wire }: Pick<BuiltPlan, 'wire'>): number[] {
  const size = (i: number): number => {
    const { dtype, shape } = wire.tensors[i]!;
    return shape.reduce((product, d) => product * d, 1) * (dtype === 'u8' ? 1 : 4);
  };
  return wire.steps.map(({ op, attributes, inputs, outputs }) => {
    const updated = opList.get(op)?.spec.updates?.(attributes, inputs.length) ?? [];
    const moved = [...new Set(inputs), ...new Set([...updated.map(i => inputs[i]!), ...outputs])];
    return moved.reduce((sum, i) => sum + size(i), 0);
  });
}
