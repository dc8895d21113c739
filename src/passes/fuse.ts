// Fusion: moments, shortcuts and activations move into the op whose result they read, which then does them while it
// stores. Rules ask ops for properties, never for names.

import { countUses, type Graph, type Node, replaceUses, type Value } from '../graph/graph.js';
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
  const uses = countUses(graph);
  const nodes: (Node | undefined)[] = [];
  const position = new Map<Node, number>();
  const place = (node: Node, at: number): void => {
    nodes[at] = node;
    position.set(node, at);
  };

  /** The node that made a value for one use alone, if it has the property, and no activation yet. */
  const producer = (value: Value, property: 'takesActivation' | 'takesResidual'): Node | undefined => {
    if (value.source.kind !== 'node' || value.source.output !== 0 || uses.get(value) !== 1) return undefined;
    const { node } = value.source;
    return node.op.spec[property] && node.attributes['activation'] === 'none' ? node : undefined;
  };
  const remake = (from: Node, inputs: readonly Value[], attributes: Attributes): Node =>
    graph.detached(from.path, from.segment, () => graph.add(from.op, inputs, attributes));
  /** `made` stands for these now, and is used like the last of them. */
  const inherit = (made: Value, ...olds: Value[]): void => {
    for (const old of olds) renamed.set(old, made);
    uses.set(made, uses.get(olds.at(-1)!) ?? 0);
  };

  for (const node of [...graph.nodes]) {
    node.inputs = node.inputs.map(current);
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
        const from = producer(node.inputs[i]!, 'takesResidual');
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
    const from = activation && first && producer(first, 'takesActivation');
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
  replaceUses(graph, current);
  return current;
}
