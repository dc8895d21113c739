// Prologues: a norm whose result only convolutions read moves into them. Each computes it again while it copies its
// input, which is less traffic than one result in memory; that memory is not needed at all.

import { type Graph, type Node, readers } from '../graph/graph.js';

/**
 * Edits a finished graph, gradients included:
 *
 *     p(norm(x)), q(norm(x))   all with `takesPrologue`, norm with `isPrologue`   → p{prologue}(x), q{prologue}(x)
 *
 * where the norm's result is the first input of all its readers, and no output.
 */
export function moveIntoReaders(graph: Graph): void {
  const read = readers(graph);
  const results = new Set([...graph.outputs.values(), ...graph.guards.values()]);
  const gone = new Set<Node>();
  for (const norm of graph.nodes) {
    const [value] = norm.outputs;
    if (!norm.op.spec.isPrologue?.(norm.attributes) || results.has(value!)) continue;
    const uses = read.get(value!) ?? [];
    const fits = uses.every(node => node.op.spec.takesPrologue && node.inputs.indexOf(value!) === 0);
    const once = uses.every(node => node.inputs.lastIndexOf(value!) === 0);
    if (uses.length === 0 || !fits || !once) continue;
    const taken = uses.map(node => node.op.spec.takesPrologue!(node, norm));
    if (taken.includes(undefined)) continue;
    uses.forEach((node, i) => {
      graph.extend(node, taken[i]!.inputs, taken[i]!.attributes);
    });
    gone.add(norm);
  }
  graph.nodes = graph.nodes.filter(node => !gone.has(node));
}
