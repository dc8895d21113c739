// conv2d: y = act(x * w + bias + residual), and moments of y. Dense layers are 1x1 convolutions of 1x1
// images.
#include "ops/convolution.h"
#include "ops/fused_activation.h"

namespace dl {
namespace {

class Conv2d final : public Op {
 public:
  struct Attributes : Conv2dAttributes {
    bool bias = false;
    bool residual = false;
    std::string activation = "none";
    bool moments = false;

    template <class V>
    void visit(V&& v) {
      Conv2dAttributes::visit(v);
      v("bias", bias);
      v("residual", residual);
      v("activation", activation);
      v("moments", moments);
    }
  };

  Conv2d(const Attributes& a, const StepSpec& spec) : attributes_(a) {
    require(
        spec.inputs.size() == size_t{2} + a.bias + a.residual && spec.outputs.size() == (a.moments ? 4 : 1),
        "conv2d: wrong number of operands");
    const Conv2dShape shape = conv2d_shape(a, spec.inputs[0], spec.inputs[1], spec.outputs[0]);
    if (a.bias)
      require(spec.inputs[2].shape.elements() == shape.oc, "conv2d: bias does not fit the channels");
    if (a.residual) {
      const Shape &residual = spec.inputs.back().shape, &y = spec.outputs[0].shape;
      require(residual.rank == y.rank && residual.dims == y.dims,
              "conv2d: residual and output differ in shape");
    }
    for (size_t i = 1; i < spec.outputs.size(); i++) {
      require(spec.outputs[i].shape.elements() == shape.oc, "conv2d: moments do not fit the channels");
    }
    algorithm_ = make_convolution({shape,
                                   false,
                                   spec.inputs[0].stride,
                                   {a.bias, a.residual, a.moments, fused_activation(a.activation, false)},
                                   spec.kernels});
  }

  Needs needs() const override { return algorithm_->needs(); }

  void run(const Run& run) const override {
    const auto& a = attributes_;
    ConvolutionOperands o{};
    o.source = run.inputs[0];
    o.weights = run.inputs[1].f32();
    if (a.bias) o.bias = run.inputs[2].f32();
    if (a.residual) o.residual = run.inputs.back();
    o.destination = run.outputs[0];
    if (a.moments) {
      o.mean = run.outputs[1].f32();
      o.variance = run.outputs[2].f32();
      o.unbiased = run.outputs[3].f32();
    }
    algorithm_->run(run, o);
  }

 private:
  Attributes attributes_;
  std::unique_ptr<Convolution> algorithm_;
};

}  // namespace

DL_DEFINE_OP(conv2d, Conv2d)

}  // namespace dl
