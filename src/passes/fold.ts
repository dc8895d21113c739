// Folding: a norm with constant statistics moves into the op whose result it reads, by scaling its weights. For graphs
// that are evaluated only: folded ops have no gradient.

import { countUses, type Graph, type Node, replaceUses, type Value } from '../graph/graph.js';

/**
 * Edits a graph, before `fuse`, so that activations and shortcuts behind a norm find the op that took it:
 *
 *     norm(p(x))         p with `takesNorm`      → p{norm}
 *     norm(view(p(x)))   a view of all channels  → view(p{norm})
 *
 * where nobody else reads p's result, and all that scales it lies in the store: the folded weights are then derived
 * from the store alone, and again when its content changes.
 */
export function foldNorms(graph: Graph): void {
  const uses = countUses(graph);
  /** What a node became; norms are gone. */
  const replaced = new Map<Node, Node | undefined>();
  const renamed = new Map<Value, Value>();

  /** The op behind a value that is used but once, through views of all its channels. */
  const producer = (value: Value): Node | undefined => {
    const { source } = value;
    if (source.kind !== 'node' || uses.get(value) !== 1) return undefined;
    const { node } = source;
    if (!node.op.spec.view) return node;
    return channelsOf(node.inputs[0]!) === channelsOf(value) ? producer(node.inputs[0]!) : undefined;
  };

  for (const norm of [...graph.nodes]) {
    if (!norm.op.spec.norms?.(norm.attributes)) continue;
    const node = producer(norm.inputs[0]!);
    const folded = node?.op.spec.takesNorm?.(node, norm);
    if (!node || !folded?.inputs.slice(1).every(v => v.source.kind === 'state')) continue;
    const made = graph.detached(node.path, node.segment, () => graph.add(node.op, folded.inputs, folded.attributes));
    replaced.set(node, made).set(norm, undefined);
    renamed.set(node.outputs[0]!, made.outputs[0]!).set(norm.outputs[0]!, norm.inputs[0]!);
  }

  const current = (value: Value): Value => {
    const next = renamed.get(value);
    return next ? current(next) : value;
  };
  graph.nodes = graph.nodes.map(node => (replaced.has(node) ? replaced.get(node) : node)).filter(n => n !== undefined);
  replaceUses(graph, current);
}

const channelsOf = (v: Value): number | undefined => v.type.shape.at(-1);
