// The functions of one operand, <name>: x → y (in place allowed), and <name>_grad: dy, x or y → dx (in place
// allowed). Which there are, their formulas and attributes: kernels/unary/functions.h.
#include "kernels/kernels.h"
#include "kernels/unary/functions.h"
#include "ops/blocks.h"
#include "ops/operands.h"

namespace dl {
namespace {

template <class F, Unary kIndex>
class UnaryOp : public Op {
 public:
  using Attributes = F;
  UnaryOp(const F& function, const StepSpec& spec)
      : function_(function), loop_(spec), kernel_(spec.kernels.unary.value[static_cast<int>(kIndex)]) {
    require_operands(spec, 1, 1);
    require_like(spec.inputs[0], spec.outputs[0]);
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    loop_.run(run, y, [&](const Block& b) { kernel_(&function_, b.in(x), b.out(y), b.rows, b.width); });
  }

 private:
  F function_;
  Elementwise loop_;
  UnaryKernels::Value kernel_;
};

template <class F, Activation kIndex>
class UnaryGradient : public Op {
 public:
  using Attributes = F;
  UnaryGradient(const F& function, const StepSpec& spec)
      : function_(function), loop_(spec), kernel_(spec.kernels.unary.gradient[static_cast<int>(kIndex)]) {
    require_operands(spec, 2, 1);
    for (const TensorSpec& input : spec.inputs) require_like(input, spec.outputs[0]);
  }
  void run(const Run& run) const override {
    const Tensor &dy = run.inputs[0], &saved = run.inputs[1], &dx = run.outputs[0];
    loop_.run(run, dx, [&](const Block& b) {
      kernel_(&function_, b.in(dy), b.in(saved), b.out(dx), b.rows, b.width);
    });
  }

 private:
  F function_;
  Elementwise loop_;
  UnaryKernels::Gradient kernel_;
};

}  // namespace

#define DL_VALUE(name, F)                                       \
  OpInfo op_##name() {                                          \
    return describe<UnaryOp<functions::F, Unary::name>>(#name); \
  }
#define DL_GRADIENT(name, F)                                                       \
  OpInfo op_##name##_grad() {                                                      \
    return describe<UnaryGradient<functions::F, Activation::name>>(#name "_grad"); \
  }
DL_ACTIVATIONS(DL_VALUE)
DL_ACTIVATIONS(DL_GRADIENT)

}  // namespace dl
