// Drops what nobody reads.

import type { Graph, Value } from '../graph/graph.js';

/** Removes nodes whose outputs are not read and which write no state. */
export function prune(graph: Graph): void {
  const needed = new Set<Value>([...graph.outputs.values(), ...graph.guards.values()]);
  const kept = [];
  for (const node of [...graph.nodes].reverse()) {
    const updates = node.op.spec.updates?.(node.attributes, node.inputs.length) ?? [];
    if (updates.length === 0 && !node.outputs.some(v => needed.has(v))) continue;
    for (const v of node.inputs) needed.add(v);
    kept.push(node);
  }
  graph.nodes = kept.reverse();
}
