// The exact mode: ops that have a choice sum their products as they are.

import type { Graph } from '../graph/graph.js';

/** Sets the attribute `exact` of every node whose op has it. */
export function makeExact(graph: Graph): void {
  for (const node of graph.nodes) {
    if (node.op.attributes['exact']) node.attributes = { ...node.attributes, exact: true };
  }
}
