// conv2d: y = act(x * w + bias + residual), and moments of y. Dense layers are 1x1 convolutions of 1x1
// images.
//
// With a norm, y = act((x * w + bias - mean) / sqrt(variance + epsilon) gamma + beta + residual), computed as
// a convolution with the weights w s and the bias beta + (bias - mean) s, s = gamma / sqrt(variance +
// epsilon), which are derived once for each content of the store.
#include <cmath>

#include "base/carve.h"
#include "ops/convolution.h"
#include "ops/fused_activation.h"
#include "ops/fused_norm.h"
#include "ops/operands.h"

namespace dl {
namespace {

class Conv2d final : public Op {
 public:
  struct Attributes : Conv2dAttributes {
    FusedNormAttributes prologue;
    bool bias = false;
    bool residual = false;
    std::string activation = "none";
    bool moments = false;
    bool norm = false;
    double epsilon = 1e-5;
    bool affine = true;

    template <class V>
    void visit(V&& v) {
      Conv2dAttributes::visit(v);
      prologue.visit(v, kPrologueNames);
      v("bias", bias);
      v("residual", residual);
      v("activation", activation);
      v("moments", moments);
      v("norm", norm);
      v("epsilon", epsilon);
      v("affine", affine);
    }
  };

  Conv2d(const Attributes& a, const StepSpec& spec)
      : attributes_(a),
        prologue_(a.prologue, spec, spec.inputs.at(0).shape.channels()),
        norm_(size_t{2} + a.bias),
        statistics_(a.norm ? (a.affine ? 4 : 2) : 0) {
    require(spec.inputs.size() == norm_ + statistics_ + a.residual + prologue_.inputs() &&
                spec.outputs.size() == (a.moments ? 4 : 1),
            "conv2d: wrong number of operands");
    const Conv2dShape shape = conv2d_shape(a, spec.inputs[0], spec.inputs[1], spec.outputs[0]);
    oc_ = shape.oc;
    rows_ = shape.weights() / std::max<int64_t>(oc_, 1);
    if (a.bias)
      require(spec.inputs[2].shape.elements() == shape.oc, "conv2d: bias does not fit the channels");
    for (size_t i = 0; i < statistics_; i++) require_dense(spec.inputs[norm_ + i], shape.oc);
    if (a.residual) {
      const Shape &residual = spec.inputs[norm_ + statistics_].shape, &y = spec.outputs[0].shape;
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
                          {a.bias || a.norm, a.residual, a.moments, fused_activation(a.activation, false)},
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
    o.weights = run.inputs[1].f32();
    if (a.bias) o.bias = run.inputs[2].f32();
    const Own own = this->own(run.workspace, run.derived);
    o.prologue = prologue_.vectors(run, own.prologue);
    if (a.norm) {
      if (!run.derived_fresh) fold(run, o, own);
      o.weights = own.weights;
      o.bias = own.bias;
    }
    if (a.residual) o.residual = run.inputs[norm_ + statistics_];
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
    const int64_t oc = attributes_.norm ? oc_ : 0;
    Carve now(workspace), kept(derived);
    now.take<std::byte>(needs.workspace);
    kept.take<std::byte>(needs.derived);
    Own own;
    own.prologue = now.take<float>(prologue_.floats());
    own.scale = now.take<float>(oc);
    own.bias = kept.take<float>(oc);
    own.weights = (algorithm_->reads_weights() ? kept : now).take<float>(rows_ * oc);
    own.workspace = now.used();
    own.derived = kept.used();
    return own;
  }

  void fold(const Run& run, const ConvolutionOperands& o, const Own& to) const {
    const auto vector = [&](size_t i) { return run.inputs[norm_ + i].f32(); };
    const float *mean = vector(0), *variance = vector(1);
    for (int64_t c = 0; c < oc_; c++) {
      double scale = 1 / std::sqrt(static_cast<double>(variance[c]) + attributes_.epsilon);
      double beta = 0;
      if (attributes_.affine) {
        scale *= static_cast<double>(vector(2)[c]);
        beta = static_cast<double>(vector(3)[c]);
      }
      const double bias = o.bias ? static_cast<double>(o.bias[c]) : 0;
      to.scale[c] = static_cast<float>(scale);
      to.bias[c] = static_cast<float>(beta + (bias - static_cast<double>(mean[c])) * scale);
    }
    constexpr int64_t kFloats = 16 << 10;
    run.parallel_blocks(rows_, std::max<int64_t>(1, kFloats / oc_), [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; row++)
        for (int64_t c = 0; c < oc_; c++) to.weights[row * oc_ + c] = o.weights[row * oc_ + c] * to.scale[c];
    });
  }

  Attributes attributes_;
  FusedNorm prologue_;
  /// Index of the first of the norm's inputs, and their number.
  size_t norm_, statistics_;
  /// Of the weights: output channels, and all that is before them.
  int64_t oc_ = 0, rows_ = 0;
  std::unique_ptr<Convolution> algorithm_;
};

}  // namespace

DL_DEFINE_OP(conv2d, Conv2d)

}  // namespace dl
