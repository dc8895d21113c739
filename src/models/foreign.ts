// Our tensors as other programs store them: other names, some in other shapes, TensorFlow's background class.

import { foreignName, type Layout } from '../io/layouts/layout.js';
import type { StateSpec } from '../layers/layer.js';
import type { Model } from '../layers/model.js';
import { diskShape } from './weights.js';

/** One of our tensors in a file of a layout. */
export interface ForeignTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly spec: StateSpec;
  /** Its first row is the background class. */
  readonly background: boolean;
}

/** What a file of this layout holds for a model, in the order of the model. Norms' `num_batches_tracked` is left out. */
export function foreignTensors(model: Model, layout: Layout): ForeignTensor[] {
  const head = layout.background ? classifier(model).replace(/\w+$/, '') : undefined;
  return model.state.map(spec => {
    const background = head !== undefined && spec.name.startsWith(head);
    const [rows, ...rest] = diskShape(spec.shape, spec.layout) as [number, ...number[]];
    const shape = [background ? rows + 1 : rows, ...rest];
    return { name: foreignName(layout, spec.name), shape: convolutional(shape, spec, layout), spec, background };
  });
}

/** The name of the weights whose rows are the classes: the last of the main way through the model. */
export function classifier(model: Model): string {
  return model.state.findLast(spec => spec.layout !== 'same')!.name;
}

/** [out, c·k·k] as [out, c, k, k] where the file has a convolution; the order of the values is the same. */
function convolutional(shape: number[], { name, layout: order }: StateSpec, layout: Layout): number[] {
  if (order !== 'linear') return shape;
  const path = name.slice(0, name.lastIndexOf('.'));
  const kernel = layout.convolutions?.find(([pattern]) => pattern.test(path))?.[1];
  if (kernel === undefined) return shape;
  const [out, within] = shape as [number, number];
  return [out, within / kernel ** 2, kernel, kernel];
}
