// Reverse-mode differentiation, graph to graph: gradients are ops like any others.

import type { Graph, Node, Value } from '../graph/graph.js';
import { type Part, sumOfParts } from './parts.js';

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
  const parts = new Map<Value, Part[]>();
  for (const [output, seed] of seeds) parts.set(output, [{ gradient: seed, begin: 0 }]);

  /** The sum of all contributions, in the order of use. */
  const total = (value: Value): Value | undefined => {
    const list = parts.get(value);
    if (!list) return undefined;
    const gradient = sumOfParts(value.type, list);
    list.splice(0, list.length, { gradient, begin: 0 });
    return gradient;
  };
  const add = (value: Value, part: Part): void => {
    const list = parts.get(value);
    if (list) list.push(part);
    else parts.set(value, [part]);
  };

  for (const node of forward.reverse()) {
    const { gradient: rule, slices } = node.op.spec;
    const wants = node.inputs.map(v => wanted.has(v));
    if (!wants.includes(true) || !(rule || slices)) continue;
    graph.scoped(node.path, () => {
      const dy = node.outputs.map(total);
      if (dy.every(d => d === undefined)) return;
      if (slices) {
        add(node.inputs[0]!, { gradient: dy[0]!, begin: slices(node.attributes).begin });
        return;
      }
      const gradients = rule!({ inputs: node.inputs, outputs: node.outputs, dy, attributes: node.attributes, wants });
      node.inputs.forEach((input, i) => {
        if (gradients[i] && wants[i]) add(input, { gradient: gradients[i], begin: 0 });
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
