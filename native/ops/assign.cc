// assign: target value → nothing; copies value over the state `target`, which has its shape. Any type, any
// strides.
#include <cstring>

#include "ops/blocks.h"
#include "ops/operands.h"

namespace dl {
namespace {

class Assign : public Op {
 public:
  using Attributes = NoAttributes;
  Assign(const Attributes&, const StepSpec& spec) : grain_(block_pixels(spec.inputs.at(0))) {
    require_operands(spec, 2, 0);
    require(spec.inputs[0].dtype == spec.inputs[1].dtype &&
                spec.inputs[0].shape.elements() == spec.inputs[1].shape.elements() &&
                spec.inputs[0].shape.channels() == spec.inputs[1].shape.channels() &&
                spec.inputs[0].count == spec.inputs[1].count,
            "assign: expected shape " + to_string(spec.inputs[0].shape) + ", got " +
                to_string(spec.inputs[1].shape));
  }
  void run(const Run& run) const override {
    const Tensor &target = run.inputs[0], &value = run.inputs[1];
    const int64_t item = size_of(target.dtype), row = target.channels() * item;
    auto* to = static_cast<std::byte*>(target.data);
    auto* from = static_cast<const std::byte*>(value.data);
    run.parallel_blocks(target.pixels(), grain_, [&](int64_t begin, int64_t end, int) {
      if (target.dense() && value.dense()) {
        std::memmove(to + begin * row, from + begin * row, static_cast<size_t>((end - begin) * row));
        return;
      }
      for (int64_t p = begin; p < end; p++)
        std::memmove(to + p * target.stride * item, from + p * value.stride * item, static_cast<size_t>(row));
    });
  }

 private:
  int64_t grain_;
};

}  // namespace

DL_DEFINE_OP(assign, Assign)

}  // namespace dl
