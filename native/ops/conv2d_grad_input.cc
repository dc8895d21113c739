// conv2d_grad_input: dx of a convolution from dy and w. Every element of dx is written, those that no output
// reached with 0.
#include "ops/convolution.h"

namespace dl {
namespace {

class Conv2dGradInput final : public Op {
 public:
  using Attributes = Conv2dAttributes;

  Conv2dGradInput(const Attributes& a, const StepSpec& spec) {
    require(spec.inputs.size() == 2 && spec.outputs.size() == 1,
            "conv2d_grad_input: wrong number of operands");
    const Conv2dShape shape = conv2d_shape(a, spec.outputs[0], spec.inputs[1], spec.inputs[0]);
    algorithm_ = make_convolution({shape, true, spec.inputs[0].stride, -1, {}, spec.kernels});
  }

  Needs needs() const override { return algorithm_->needs(); }

  void run(const Run& run) const override {
    ConvolutionOperands o{};
    o.source = run.inputs[0];
    o.weights = run.inputs[1].f32();
    o.destination = run.outputs[0];
    algorithm_->run(run, o);
  }

 private:
  std::unique_ptr<Convolution> algorithm_;
};

}  // namespace

DL_DEFINE_OP(conv2d_grad_input, Conv2dGradInput)

}  // namespace dl
