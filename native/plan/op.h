// What an op is to the executor: prepared once from shapes and attributes, then run on tensors, step after
// step.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "plan/attributes.h"
#include "plan/tensor.h"
#include "threads/pool.h"

namespace dl {

struct Kernels;

/// Memory that a step asks for, in bytes. All of it is planned; a run allocates nothing.
struct Needs {
  /// For each thread, for the time of the step.
  int64_t scratch = 0;
  /// For the time of the step, shared by its threads.
  int64_t workspace = 0;
  /// Computed from the state inputs alone (packed or transformed weights). Kept between runs, and fresh as
  /// long as the state does not change, where the plan does not change the state itself.
  int64_t derived = 0;
};

/// What an op is made from.
struct StepSpec {
  const Attributes& attributes;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  const Kernels& kernels;
};

/// One execution of a step.
struct Run {
  std::span<const Tensor> inputs;
  std::span<const Tensor> outputs;
  std::byte* workspace;
  std::byte* derived;
  /// The content of `derived` is still that of the present state: packing can be left out.
  bool derived_fresh;
  std::byte* scratch_base;
  int64_t scratch_stride;
  Pool& pool;
  int threads;

  template <class T = float>
  T* scratch(int thread) const {
    return reinterpret_cast<T*>(scratch_base + scratch_stride * thread);
  }
  /// `body(item, thread)` for every item; see Pool::parallel_for.
  template <class Body>
  void parallel_for(int64_t items, Body&& body) const {
    pool.parallel_for(items, threads, body);
  }
  /// `body(begin, end, thread)` over [0, total) in blocks of `grain`, which depends on shapes only.
  template <class Body>
  void parallel_blocks(int64_t total, int64_t grain, Body&& body) const {
    parallel_for(ceil_div(total, grain), [&](int64_t block, int thread) {
      int64_t begin = block * grain;
      body(begin, std::min(total, begin + grain), thread);
    });
  }
};

class Op {
 public:
  virtual ~Op() = default;
  virtual Needs needs() const { return {}; }
  /// Must not allocate or throw. Its results do not depend on the number of threads.
  virtual void run(const Run& run) const = 0;
};

/// An entry of the list of ops.
struct OpInfo {
  std::string name;
  std::vector<std::string> attributes;
  std::unique_ptr<Op> (*make)(const StepSpec&);
};

/// All ops that the engine knows (ops/list.inc), sorted by name.
const std::vector<OpInfo>& op_list();

/// Throws E_PLAN for an unknown name.
const OpInfo& find_op(const std::string& name);

/// Describes op class O, which has a nested `Attributes` struct with `visit`, and a constructor
/// O(const Attributes&, const StepSpec&).
template <class O>
OpInfo describe(const char* name) {
  AttributeNames names;
  typename O::Attributes defaults;
  defaults.visit(names);
  return {name, names.names, [](const StepSpec& spec) -> std::unique_ptr<Op> {
            typename O::Attributes attributes;
            AttributeReader reader(spec.attributes, "op");
            attributes.visit(reader);
            reader.finish();
            return std::make_unique<O>(attributes, spec);
          }};
}

/// The registration line of an op file: DL_DEFINE_OP(conv2d, Conv2d) defines what list.inc refers to.
#define DL_DEFINE_OP(name, Class)  \
  OpInfo op_##name() {             \
    return describe<Class>(#name); \
  }

}  // namespace dl
