// The sum of gradients of which some are of a few channels only: channels that all have the same parts are summed
// together, and lie side by side in the result, so that nothing is padded with zeros to be added.

import { channelsOf, type TensorType, type Value } from '../graph/graph.js';
import { sum } from '../ops/arithmetic.js';
import { concat, padChannels, sliceChannels } from '../ops/shape.js';

/** What one reader of a value adds to its gradient: to the channels from `begin` on, as many as the gradient has. */
export interface Part {
  readonly gradient: Value;
  readonly begin: number;
}

/** Channels [begin, end) of the sum, and what is summed there: in each gradient as many channels, from its `begin` on. */
interface Segment {
  readonly begin: number;
  end: number;
  readonly addends: readonly Part[];
}

/** The gradient of a value of this type, from parts in the order of its readers. */
export function sumOfParts(type: TensorType, parts: readonly Part[]): Value {
  const channels = channelsOf(type);
  if (parts.every(({ gradient }) => channelsOf(gradient.type) === channels)) return sum(parts.map(p => p.gradient));
  const segments = segmentsOf(parts);
  const values = segments.map(({ begin, end, addends }, i) => {
    const value = sum(addends.map(addend => slice(addend, end - begin)));
    // Channels without any part are zero.
    return padChannels(value, i === 0 ? begin : 0, (segments[i + 1]?.begin ?? channels) - end);
  });
  return values.length === 1 ? values[0]! : concat(values)[0]!;
}

/** As few segments as there can be: two whose addends go on from one to the other are one. */
function segmentsOf(parts: readonly Part[]): Segment[] {
  const ends = parts.flatMap(({ gradient, begin }) => [begin, begin + channelsOf(gradient.type)]);
  const edges = [...new Set(ends)].sort((a, b) => a - b);
  const segments: Segment[] = [];
  edges.slice(1).forEach((end, i) => {
    const begin = edges[i]!;
    const addends = parts
      .filter(part => part.begin <= begin && begin < part.begin + channelsOf(part.gradient.type))
      .map(part => origin({ gradient: part.gradient, begin: begin - part.begin }));
    if (addends.length === 0) return;
    const last = segments.at(-1);
    if (last && goesOn(last, begin, addends)) last.end = end;
    else segments.push({ begin, end, addends });
  });
  return segments;
}

const goesOn = (last: Segment, begin: number, addends: readonly Part[]): boolean =>
  last.end === begin &&
  last.addends.length === addends.length &&
  last.addends.every(
    (a, i) => a.gradient === addends[i]!.gradient && a.begin + begin - last.begin === addends[i]!.begin,
  );

/** The same channels of what a slice is a slice of. */
function origin(part: Part): Part {
  const { source } = part.gradient;
  if (source.kind !== 'node') return part;
  const { op, attributes, inputs } = source.node;
  const of = op.spec.slices?.(attributes);
  return of ? origin({ gradient: inputs[0]!, begin: part.begin + of.begin }) : part;
}

const slice = ({ gradient, begin }: Part, channels: number): Value =>
  channels === channelsOf(gradient.type) ? gradient : sliceChannels([gradient], { begin, end: begin + channels })[0]!;
