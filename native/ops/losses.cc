// Losses that are means over all elements, with their gradients; formulas in kernels/loss/loss.h.
//   mse_loss               x t → loss[1] dx
//   binary_cross_entropy   logits t → loss[1] dx        t in [0, 1]
#include "kernels/kernels.h"
#include "ops/channel_sums.h"
#include "ops/operands.h"

namespace dl {
namespace {

template <LossKernels::Loss LossKernels::*kKernel>
class ElementwiseLoss : public Op {
 public:
  using Attributes = NoAttributes;
  ElementwiseLoss(const Attributes&, const StepSpec& spec)
      : sums_(spec.inputs.at(0), 1), kernel_(spec.kernels.loss.*kKernel) {
    require_operands(spec, 2, 2);
    require_like(spec.inputs[1], spec.inputs[0]);
    require_scalar(spec.outputs[0]);
    require_like(spec.outputs[1], spec.inputs[0]);
  }
  Needs needs() const override { return {.workspace = sums_.workspace()}; }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &t = run.inputs[1], &dx = run.outputs[1];
    const double elements = static_cast<double>(x.elements());
    const float weight = static_cast<float>(1 / elements);
    sums_.accumulate(run, run.workspace, x.pixels(), [&](const Block& b, float* sums) {
      kernel_(b.in(x), b.in(t), weight, b.out(dx), b.rows, b.width, sums);
    });
    const double* totals = sums_.totals(run.workspace, x.pixels());
    double total = 0;
    for (int64_t i = 0; i < x.channels(); i++) total += totals[i];
    *run.outputs[0].f32() = static_cast<float>(total / elements);
  }

 private:
  ChannelSums sums_;
  LossKernels::Loss kernel_;
};

}  // namespace

DL_DEFINE_OP(mse_loss, ElementwiseLoss<&LossKernels::squared>)
DL_DEFINE_OP(binary_cross_entropy, ElementwiseLoss<&LossKernels::binary_entropy>)

}  // namespace dl
