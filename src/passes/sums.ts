// Gradient sums of a norm move into the op that writes the gradient, which sums it up while it is in the cache.

import { type Graph, type Node, replaceUses, type Value } from '../graph/graph.js';

/**
 * Edits a finished graph:
 *
 *     sums(p(dy), x, …)   p with `takesGradientSums`, sums with `isGradientSums`   → p{sums}(dy, …, x, …)
 *
 * where all that the sums read is there when p runs. The gradient may have other readers.
 */
export function moveSumsIntoWriters(graph: Graph): void {
  const position = new Map(graph.nodes.map((node, i) => [node, i]));
  const replaced = new Map<Value, Value>();
  const gone = new Set<Node>();
  for (const sums of graph.nodes) {
    if (!sums.op.spec.isGradientSums?.(sums.attributes)) continue;
    const { source } = sums.inputs[0]!;
    if (source.kind !== 'node' || source.output !== 0) continue;
    const { node } = source;
    const isThere = ({ source: of }: Value): boolean =>
      of.kind !== 'node' || position.get(of.node)! < position.get(node)!;
    const taken = node.op.spec.takesGradientSums?.(node, sums);
    if (!taken || node.segment !== sums.segment || !sums.inputs.slice(1).every(isThere)) continue;
    graph.extend(node, taken.inputs, taken.attributes);
    sums.outputs.forEach((old, i) => {
      replaced.set(old, node.outputs[i + 1]!);
    });
    gone.add(sums);
  }
  const current = (value: Value): Value => replaced.get(value) ?? value;
  graph.nodes = graph.nodes.filter(node => !gone.has(node));
  replaceUses(graph, current);
}
