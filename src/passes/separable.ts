// Separable convolutions: a depthwise convolution whose result one pointwise one reads becomes one op with it, which
// computes both band by band in the cache; the pointwise one before it, too, and what shuffles channels between these.

import { countUses, type Graph, type Node, replaceUses, type Value } from '../graph/graph.js';
import type { Attributes } from '../graph/op.js';
import { separableConv2d } from '../ops/separable.js';

/**
 * Edits a finished graph:
 *
 *     p(d(x))      d with `depthwise`, p with `pointwise`   → separable_conv2d(x)
 *     p(d(e(x)))   e with `pointwise`, too                  → separable_conv2d{expand}(x)
 *
 * where d's and e's results have no other reader, e and d add no residual, and all weights lie in the store, for what
 * is derived from them is kept. What d reads may be shuffled before.
 */
export function joinSeparable(graph: Graph): void {
  const uses = countUses(graph);
  const gone = new Set<Node>();
  const replaced = new Map<Node, Node>();
  const renamed = new Map<Value, Value>();

  const is = (node: Node, kind: 'depthwise' | 'pointwise'): boolean =>
    node.op.spec[kind]?.(
      node.inputs.map(v => v.type),
      node.attributes,
    ) === true && weightsOf(node).every(v => v.source.kind === 'state');
  /** The node that made a value for one use alone. */
  const maker = (value: Value): Node | undefined =>
    value.source.kind === 'node' && uses.get(value) === 1 ? value.source.node : undefined;
  const part = (value: Value, kind: 'depthwise' | 'pointwise'): Node | undefined => {
    const node = maker(value);
    return node && is(node, kind) && !node.attributes['residual'] && !replaced.has(node) ? node : undefined;
  };

  for (const project of [...graph.nodes]) {
    if (!is(project, 'pointwise')) continue;
    const filter = part(project.inputs[0]!, 'depthwise');
    if (!filter) continue;
    const before = maker(filter.inputs[0]!);
    const groups = before?.op.spec.shuffles?.(before.attributes);
    const x = groups === undefined ? filter.inputs[0]! : before!.inputs[0]!;
    const expand = part(x, 'pointwise');
    const parts = [...(expand ? [expand] : []), filter, project];
    const { stride, pad, dilation } = filter.attributes;
    const residual = project.attributes['residual'] === true;
    const pointwise = ({ attributes }: Node): Attributes => ({ ...scaling(attributes), groups: attributes['groups']! });
    const attributes = {
      ...{ stride, pad, dilation, residual, shuffle: groups ?? 1 },
      ...scaling(filter.attributes),
      ...(expand ? { expand: true, ...prefixed('expand', pointwise(expand)) } : {}),
      ...prefixed('project', pointwise(project)),
    } as Attributes;
    const inputs = [
      expand ? expand.inputs[0]! : x,
      ...parts.flatMap(weightsOf),
      ...(residual ? [project.inputs.at(-1)!] : []),
    ];
    const made = graph.detached(commonPath(parts), project.segment, () => separableConv2d(inputs, attributes));
    replaced.set(project, made);
    renamed.set(project.outputs[0]!, made.outputs[0]!);
    for (const node of [...parts.slice(0, -1), ...(groups === undefined ? [] : [before!])]) gone.add(node);
  }

  const current = (value: Value): Value => renamed.get(value) ?? value;
  graph.nodes = graph.nodes.filter(node => !gone.has(node)).map(node => replaced.get(node) ?? node);
  replaceUses(graph, current);
}

/** Of a convolution: weights, bias, and what its norm takes. */
const weightsOf = (node: Node): Value[] => node.inputs.slice(1, node.attributes['residual'] ? -1 : undefined);

const scaling = ({ bias, norm, epsilon, affine, activation }: Attributes): Attributes =>
  ({ bias, norm, epsilon, affine, activation }) as Attributes;

const prefixed = (prefix: string, attributes: Attributes): Attributes =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [`${prefix}${name[0]!.toUpperCase()}${name.slice(1)}`, value]),
  );

/** What the paths of layers have in common, in whole names. */
function commonPath(nodes: readonly Node[]): string {
  const paths = nodes.map(({ path }) => path.split('.'));
  const different = paths[0]!.findIndex((name, i) => paths.some(path => path[i] !== name));
  return paths[0]!.slice(0, different < 0 ? undefined : different).join('.');
}
