// Activation checkpointing: of the forward pass only what stands between its segments is kept, and the backward pass
// computes the rest again, segment by segment (Chen et al. 2016, Training deep nets with sublinear memory cost). What is
// computed again is the same op on the same operands, so that no number changes.

import { FIXED, type Graph, type Node, type Value } from '../graph/graph.js';
import { type Lifetime, mostAlive } from './memory.js';
import { bytesOf, placeValues } from './storage.js';

/** A block of memory, with the positions of nodes in the forward pass that first write and last use it. */
interface Block {
  readonly bytes: number;
  first: number;
  last: number;
  /** The backward pass reads it. */
  saved: boolean;
  /** Kept in any case: results, and what does not grow with the batch (moments, losses). */
  kept: boolean;
}

/** An execution of a node: its own, or the one that is repeated in the backward pass. */
interface Execution {
  readonly node: Node;
  readonly repeated: boolean;
}

/** The forward pass, the backward pass, and the block behind each value that a node makes. */
interface Passes {
  readonly forward: readonly Node[];
  readonly backward: readonly Node[];
  readonly blocks: ReadonlyMap<Value, Block>;
  /** Bytes that a node needs beside its operands. */
  readonly workspaces: ReadonlyMap<Node, number>;
}

/** Of two divisions that need about the same, the one of fewer segments. */
const WORTHWHILE = 0.98;

/**
 * Edits a differentiated graph: divides its forward pass into the segments with which it needs the least memory. The
 * last one is not computed again, for the backward pass begins with it.
 *
 * @param forward the nodes that were there before differentiation
 * @param counts the largest value of each run-time count: the memory is that of such a run
 * @param workspaces bytes that nodes need beside their operands
 */
export function recompute(
  graph: Graph,
  forward: ReadonlySet<Node>,
  counts: readonly number[],
  workspaces: ReadonlyMap<Node, number>,
): void {
  const passes = { ...passesOf(graph, forward, counts), workspaces };
  let best = passes.forward.concat(passes.backward).map((node): Execution => ({ node, repeated: false }));
  let least = memoryOf(best, passes);
  const saved = [...new Set(passes.blocks.values())].filter(block => block.saved && !block.kept);
  const bytes = saved.reduce((sum, block) => sum + block.bytes, 0);
  // The least is near √n segments where all are alike; twice that is far beyond it.
  for (let parts = 2; parts <= 2 * Math.sqrt(saved.length) + 2; parts = Math.ceil(parts * Math.SQRT2)) {
    const executions = schedule(passes, divide(passes, saved, bytes / parts));
    const needed = memoryOf(executions, passes);
    if (needed < WORTHWHILE * least) [best, least] = [executions, needed];
  }
  carryOut(graph, best);
}

function passesOf(graph: Graph, forward: ReadonlySet<Node>, counts: readonly number[]): Omit<Passes, 'workspaces'> {
  const locate = placeValues(graph);
  const end = graph.nodes.findLastIndex(node => forward.has(node)) + 1;
  const results = new Set([...graph.outputs.values(), ...graph.guards.values()]);
  const byRoot = new Map<Value, Block>();
  const blocks = new Map<Value, Block>();
  graph.nodes.forEach((node, at) => {
    for (const value of [...node.inputs, ...node.outputs]) {
      const { root } = locate(value).storage;
      if (root.source.kind !== 'node') continue;
      let block = byRoot.get(root);
      if (!block) {
        block = { bytes: bytesOf(root, counts), first: at, last: at, saved: false, kept: root.type.count === FIXED };
        byRoot.set(root, block);
      }
      blocks.set(value, block);
      if (at < end) block.last = at;
      else if (block.first < end) block.saved = true;
      if (results.has(value)) block.kept = true;
    }
  });
  return { forward: graph.nodes.slice(0, end), backward: graph.nodes.slice(end), blocks };
}

/** Positions in the forward pass at which a segment begins, so that none has much more than `budget` bytes to save. */
function divide({ forward, blocks }: Passes, saved: readonly Block[], budget: number): number[] {
  const length = forward.length;
  /** Bytes saved by the nodes before a position, and bytes that go from before it to behind it. */
  const before = new Float64Array(length + 1);
  const across = new Float64Array(length + 1);
  for (const { first, bytes } of saved) before[first + 1]! += bytes;
  for (const { first, last, bytes } of new Set(blocks.values())) {
    if (first >= length) continue;
    across[first + 1]! += bytes;
    if (last < length) across[last + 1]! -= bytes;
  }
  for (let i = 0; i < length; i++) {
    before[i + 1]! += before[i]!;
    across[i + 1]! += across[i]!;
  }
  const cuts: number[] = [];
  let begin = 0;
  for (let i = 1; i < length; i++) {
    if (before[i]! - before[begin]! <= budget) continue;
    let cheapest = i;
    for (let c = i - 1; c > begin && before[c]! - before[begin]! >= budget / 2; c--) {
      if (across[c]! < across[cheapest]!) cheapest = c;
    }
    cuts.push(cheapest);
    begin = cheapest;
  }
  return cuts;
}

