// conv2d_grad_input: dx of a convolution from dy and w. Every element of dx is written, those that no output
// reached with 0. With `sums`, x is a norm's output and dx its gradient: dβ and dγ of that norm, too, from
// its input and parameters (batch_norm_grad_sums).
#include "ops/convolution.h"

namespace dl {
namespace {

class Conv2dGradInput final : public Op {
 public:
  struct Attributes : Conv2dAttributes {
    FusedNormAttributes sums;

    template <class V>
    void visit(V&& v) {
      Conv2dAttributes::visit(v);
      sums.visit(v, kSumsNames);
    }
  };

  Conv2dGradInput(const Attributes& a, const StepSpec& spec)
      : sums_(a.sums, spec, spec.outputs.at(0).shape.channels()) {
    require(spec.inputs.size() == 2 + (sums_.given() ? 1 + sums_.inputs() : 0) &&
                spec.outputs.size() == (sums_.given() ? 3 : 1),
            "conv2d_grad_input: wrong number of operands");
    const TensorSpec& dx = spec.outputs[0];
    if (sums_.given()) {
      require(a.stride[0] == 1 && a.stride[1] == 1, "conv2d_grad_input: sums of a strided convolution");
      require_like(spec.inputs[2], dx);
      for (size_t i : {1, 2}) require_dense(spec.outputs[i], dx.shape.channels());
    }
    const Conv2dShape shape = conv2d_shape(a, dx, spec.inputs[1], spec.inputs[0]);
    Epilogue epilogue;
    epilogue.sums = sums_.activation();
    algorithm_ = make_convolution({shape, true, spec.inputs[0].stride, -1, epilogue, spec.kernels});
  }

  Needs needs() const override {
    Needs needs = algorithm_->needs();
    needs.workspace = own_at() + sums_.floats() * int64_t{sizeof(float)};
    return needs;
  }

  void run(const Run& run) const override {
    ConvolutionOperands o{};
    o.source = run.inputs[0];
    o.weights = run.inputs[1].f32();
    o.destination = run.outputs[0];
    if (sums_.given()) {
      o.norm_input = run.inputs[2];
      o.norm = sums_.vectors(run, reinterpret_cast<float*>(run.workspace + own_at()));
      o.norm_variance = run.inputs[4].f32();
      o.norm_epsilon = sums_.epsilon();
      o.dbeta = run.outputs[1].f32();
      o.dgamma = run.outputs[2].f32();
    }
    algorithm_->run(run, o);
  }

 private:
  /// Behind what the algorithm asks for.
  int64_t own_at() const { return round_up(algorithm_->needs().workspace, 64); }

  FusedNorm sums_;
  std::unique_ptr<Convolution> algorithm_;
};

}  // namespace

DL_DEFINE_OP(conv2d_grad_input, Conv2dGradInput)

}  // namespace dl
