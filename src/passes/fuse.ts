// Fusion: moments, shortcuts and activations move into the op whose result they read, which then does them while it
// stores. Rules ask ops for properties, never for names.

import type { Graph, Node, Value } from '../graph/graph.js';
import type { Attributes } from '../graph/op.js';

/**
 * Edits a forward graph (before differentiation, so that gradients see the fused ops):
 *
 *     moments(p(x))        p with `takesMoments`       → p{moments}
 *     add(p(x), shortcut)  p with `takesResidual`      → p{residual}
 *     relu(p(x))           p with `takesActivation`    → p{activation}
 *
 * where p's result has no other reader (moments: may have).
 * @returns what a value of the graph as it was is now
 */
export function fuse(graph: Graph): (value: Value) => Value {
  const renamed = new Map<Value, Value>();
  const current = (value: Value): Value => {
    let v = value;
    for (let next = renamed.get(v); next; next = renamed.get(v)) v = next;
    return v;
  };
  const uses = new Map<Value, number>();
  for (const node of graph.nodes) for (const v of node.inputs) uses.set(v, (uses.get(v) ?? 0) + 1);
  for (const v of [...graph.outputs.values(), ...graph.guards.values()]) uses.set(v, (uses.get(v) ?? 0) + 1);

  const nodes: (Node | undefined)[] = [];
  const position = new Map<Node, number>();
  const place = (node: Node, at: number): void => {
    nodes[at] = node;
    position.set(node, at);
  };

  /** Puts `made` where `absorbed` (and the node that it stems from) was; it yields what both yielded. */
  const producer = (value: Value, property: 'takesActivation' | 'takesResidual', single: boolean): Node | undefined => {
    if (value.source.kind !== 'node' || value.source.output !== 0) return undefined;
    const { node } = value.source;
    if (!node.op.spec[property] || node.attributes['activation'] !== 'none') return undefined;
    return !single || uses.get(value) === 1 ? node : undefined;
  };
  const remake = (from: Node, inputs: readonly Value[], attributes: Attributes): Node =>
    graph.detached(from.path, from.segment, () => graph.add(from.op, inputs, attributes));
  const inherit = (made: Value, ...olds: Value[]): void => {
    for (const old of olds) renamed.set(old, made);
    uses.set(made, uses.get(olds.at(-1)!) ?? 0);
  };

  for (const original of [...graph.nodes]) {
    original.inputs = original.inputs.map(current);
    const node = original;
    const at = nodes.length;
    const [first, second] = node.inputs;

    if (node.op.spec.moments && first?.source.kind === 'node' && first.source.node.op.spec.takesMoments) {
      const from = first.source.node;
      if (from.attributes['moments'] === false && from.attributes['activation'] === 'none') {
        const made = remake(from, from.inputs, { ...from.attributes, moments: true });
        place(made, position.get(from)!);
        inherit(made.outputs[0]!, first);
        uses.set(made.outputs[0]!, uses.get(first)! - 1);
        node.outputs.forEach((old, i) => {
          inherit(made.outputs[i + 1]!, old);
        });
        continue;
      }
    }
    if (node.op.spec.sums && node.inputs.length === 2 && node.attributes['activation'] === 'none') {
      const pick = [0, 1].find(i => {
        const from = producer(node.inputs[i]!, 'takesResidual', true);
        return from && from.attributes['residual'] === false;
      });
      if (pick !== undefined) {
        const from = (node.inputs[pick]!.source as { node: Node }).node;
        const { inputs, attributes } = from.op.spec.takesResidual!(from, pick === 0 ? second! : first!);
        const made = remake(from, inputs, attributes);
        nodes[position.get(from)!] = undefined;
        place(made, at);
        inherit(made.outputs[0]!, node.inputs[pick]!, node.outputs[0]!);
        continue;
      }
    }
    const activation = node.op.spec.activation;
    const from = activation && first && producer(first, 'takesActivation', true);
    if (from && from.attributes['moments'] !== true) {
      const made = remake(from, from.inputs, { ...from.attributes, activation: activation! });
      nodes[position.get(from)!] = undefined;
      place(made, at);
      inherit(made.outputs[0]!, first, node.outputs[0]!);
      continue;
    }
    place(node, at);
  }

  graph.nodes = nodes.filter(node => node !== undefined);
  for (const map of [graph.outputs, graph.guards]) for (const [name, v] of map) map.set(name, current(v));
  for (const node of graph.nodes) node.inputs = node.inputs.map(current);
  return current;
}
