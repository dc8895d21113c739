// Simplification: the same numbers from fewer. What is computed twice is computed once; an activation behind a maximum
// has fewer elements than one before it, and what it was applied to need not be kept for its gradient.

import { countUses, type Graph, type Node, replaceUses, type Value } from '../graph/graph.js';

/**
 * Edits a forward graph, before `fuse`:
 *
 *     f(x), f(x)     the same op with the same attributes, which updates nothing   → f(x)
 *     m(f(x))        m with `largest`, f `nondecreasing`                           → f(m(x))
 *
 * the second where f's result has no other reader, and x is no norm's, which keeps nothing for an activation.
 * @returns what a value of the graph as it was is now
 */
export function simplify(graph: Graph): (value: Value) => Value {
  const merged = mergeEqual(graph);
  const moved = activateLate(graph);
  return value => moved(merged(value));
}

function mergeEqual(graph: Graph): (value: Value) => Value {
  const renamed = new Map<Value, Value>();
  const current = (value: Value): Value => renamed.get(value) ?? value;
  const known = new Map<string, Node>();
  graph.nodes = graph.nodes.filter(node => {
    node.inputs = node.inputs.map(current);
    if (node.op.spec.updates) return true;
    const key = JSON.stringify([node.op.name, node.segment, node.attributes, node.inputs.map(v => v.id)]);
    const same = known.get(key);
    if (!same) {
      known.set(key, node);
      return true;
    }
    node.outputs.forEach((old, i) => {
      renamed.set(old, same.outputs[i]!);
    });
    return false;
  });
  replaceUses(graph, current);
  return current;
}

function activateLate(graph: Graph): (value: Value) => Value {
  const renamed = new Map<Value, Value>();
  const current = (value: Value): Value => renamed.get(value) ?? value;
  const uses = countUses(graph);
  const nodes = new Set<Node>();
  for (const node of graph.nodes) {
    node.inputs = node.inputs.map(current);
    const before = node.op.spec.largest ? activationOf(node.inputs[0]!) : undefined;
    if (!before || uses.get(before.outputs[0]!) !== 1) {
      nodes.add(node);
      continue;
    }
    const again = ({ op, path, segment, attributes }: Node, x: Value): Node =>
      graph.detached(path, segment, () => graph.add(op, [x], attributes));
    const largest = again(node, before.inputs[0]!);
    const activation = again(before, largest.outputs[0]!);
    nodes.delete(before);
    nodes.add(largest).add(activation);
    const made = [activation.outputs[0]!, ...largest.outputs.slice(1)];
    node.outputs.forEach((old, i) => {
      renamed.set(old, made[i]!);
      uses.set(made[i]!, uses.get(old) ?? 0);
    });
  }
  graph.nodes = [...nodes];
  replaceUses(graph, current);
  return current;
}

/** The nondecreasing function that made a value of what is no norm's. */
function activationOf({ source }: Value): Node | undefined {
  if (source.kind !== 'node' || !source.node.op.spec.nondecreasing) return undefined;
  const { source: x } = source.node.inputs[0]!;
  return x.kind === 'node' && x.node.op.spec.isPrologue ? undefined : source.node;
}
