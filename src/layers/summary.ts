// What a model consists of: shapes, parameters, multiply-adds and memory, layer by layer.

import { elements } from '../graph/graph.js';
import { isLearned } from './layer.js';
import type { Model } from './model.js';
import { textTable } from './text-table.js';

/** One layer of a model. */
export interface LayerSummary {
  /** `stage1.0.conv1` */
  readonly path: string;
  /** `conv2d` */
  readonly kind: string;
  /** Shape of one row of its output: [h, w, c], [l, c] or [c]. */
  readonly output: readonly number[];
  /** Learned values. */
  readonly parameters: number;
  /** For one row. */
  readonly multiplyAdds: number;
  /** Bytes of its output for one row, as 32-bit floats. A compiled plan needs less: it shares and reuses memory. */
  readonly activationBytes: number;
}

/** A model with its totals. */
export interface Summary {
  readonly name: string;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly layers: readonly LayerSummary[];
  readonly parameters: number;
  readonly multiplyAdds: number;
  readonly activationBytes: number;
}

/** Counts what a model consists of. Multiply-adds are those of convolutions and linear layers, as in the literature. */
export function summarize(model: Model): Summary {
  const multiplyAdds = new Map<string, number>();
  for (const { op, path, inputs, outputs, attributes } of model.evaluationGraph.nodes) {
    const count =
      op.spec.multiplyAdds?.(
        inputs.map(v => v.type),
        outputs.map(v => v.type),
        attributes as never,
      ) ?? 0;
    multiplyAdds.set(path, (multiplyAdds.get(path) ?? 0) + count);
  }
  const parameters = new Map<string, number>();
  for (const { name, shape } of model.state.filter(isLearned)) {
    const path = name.slice(0, name.lastIndexOf('.'));
    parameters.set(path, (parameters.get(path) ?? 0) + elements(shape));
  }
  const layers = model.config.layers.map(({ path, kind, id }): LayerSummary => {
    const output = model.shapeOfLayer(id);
    return {
      path,
      kind,
      output,
      parameters: parameters.get(path) ?? 0,
      multiplyAdds: multiplyAdds.get(path) ?? 0,
      activationBytes: 4 * elements(output),
    };
  });
  const total = (key: 'parameters' | 'multiplyAdds' | 'activationBytes'): number =>
    layers.reduce((sum, layer) => sum + layer[key], 0);
  return {
    name: model.name,
    inputs: Object.fromEntries(model.config.inputs.map(({ name, shape }) => [name, shape])),
    layers,
    parameters: total('parameters'),
    multiplyAdds: total('multiplyAdds'),
    activationBytes: total('activationBytes'),
  };
}

const count = (value: number): string => value.toLocaleString('en-US');

/** A summary as a table: layer, kind, output shape, parameters, multiply-adds, activation memory of one row. */
export function showSummary(summary: Summary, heading?: (line: string) => string): string {
  const rows = summary.layers.map(layer => [
    layer.path,
    layer.kind,
    layer.output.join('×'),
    count(layer.parameters),
    count(layer.multiplyAdds),
    `${(layer.activationBytes / 1024).toFixed(1)} KiB`,
  ]);
  const inputs = Object.entries(summary.inputs).map(([name, shape]) => `${name} ${shape.join('×')}`);
  return [
    `${summary.name}: ${inputs.join(', ')}`,
    ...textTable([['layer', 'kind', 'output', 'parameters', 'multiply-adds', 'activations'], ...rows], heading),
    `${count(summary.parameters)} parameters, ${count(summary.multiplyAdds)} multiply-adds, ${(
      summary.activationBytes / 2 ** 20
    ).toFixed(2)} MiB of activations for one row`,
  ].join('\n');
}
