// Channel shuffles read what a concatenation would lay side by side, and write what slices would take apart: nothing is
// copied to be shuffled, or because half of what was shuffled goes its own way (ShuffleNetV2).

import { channelsOf, countUses, type Graph, type Node, readers, replaceUses, type Value } from '../graph/graph.js';

/**
 * Edits a finished graph, s with `shuffles`:
 *
 *     s(concat(a, b))                    where nobody else reads the concatenation   → s(a, b)
 *     slice(s(x), 0, h), slice(s(x), h, c)   where nobody reads anything else of s(x)    → s{outputs = h, c - h}(x)
 */
export function shuffleInPieces(graph: Graph): void {
  const uses = countUses(graph);
  const readersOf = readers(graph);
  const gone = new Set<Node>();
  const renamed = new Map<Value, Value>();
  const nodes = graph.nodes.map(node => {
    if (!node.op.spec.shuffles) return node;
    const [x, y] = [node.inputs[0]!, node.outputs[0]!];
    const concat = uses.get(x) === 1 ? concatenationOf(x) : undefined;
    const slices = partition(y, readersOf.get(y) ?? [], uses.get(y) ?? 0);
    if (!concat && slices.length === 0) return node;
    const pieces = slices.map(slice => slice.outputs[0]!);
    const attributes = { ...node.attributes, outputs: pieces.map(piece => channelsOf(piece.type)) };
    const inputs = concat?.inputs ?? node.inputs;
    const made = graph.detached(node.path, node.segment, () => graph.add(node.op, inputs, attributes));
    (pieces.length > 0 ? pieces : [y]).forEach((value, i) => {
      renamed.set(value, made.outputs[i]!);
    });
    for (const old of [...slices, ...(concat ? [concat] : [])]) gone.add(old);
    return made;
  });
  graph.nodes = nodes.filter(node => !gone.has(node));
  replaceUses(graph, value => renamed.get(value) ?? value);
}

const concatenationOf = ({ source }: Value): Node | undefined =>
  source.kind === 'node' && source.node.op.spec.concatenates ? source.node : undefined;

/** The readers of a value in the order of its channels, where they are slices that have each channel once; else none. */
function partition(value: Value, nodes: readonly Node[], uses: number): Node[] {
  const slices = nodes.flatMap(node => {
    const range = node.op.spec.slices?.(node.attributes);
    return range ? [{ node, ...range }] : [];
  });
  slices.sort((a, b) => a.begin - b.begin);
  const ends = [0, ...slices.map(({ end }) => end)];
  const whole = slices.every(({ begin }, i) => begin === ends[i]) && ends.at(-1) === channelsOf(value.type);
  return whole && slices.length > 1 && slices.length === uses ? slices.map(({ node }) => node) : [];
}
