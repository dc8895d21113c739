// A plan as it crosses to the addon: data only, nothing left to decide. Mirrors native/plan/plan.h.

import type { DType } from '../graph/graph.js';
import type { Attributes } from '../graph/op.js';

export interface WireTensor {
  dtype: DType;
  /** The largest shape, the rows' count included. */
  shape: number[];
  /** Index of the run-time count that shape[0] follows, or -1. */
  count: number;
  /** Elements from one pixel to the next. */
  stride: number;
  place: 'arena' | 'state' | 'feed';
  /** Byte offset; for state, the index of its name. */
  offset: number;
}

export interface WireStep {
  op: string;
  attributes: Attributes;
  inputs: number[];
  outputs: number[];
  workspace: number;
  derived: number;
}

export interface WireSegment {
  name: string;
  begin: number;
  end: number;
  /** Index of an i32 tensor that must not be zero, or -1. */
  guard: number;
  changesState: boolean;
}

export interface WirePort {
  name: string;
  tensor: number;
}

export interface WirePlan {
  counts: number[];
  state: string[];
  tensors: WireTensor[];
  steps: WireStep[];
  segments: WireSegment[];
  feeds: WirePort[];
  results: WirePort[];
  arenaBytes: number;
  feedBytes: number;
  derivedBytes: number;
}
