// See executable.h.
#include "plan/executable.h"

#include <algorithm>
#include <utility>

#include "base/checked.h"
#include "base/line.h"

namespace dl {
namespace {

/// Bytes that a tensor spans: the gaps between its pixels count, those after the last one do not.
int64_t span_bytes(const TensorSpec& spec) {
  int64_t pixels = spec.shape.pixels();
  if (pixels == 0) return 0;
  int64_t elements = checked_add(checked_mul(pixels - 1, spec.stride), spec.shape.channels());
  return checked_mul(elements, size_of(spec.dtype));
}

bool inside(int64_t offset, int64_t bytes, int64_t size) {
  return offset >= 0 && bytes >= 0 && offset <= size && bytes <= size - offset;
}

void check_tensors(const Plan& plan) {
  for (const PlanTensor& tensor : plan.tensors) {
    const TensorSpec& spec = tensor.spec;
    require(spec.shape.rank <= kMaxRank, "a tensor has too many dimensions");
    int64_t elements = 1;
    for (int i = 0; i < spec.shape.rank; i++) elements = checked_mul(elements, spec.shape[i]);
    require(spec.stride >= spec.shape.channels(), "a pixel stride is smaller than the number of channels");
    require(spec.count >= -1 && spec.count < static_cast<int>(plan.counts.size()),
            "a tensor follows an unknown count");
    if (spec.count >= 0) {
      require(spec.shape.rank > 0 && spec.shape[0] == plan.counts[static_cast<size_t>(spec.count)],
              "a tensor's first dimension is not the largest value of its count");
    }
  }
}

std::unique_ptr<Op> make_op(const Plan& plan, const PlanStep& step, const Kernels& kernels) {
  StepSpec spec{step.attributes, {}, {}, kernels};
  auto specs = [&](const std::vector<int>& indices, std::vector<TensorSpec>& into) {
    for (int index : indices) {
      require(index >= 0 && index < static_cast<int>(plan.tensors.size()), "a step names an unknown tensor");
      into.push_back(plan.tensors[static_cast<size_t>(index)].spec);
    }
  };
  specs(step.inputs, spec.inputs);
  specs(step.outputs, spec.outputs);
  return find_op(step.op).make(spec);
}

}  // namespace

void Arena::reserve(size_t bytes) {
  if (bytes <= memory_.size()) return;
  if (in_flight > 0) throw Error("E_BUSY", "the arena cannot grow while a run uses it");
  memory_ = Buffer();  // give the old block back first: only one of them is ever needed
  memory_ = Buffer(bytes);
}

std::vector<Needs> requirements(const Plan& plan, const Kernels& kernels) {
  check_tensors(plan);
  std::vector<Needs> needs;
  needs.reserve(plan.steps.size());
  for (const PlanStep& step : plan.steps) needs.push_back(make_op(plan, step, kernels)->needs());
  return needs;
}

Executable::Executable(Plan plan, std::shared_ptr<Store> store, std::shared_ptr<Arena> arena,
                       const Kernels& kernels, int threads)
    : plan_(std::move(plan)),
      store_(std::move(store)),
      arena_(std::move(arena)),
      threads_(std::max(threads, 1)) {
  for (int64_t count : plan_.counts) require(count > 0, "a count must be positive");
  check_tensors(plan_);
  for (const PlanTensor& tensor : plan_.tensors) check_place(tensor);
  for (const std::string& name : plan_.state) state_.push_back(store_->at(name).memory->data());

  int64_t scratch = 0;
  for (const PlanStep& step : plan_.steps) {
    auto op = make_op(plan_, step, kernels);
    Needs needs = op->needs();
    require(inside(step.workspace, needs.workspace, plan_.arena_bytes) && step.workspace % kLineBytes == 0,
            step.op + ": its workspace does not fit");
    require(inside(step.derived, needs.derived, plan_.derived_bytes) && step.derived % kLineBytes == 0,
            step.op + ": its derived memory does not fit");
    scratch = std::max(scratch, needs.scratch);
    steps_.push_back({std::move(op), operand_tensors_.size(), static_cast<int>(step.inputs.size()),
                      static_cast<int>(step.outputs.size())});
    operand_tensors_.insert(operand_tensors_.end(), step.inputs.begin(), step.inputs.end());
    operand_tensors_.insert(operand_tensors_.end(), step.outputs.begin(), step.outputs.end());
  }
  operands_.resize(operand_tensors_.size());
  for (const PlanSegment& segment : plan_.segments) {
    require(
        segment.begin >= 0 && segment.begin <= segment.end && segment.end <= static_cast<int>(steps_.size()),
        "segment '" + segment.name + "' is out of range");
    require(segment.guard >= -1 && segment.guard < static_cast<int>(plan_.tensors.size()),
            "segment '" + segment.name + "' has an unknown guard");
    if (segment.guard >= 0) {
      const TensorSpec& guard = plan_.tensors[static_cast<size_t>(segment.guard)].spec;
      require(guard.dtype == DType::i32 && guard.shape.elements() == 1, "a guard must be one i32");
    }
  }
  for (const auto* ports : {&plan_.feeds, &plan_.results}) {
    for (const PlanPort& port : *ports) {
      require(port.tensor >= 0 && port.tensor < static_cast<int>(plan_.tensors.size()),
              "port '" + port.name + "' names an unknown tensor");
    }
  }
  for (const PlanPort& feed : plan_.feeds) {
    require(plan_.tensors[static_cast<size_t>(feed.tensor)].place == Place::feed,
            "a feed lies in the wrong place");
  }

  arena_->reserve(static_cast<size_t>(plan_.arena_bytes));
  // Threads' scratch starts a few lines apart, so that equal offsets do not meet in the same cache set.
  scratch_stride_ = round_up(scratch, kLineBytes) + 5 * kLineBytes;
  scratch_ = Buffer(static_cast<size_t>(checked_mul(scratch_stride_, threads_)));
  derived_ = Buffer(static_cast<size_t>(plan_.derived_bytes));
  for (Buffer& slot : slots_) slot = Buffer(static_cast<size_t>(plan_.feed_bytes));
}

void Executable::check_place(const PlanTensor& tensor) const {
  int64_t bytes = span_bytes(tensor.spec);
  switch (tensor.place) {
    case Place::arena:
      require(inside(tensor.offset, bytes, plan_.arena_bytes) && tensor.offset % 4 == 0,
              "a tensor leaves the arena");
      break;
    case Place::feed:
      require(inside(tensor.offset, bytes, plan_.feed_bytes) && tensor.offset % 4 == 0,
              "a feed leaves its slot");
      break;
    case Place::state: {
      require(tensor.offset >= 0 && tensor.offset < static_cast<int64_t>(plan_.state.size()),
              "unknown state");
      const Store::Entry& entry = store_->at(plan_.state[static_cast<size_t>(tensor.offset)]);
      if (entry.dtype != tensor.spec.dtype || static_cast<int64_t>(entry.bytes()) != bytes) {
        throw Error("E_STATE", entry.name + ": the plan expects " + std::to_string(bytes) +
                                   " bytes, the store has " + std::to_string(entry.bytes()));
      }
      break;
    }
  }
}

int Executable::take_slot() {
  for (int i = 0; i < kSlots; i++) {
    bool free = false;
    if (slot_taken_[static_cast<size_t>(i)].compare_exchange_strong(free, true)) return i;
  }
  return -1;
}

Shape Executable::shape_of(int tensor, const std::vector<int64_t>& counts) const {
  const TensorSpec& spec = plan_.tensors[static_cast<size_t>(tensor)].spec;
  Shape shape = spec.shape;
  if (spec.count >= 0) shape[0] = counts[static_cast<size_t>(spec.count)];
  return shape;
}

int64_t Executable::bytes_of(int tensor, const std::vector<int64_t>& counts) const {
  return shape_of(tensor, counts).elements() * size_of(plan_.tensors[static_cast<size_t>(tensor)].spec.dtype);
}

Tensor Executable::resolve(int index, const std::vector<int64_t>& counts, int slot_index) const {
  const PlanTensor& tensor = plan_.tensors[static_cast<size_t>(index)];
  std::byte* data = nullptr;
  switch (tensor.place) {
    case Place::arena:
      data = arena_->data() + tensor.offset;
      break;
    case Place::feed:
      data = slot(slot_index) + tensor.offset;
      break;
    case Place::state:
      data = state_[static_cast<size_t>(tensor.offset)];
      break;
  }
  return {tensor.spec.dtype, shape_of(index, counts), tensor.spec.stride, data};
}

Outcome Executable::run(const std::vector<int>& segments, const std::vector<int64_t>& counts, int slot_index,
                        Pool& pool, std::vector<int64_t>* times) {
  progress_ = 0;
  for (size_t i = 0; i < operands_.size(); i++)
    operands_[i] = resolve(operand_tensors_[i], counts, slot_index);
  bool fresh = derived_version_ == store_->version();
  bool complete = true;  // every deriving step has run
  for (int index : segments) {
    const PlanSegment& segment = plan_.segments[static_cast<size_t>(index)];
    if (segment.guard >= 0 && *resolve(segment.guard, counts, slot_index).i32() == 0) return Outcome::refused;
    for (int s = segment.begin; s < segment.end; s++) {
      // A segment that changes the state is done whole or not at all.
      const bool may_stop = s == segment.begin || !segment.changes_state;
      if (may_stop && cancelled_.load(std::memory_order_relaxed)) return Outcome::cancelled;
      const Step& step = steps_[static_cast<size_t>(s)];
      const PlanStep& planned = plan_.steps[static_cast<size_t>(s)];
      auto started = times ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
      const Tensor* tensors = operands_.data() + step.operands;
      step.op->run(Run{{tensors, static_cast<size_t>(step.inputs)},
                       {tensors + step.inputs, static_cast<size_t>(step.outputs)},
                       arena_->data() + planned.workspace,
                       derived_.data() + planned.derived,
                       fresh,
                       scratch_.data(),
                       scratch_stride_,
                       pool,
                       threads_});
      if (times) {
        (*times)[static_cast<size_t>(s)] +=
            std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - started)
                .count();
      }
      progress_.fetch_add(1, std::memory_order_relaxed);
    }
    if (segment.changes_state) {
      store_->touch();
      complete = false;
    }
  }
  // What a partial list of segments derived may lack a step: only a run of all of them counts as complete.
  if (complete && segments.size() == plan_.segments.size()) derived_version_ = store_->version();
  return Outcome::done;
}

}  // namespace dl
