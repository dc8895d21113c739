// Evaluation: the graph of it, and a compiled one run over all samples of a source.

import { Graph, type Value } from '../graph/graph.js';
import type { Model } from '../layers/model.js';
import { foldNorms } from '../passes/fold.js';
import { fuse } from '../passes/fuse.js';
import { prune } from '../passes/prune.js';
import { simplify } from '../passes/simplify.js';
import type { Data, Program } from '../runtime/program.js';
import type { Feeds, Source } from './inputs.js';
import { averageScores, Counts, type Evaluation } from './metrics.js';

/** Name in the store of the moving average of a tensor. */
export const emaName = (name: string): string => `ema/${name}`;

/**
 * The evaluation step: `input`'s feeds to the result `output` (and the model's others by name, without side outputs).
 * @param average evaluate the moving averages instead of the trained tensors
 */
export function evaluationGraph(model: Model, input: (graph: Graph) => Value, average = false): Graph {
  const graph = new Graph();
  const built = model.build(graph, {
    training: false,
    inputs: { [model.config.inputs[0]!.name]: input(graph) },
    ...(average ? { nameInStore: emaName } : {}),
  });
  for (const [name, value] of Object.entries(built.outputs)) {
    if (!Object.hasOwn(model.config.outputWeights ?? {}, name)) graph.outputs.set(name, value);
  }
  prune(graph);
  simplify(graph);
  foldNorms(graph);
  fuse(graph);
  return graph;
}

/** Runs a compiled evaluation over a whole source. Throws the signal's reason when aborted. */
export async function evaluate(
  program: Program,
  source: Source,
  classes: readonly string[],
  signal?: AbortSignal,
  onProgress?: (done: number) => void,
): Promise<Evaluation> {
  const counts = new Counts(classes);
  const { crops = 1 } = source;
  await forEachAnswer(
    program,
    source,
    (scores, picture) => {
      counts.add(scores, [source.labels![picture * crops]!]);
      onProgress?.(picture + 1);
    },
    signal,
  );
  return counts.result();
}

/** The main output for each picture in order; crops of one picture have one answer, see `averageScores`. */
export async function forEachAnswer(
  program: Program,
  source: Source,
  use: (scores: Float32Array, picture: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { crops = 1 } = source;
  let rows: Float32Array[] = [];
  await forEachBatch(
    program,
    source,
    (results, samples) => {
      const output = Object.values(results)[0] as Float32Array;
      const size = output.length / samples.length;
      samples.forEach((sample, i) => {
        rows.push(output.subarray(i * size, (i + 1) * size));
        if (rows.length < crops) return;
        use(crops === 1 ? rows[0]! : averageScores(joined(rows), crops), Math.floor(sample / crops));
        rows = [];
      });
    },
    signal,
  );
}

function joined(rows: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(rows.length * rows[0]!.length);
  rows.forEach((row, i) => {
    out.set(row, i * row.length);
  });
  return out;
}

/** Runs a compiled evaluation on all samples in order; the next batch is read while one runs. */
export async function forEachBatch(
  program: Program,
  source: Source,
  use: (results: Record<string, Data>, samples: Int32Array) => void,
  signal?: AbortSignal,
): Promise<void> {
  const batch = (at: number): Int32Array =>
    Int32Array.from({ length: Math.min(program.batch, source.length - at) }, (_, i) => at + i);
  let next: Promise<Feeds> | undefined;
  for (let at = 0; at < source.length; at += program.batch) {
    signal?.throwIfAborted();
    const samples = batch(at);
    const feeds = await (next ?? source.feeds(samples, undefined));
    const running = program.run(feeds, samples.length);
    next = at + program.batch < source.length ? source.feeds(batch(at + program.batch), undefined) : undefined;
    next?.catch(() => {});
    use((await running).results, samples);
  }
}
