// A compiled plan: checked, bound to a store and an arena, ready to run step after step.
#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "plan/op.h"
#include "plan/plan.h"
#include "plan/store.h"

namespace dl {

/// Memory for intermediate values, shared by plans that never run at the same time.
class Arena {
 public:
  /// Throws E_BUSY while a run uses the arena and it would have to move.
  void reserve(size_t bytes);
  std::byte* data() const { return memory_.data(); }
  size_t size() const { return memory_.size(); }
  std::atomic<int> in_flight{0};

 private:
  Buffer memory_;
};

/// What each step of `plan` needs; the plan has no places yet. Throws E_PLAN.
std::vector<Needs> requirements(const Plan& plan, const Kernels& kernels);

enum class Outcome { done, refused, cancelled };

class Executable {
 public:
  /// Checks every index, size and place. Throws E_PLAN, E_STATE (state of another shape), E_MEMORY.
  Executable(Plan plan, std::shared_ptr<Store> store, std::shared_ptr<Arena> arena, const Kernels& kernels,
             int threads);

  static constexpr int kSlots = 2;

  /// Memory for one run's feeds; the feeds lie in it at their offsets.
  std::byte* slot(int index) const { return slots_[static_cast<size_t>(index)].data(); }
  /// A free slot, now taken, or -1.
  int take_slot();
  void free_slot(int index) { slot_taken_[static_cast<size_t>(index)].store(false); }

  const Plan& plan() const { return plan_; }
  const std::shared_ptr<Store>& store() const { return store_; }
  const std::shared_ptr<Arena>& arena() const { return arena_; }
  int threads() const { return threads_; }

  /// The present shape of a tensor when the counts are `counts`.
  Shape shape_of(int tensor, const std::vector<int64_t>& counts) const;
  /// Bytes of a dense tensor of that shape.
  int64_t bytes_of(int tensor, const std::vector<int64_t>& counts) const;

  /// Executes the segments in order. `refused` when a guard stopped one (the later ones are left out too).
  /// With `times`, adds each step's nanoseconds to it.
  Outcome run(const std::vector<int>& segments, const std::vector<int64_t>& counts, int slot, Pool& pool,
              std::vector<int64_t>* times);
  /// Where a tensor lies after a run; state and arena only.
  Tensor resolve(int tensor, const std::vector<int64_t>& counts, int slot) const;

  /// Asks the present run to stop before its next step.
  void cancel() { cancelled_.store(true); }
  void clear_cancel() { cancelled_.store(false); }
  /// Steps executed by the present run so far.
  int64_t progress() const { return progress_.load(std::memory_order_relaxed); }

 private:
  struct Step {
    std::unique_ptr<Op> op;
    size_t operands;  // where its tensors begin in operands_
    int inputs;
    int outputs;
  };

  void check_place(const PlanTensor& tensor) const;

  Plan plan_;
  std::shared_ptr<Store> store_;
  std::shared_ptr<Arena> arena_;
  int threads_;
  std::vector<Step> steps_;
  std::vector<int> operand_tensors_;
  std::vector<Tensor> operands_;  // resolved at the start of a run
  std::vector<std::byte*> state_;
  Buffer scratch_;
  int64_t scratch_stride_ = 0;
  Buffer derived_;
  uint64_t derived_version_ = 0;
  std::array<Buffer, kSlots> slots_;
  std::array<std::atomic<bool>, kSlots> slot_taken_{};
  std::atomic<bool> cancelled_{false};
  std::atomic<int64_t> progress_{0};
};

}  // namespace dl
