// A plan as it comes over the wire: steps in order, tensors with their places, nothing left to decide.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "plan/attributes.h"
#include "plan/tensor.h"

namespace dl {

/// Where a tensor lies: in the arena, in the store, or among the feeds of the run.
enum class Place : uint8_t { arena, state, feed };

struct PlanTensor {
  TensorSpec spec;
  Place place = Place::arena;
  /// Arena, feed: byte offset. State: index into Plan::state.
  int64_t offset = 0;
};

struct PlanStep {
  std::string op;
  Attributes attributes;
  std::vector<int> inputs;
  std::vector<int> outputs;
  /// Byte offset in the arena of the step's workspace, and in the plan's own memory of what it derives from
  /// state.
  int64_t workspace = 0;
  int64_t derived = 0;
};

/// A run of steps that is executed as a whole. With a guard, an i32 scalar, only when that is not zero.
struct PlanSegment {
  std::string name;
  int begin = 0;
  int end = 0;
  int guard = -1;
  /// The segment changes state that steps derive from.
  bool changes_state = false;
};

struct PlanPort {
  std::string name;
  int tensor = 0;
};

struct Plan {
  /// Largest value of each run-time count; count 0 is the batch.
  std::vector<int64_t> counts;
  /// Names of the tensors in the store that the plan binds to.
  std::vector<std::string> state;
  std::vector<PlanTensor> tensors;
  std::vector<PlanStep> steps;
  std::vector<PlanSegment> segments;
  std::vector<PlanPort> feeds;
  std::vector<PlanPort> results;
  int64_t arena_bytes = 0;
  int64_t feed_bytes = 0;
  int64_t derived_bytes = 0;
};

}  // namespace dl
