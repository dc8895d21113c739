// conv2d: y = act(x * w + bias + residual), and moments of y. Dense layers are 1x1 convolutions of 1x1
// images. A norm behind the sums is computed by other weights, which are derived once for each content of the
// store (folded_weights.h).
#include "base/carve.h"
#include "ops/convolution.h"
#include "ops/folded_weights.h"
#include "ops/fused_activation.h"
#include "ops/fused_norm.h"
#include "ops/operands.h"

namespace dl {
namespace {

constexpr const char* kFoldedNames[] = {"bias", "norm", "epsilon", "affine"};

class Conv2d final : public Op {
 public:
  struct Attributes : Conv2dAttributes {
    FusedNormAttributes prologue;
    FoldedWeightsAttributes folded;
    bool residual = false;
    std::string activation = "none";
    bool moments = false;

    template <class V>
    void visit(V&& v) {
      Conv2dAttributes::visit(v);
      prologue.visit(v, kPrologueNames);
      folded.visit(v, kFoldedNames);
      v("residual", residual);
      v("activation", activation);
      v("moments", moments);
    }
  };

  Conv2d(const Attributes& a, const StepSpec& spec)
      : attributes_(a),
        prologue_(a.prologue, spec, spec.inputs.at(0).shape.channels()),
        weights_(a.folded, spec, 1) {
    require(spec.inputs.size() == 1 + weights_.inputs() + a.residual + prologue_.inputs() &&
                spec.outputs.size() == (a.moments ? 4 : 1),
            "conv2d: wrong number of operands");
    const Conv2dShape shape = conv2d_shape(a, spec.inputs[0], spec.inputs[1], spec.outputs[0]);
    if (a.residual) {
      const Shape &residual = spec.inputs[1 + weights_.inputs()].shape, &y = spec.outputs[0].shape;
      require(residual.rank == y.rank && residual.dims == y.dims,
              "conv2d: residual and output differ in shape");
    }
    for (size_t i = 1; i < spec.outputs.size(); i++) {
      require(spec.outputs[i].shape.elements() == shape.oc, "conv2d: moments do not fit the channels");
    }
    algorithm_ =
        make_convolution({shape,
                          false,
                          spec.inputs[0].stride,
                          prologue_.activation(),
                          {weights_.has_bias(), a.residual, a.moments, fused_activation(a.activation, false)},
                          spec.kernels});
  }

  Needs needs() const override {
    Needs needs = algorithm_->needs();
    const Own own = this->own(nullptr, nullptr);
    needs.workspace = own.workspace;
    needs.derived = own.derived;
    return needs;
  }

  void run(const Run& run) const override {
    const auto& a = attributes_;
    ConvolutionOperands o{};
    o.source = run.inputs[0];
    o.weights = weights_.weights(run);
    o.bias = weights_.bias(run);
    const Own own = this->own(run.workspace, run.derived);
    o.prologue = prologue_.vectors(run, own.prologue);
    if (weights_.folds()) {
      if (!run.derived_fresh) weights_.fold(run, own.scale, own.weights, own.bias);
      o.weights = own.weights;
      o.bias = own.bias;
    }
    if (a.residual) o.residual = run.inputs[1 + weights_.inputs()];
    o.destination = run.outputs[0];
    if (a.moments) {
      o.mean = run.outputs[1].f32();
      o.variance = run.outputs[2].f32();
      o.unbiased = run.outputs[3].f32();
    }
    algorithm_->run(run, o);
  }

 private:
  /// Behind what the algorithm itself asks for: the prologue, and the norm folded into the convolution.
  struct Own {
    float* prologue;
    float* weights;
    float* bias;
    float* scale;
    int64_t workspace, derived;
  };

  /// Weights that the algorithm packs are needed only until then, and are not kept.
  Own own(std::byte* workspace, std::byte* derived) const {
    const Needs needs = algorithm_->needs();
    Carve now(workspace), kept(derived);
    now.take<std::byte>(needs.workspace);
    kept.take<std::byte>(needs.derived);
    Own own;
    own.prologue = now.take<float>(prologue_.floats());
    own.scale = now.take<float>(weights_.vector_floats());
    own.bias = kept.take<float>(weights_.vector_floats());
    own.weights = (algorithm_->reads_weights() ? kept : now).take<float>(weights_.floats());
    own.workspace = now.used();
    own.derived = kept.used();
    return own;
  }

  Attributes attributes_;
  FusedNorm prologue_;
  FoldedWeights weights_;
  std::unique_ptr<Convolution> algorithm_;
};

}  // namespace

DL_DEFINE_OP(conv2d, Conv2d)

}  // namespace dl
