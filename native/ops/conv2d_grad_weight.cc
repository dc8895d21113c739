// conv2d_grad_weight: dw, and db when the convolution has a bias, from x and dy.
#include "ops/convolution.h"

namespace dl {
namespace {

class Conv2dGradWeight final : public Op {
 public:
  struct Attributes : Conv2dAttributes {
    FusedNormAttributes prologue;
    bool bias = false;

    template <class V>
    void visit(V&& v) {
      Conv2dAttributes::visit(v);
      prologue.visit(v, kPrologueNames);
      v("bias", bias);
    }
  };

  Conv2dGradWeight(const Attributes& a, const StepSpec& spec)
      : bias_(a.bias), prologue_(a.prologue, spec, spec.inputs.at(0).shape.channels()) {
    require(spec.inputs.size() == 2 + prologue_.inputs() && spec.outputs.size() == size_t{1} + a.bias,
            "conv2d_grad_weight: wrong number of operands");
    const Conv2dShape shape = conv2d_shape(a, spec.inputs[0], spec.outputs[0], spec.inputs[1]);
    if (a.bias) {
      require(spec.outputs[1].shape.elements() == shape.oc,
              "conv2d_grad_weight: db does not fit the channels");
    }
    algorithm_ =
        make_weight_gradient({shape, spec.inputs[0].stride, prologue_.activation(), a.bias, spec.kernels});
  }

  Needs needs() const override {
    Needs needs = algorithm_->needs();
    needs.workspace = own_at() + prologue_.floats() * int64_t{sizeof(float)};
    return needs;
  }

  void run(const Run& run) const override {
    const NormVectors prologue = prologue_.vectors(run, reinterpret_cast<float*>(run.workspace + own_at()));
    algorithm_->run(run, run.inputs[0], prologue, run.inputs[1], run.outputs[0].f32(),
                    bias_ ? run.outputs[1].f32() : nullptr);
  }

 private:
  /// Behind what the algorithm asks for.
  int64_t own_at() const { return round_up(algorithm_->needs().workspace, 64); }

  bool bias_;
  FusedNorm prologue_;
  std::unique_ptr<WeightGradient> algorithm_;
};

}  // namespace

DL_DEFINE_OP(conv2d_grad_weight, Conv2dGradWeight)

}  // namespace dl