/** All executions in order when the forward pass is cut at these positions. */
function schedule({ forward, backward, blocks }: Passes, cuts: readonly number[]): Execution[] {
  const segmentAt = new Int32Array(forward.length);
  for (const cut of cuts) segmentAt[cut] = 1;
  for (let i = 1; i < forward.length; i++) segmentAt[i]! += segmentAt[i - 1]!;
  /** The segment in which a value can be computed again; undefined for what is kept. */
  const segmentOf = (value: Value): number | undefined => {
    const block = blocks.get(value);
    if (!block || block.kept || block.first >= forward.length) return undefined;
    const segment = segmentAt[block.first]!;
    return segment < cuts.length && segment === segmentAt[block.last] ? segment : undefined;
  };

  const wanted = new Set(backward.flatMap(node => node.inputs).filter(value => segmentOf(value) !== undefined));
  const repeated: Execution[][] = Array.from(cuts, () => []);
  for (let i = forward.length - 1; i >= 0; i--) {
    const node = forward[i]!;
    if (!node.outputs.some(value => wanted.has(value))) continue;
    repeated[segmentAt[i]!]!.push({ node, repeated: true });
    for (const value of node.inputs) if (segmentOf(value) !== undefined) wanted.add(value);
  }
  const executions: Execution[] = forward.map(node => ({ node, repeated: false }));
  for (const node of backward) {
    for (const value of node.inputs) {
      const segment = segmentOf(value);
      if (segment !== undefined) executions.push(...repeated[segment]!.splice(0).reverse());
    }
    executions.push({ node, repeated: false });
  }
  return executions;
}

/** Bytes of memory that the executions need at least, as `assignStorage` will find it. */
function memoryOf(executions: readonly Execution[], { blocks, workspaces }: Passes): number {
  interface Life extends Lifetime {
    last: number;
    /** The life of the operand whose place it takes. */
    within?: Life;
  }
  const fresh = new Set<Value>();
  const own = new Map<Block, Life>();
  const again = new Map<Block, Life>();
  const lives: Life[] = [];
  const uses = executions.map(({ node, repeated }, at) => {
    if (repeated) for (const value of node.outputs) fresh.add(value);
    const lifeOf = (value: Value): Life | undefined => {
      const block = blocks.get(value);
      if (!block) return undefined;
      const known = fresh.has(value) ? again : own;
      let life = known.get(block);
      if (!life) {
        life = { bytes: block.bytes, first: at, last: at };
        known.set(block, life);
        lives.push(life);
      }
      life.last = at;
      return life;
    };
    const workspace = workspaces.get(node);
    if (workspace) lives.push({ bytes: workspace, first: at, last: at });
    return { inputs: node.inputs.map(lifeOf), outputs: node.outputs.map(lifeOf) };
  });
  const whole = (life: Life | undefined): Life | undefined => (life?.within ? whole(life.within) : life);
  executions.forEach(({ node }, at) => {
    const { inputs, outputs } = uses[at]!;
    const operands = inputs.map(whole);
    const pair = node.op.spec.inPlace?.find(([output, input]) => {
      const [from, to] = [operands[input], outputs[output]];
      const fits = from && to && from.last === at && to.first === at && from.bytes === to.bytes;
      return fits && operands.every((other, i) => i === input || other !== from);
    });
    if (!pair) return;
    const from = operands[pair[1]]!;
    const to = outputs[pair[0]]!;
    to.within = from;
    from.last = to.last;
  });
  return mostAlive(lives.filter(life => !life.within));
}

/** Makes the executions the graph's nodes; who reads what was computed again reads the new value. */
function carryOut(graph: Graph, executions: readonly Execution[]): void {
  const { segment } = graph;
  const again = new Map<Value, Value>();
  const nodes = executions.map(({ node, repeated }) => {
    const inputs = node.inputs.map(value => again.get(value) ?? value);
    if (!repeated) {
      node.inputs = inputs;
      return node;
    }
    graph.segment = node.segment;
    const made = graph.scoped(node.path, () => graph.add(node.op, inputs, node.attributes));
    node.outputs.forEach((value, i) => {
      again.set(value, made.outputs[i]!);
    });
    return made;
  });
  graph.nodes = nodes;
  graph.segment = segment;
}
