// Reverse-mode differentiation, graph to graph: gradients are ops like any others.

import type { Graph, Node, Value } from '../graph/graph.js';
import { sum } from '../ops/arithmetic.js';

/**
 * Appends to the graph the gradients of Σ seed·output with respect to the values `wrt`.
 * @param seeds gradient of each output that counts, of the output's type
 * @returns the gradient of each value of `wrt` that the outputs depend on
 */
export function differentiate(
  graph: Graph,
  seeds: ReadonlyMap<Value, Value>,
  wrt: readonly Value[],
): Map<Value, Value> {
  const forward = [...graph.nodes];
  const wanted = reaching(forward, wrt);
  const parts = new Map<Value, Value[]>();
  for (const [output, seed] of seeds) parts.set(output, [seed]);

  /** The sum of all contributions, in the order of use. */
  const total = (value: Value): Value | undefined => {
    const list = parts.get(value);
    if (!list) return undefined;
    if (list.length > 1) list.splice(0, list.length, sum(list));
    return list[0];
  };

  for (const node of forward.reverse()) {
    const rule = node.op.spec.gradient;
    const wants = node.inputs.map(v => wanted.has(v));
    if (!rule || !wants.includes(true)) continue;
    graph.scoped(node.path, () => {
      const dy = node.outputs.map(total);
      if (dy.every(d => d === undefined)) return;
      const gradients = rule({ inputs: node.inputs, outputs: node.outputs, dy, attributes: node.attributes, wants });
      node.inputs.forEach((input, i) => {
        const gradient = gradients[i];
        if (!gradient || !wants[i]) return;
        const list = parts.get(input);
        if (list) list.push(gradient);
        else parts.set(input, [gradient]);
      });
    });
  }
  const out = new Map<Value, Value>();
  for (const value of wrt) {
    const gradient = total(value);
    if (gradient) out.set(value, gradient);
  }
  return out;
}

/** The values that depend on one of `wrt`. */
function reaching(nodes: readonly Node[], wrt: readonly Value[]): Set<Value> {
  const set = new Set(wrt);
  for (const node of nodes) {
    if (node.inputs.some(v => set.has(v))) for (const output of node.outputs) set.add(output);
  }
  return set;
}
