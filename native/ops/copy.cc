// copy: into a slice of a concatenation, or out of a slice where dense operands are wanted. Concatenations
// and slices themselves are places in memory, never steps.
#include "ops/image.h"

namespace dl {
namespace {

/// in x; out y: the same with another stride
class Copy : public Op {
 public:
  using Attributes = NoAttributes;
  Copy(const Attributes&, const StepSpec& spec) {
    require_operands(spec, 1, 1);
    const TensorSpec &x = spec.inputs[0], &y = spec.outputs[0];
    require(x.dtype == y.dtype && x.count == y.count && same_shape(x.shape, y.shape),
            "operands differ in kind");
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    const int64_t item = size_of(y.dtype), to_step = y.stride * item, from_step = x.stride * item;
    run.parallel_blocks(y.pixels(), grain_of(y.channels()), [&](int64_t first, int64_t last, int) {
      copy_pixels(bytes_of(y) + first * to_step, to_step, bytes_of(x) + first * from_step, from_step,
                  y.channels() * item, last - first);
    });
  }
};

}  // namespace

DL_DEFINE_OP(copy, Copy)

}  // namespace dl
