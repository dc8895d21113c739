// batch_norm and its gradients, with activation and residual fused; the maths is in kernels/norm/norm.h.
//   batch_norm             x mean variance [gamma beta] [residual] → y; y may alias x or residual
//   batch_norm_grad_sums   dy x mean variance [gamma beta] [y] → dbeta dgamma [dz]
//   batch_norm_grad_input  dy x mean variance [gamma beta] dbeta dgamma → dx; may alias dy
//   batch_norm_grad_frozen dy x mean variance [gamma beta] [y] → dx dbeta dgamma [dz]; mean and variance
//                          are constants
// [gamma beta] when affine; [residual], [y] and [dz] when residual. dz is the gradient before the activation,
// and so that of the residual: with it, batch_norm_grad_input takes dz for dy and no activation.
#include <string>

#include "kernels/kernels.h"
#include "ops/channel_sums.h"
#include "ops/fused_activation.h"
#include "ops/norm_vectors.h"
#include "ops/operands.h"

namespace dl {
namespace {

struct BatchNormAttributes {
  double epsilon = 1e-5;
  bool affine = true;
  bool residual = false;
  std::string activation = "none";
  template <class V>
  void visit(V&& v) {
    v("epsilon", epsilon);
    v("affine", affine);
    v("residual", residual);
    v("activation", activation);
  }
};

/// What all four ops share: statistics and parameters, and the vectors that kernels take, computed in
/// workspace.
class BatchNormBase : public Op {
 protected:
  /// `first` is the index of mean among the inputs.
  BatchNormBase(const BatchNormAttributes& attributes, const StepSpec& spec, int first)
      : attributes_(attributes),
        first_(first),
        c_(spec.inputs.at(0).shape.channels()),
        next_(static_cast<size_t>(first + (attributes.affine ? 4 : 2))) {
    require(spec.inputs.size() >= next_, "batch norm: inputs are missing");
    for (size_t i = static_cast<size_t>(first); i < next_; i++) require_dense(spec.inputs[i], c_);
  }

  int64_t vector_stride() const { return round_up(c_, 16); }
  int64_t vector_bytes() const { return 4 * vector_stride() * int64_t{sizeof(float)}; }
  const float* vector(const Run& run, int i) const {
    return run.inputs[static_cast<size_t>(first_ + i)].f32();
  }

  double rstd(const Run& run, int64_t i) const {
    return reciprocal_deviation(vector(run, 1)[i], attributes_.epsilon);
  }
  NormVectors vectors(const Run& run, float* memory) const {
    const size_t first = static_cast<size_t>(first_);
    return norm_vectors(run.inputs.subspan(first, next_ - first), attributes_.epsilon, c_, memory);
  }

  BatchNormAttributes attributes_;
  int first_;
  int64_t c_;
  /// Index of the first input after the parameters.
  size_t next_;
};

class BatchNorm : public BatchNormBase {
 public:
  using Attributes = BatchNormAttributes;
  BatchNorm(const Attributes& attributes, const StepSpec& spec)
      : BatchNormBase(attributes, spec, 1),
        grain_(block_pixels(spec.inputs[0])),
        kernel_(spec.kernels.norm.normalize[fused_activation(attributes.activation, false)]) {
    require_operands(spec, next_ + (attributes.residual ? 1 : 0), 1);
    require_like(spec.inputs[0], spec.outputs[0]);
    if (attributes.residual) require_like(spec.inputs[next_], spec.outputs[0]);
  }
  Needs needs() const override { return {.workspace = vector_bytes()}; }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    const NormVectors v = vectors(run, reinterpret_cast<float*>(run.workspace));
    run.parallel_blocks(x.pixels(), grain_, [&](int64_t begin, int64_t end, int) {
      Block b{begin, end - begin, c_, false};
      kernel_(b.in(x), attributes_.residual ? b.in(run.inputs[next_]) : In{}, b.out(y), v, b.rows, c_);
    });
  }

 private:
  int64_t grain_;
  NormKernels::Normalize kernel_;
};

/// batch_norm_grad_sums, and batch_norm_grad_frozen, which gives dx as well.
template <bool kFrozen>
class BatchNormGradSums : public BatchNormBase {
 public:
  using Attributes = BatchNormAttributes;
  BatchNormGradSums(const Attributes& attributes, const StepSpec& spec)
      : BatchNormBase(attributes, spec, 2),
        sums_(spec.inputs[1], 2),
        kernel_(
            spec.kernels.norm.gradient_sums[fused_activation(attributes.activation, attributes.residual)]) {
    require_operands(spec, next_ + (attributes.residual ? 1 : 0), kDbeta + 2 + (attributes.residual ? 1 : 0));
    require_like(spec.inputs[0], spec.inputs[1]);
    if (kFrozen) require_like(spec.outputs[0], spec.inputs[1]);
    require_dense(spec.outputs[kDbeta], c_);
    require_dense(spec.outputs[kDbeta + 1], c_);
    if (attributes.residual) {
      require_like(spec.inputs[next_], spec.inputs[1]);
      require_like(spec.outputs[kDbeta + 2], spec.inputs[1]);
    }
  }
  Needs needs() const override { return {.workspace = vector_bytes() + sums_.workspace()}; }
  void run(const Run& run) const override {
    const Tensor &dy = run.inputs[0], &x = run.inputs[1];
    const NormVectors v = vectors(run, reinterpret_cast<float*>(run.workspace));
    std::byte* memory = run.workspace + vector_bytes();
    sums_.accumulate(run, memory, x.pixels(), [&](const Block& b, float* sums) {
      NormGradient g{.dy = b.in(dy), .x = b.in(x)};
      if (attributes_.residual) {
        g.y = b.in(run.inputs[next_]);
        g.dz = b.out(run.outputs[kDbeta + 2]);
      }
      if (kFrozen) g.dx = b.out(run.outputs[0]);
      kernel_(g, v, b.rows, c_, sums, sums + sums_.stride());
    });
    const double* totals = sums_.totals(memory, x.pixels());
    float *dbeta = run.outputs[kDbeta].f32(), *dgamma = run.outputs[kDbeta + 1].f32();
    for (int64_t i = 0; i < c_; i++) {
      dbeta[i] = static_cast<float>(totals[i]);
      dgamma[i] = static_cast<float>(totals[sums_.stride() + i] * rstd(run, i));
    }
  }

 private:
  static constexpr size_t kDbeta = kFrozen ? 1 : 0;
  ChannelSums sums_;
  NormKernels::GradientSums kernel_;
};

struct GradInputAttributes : BatchNormAttributes {
  template <class V>
  void visit(V&& v) {
    v("epsilon", epsilon);
    v("affine", affine);
    v("activation", activation);
  }
};

class BatchNormGradInput : public BatchNormBase {
 public:
  using Attributes = GradInputAttributes;
  BatchNormGradInput(const Attributes& attributes, const StepSpec& spec)
      : BatchNormBase(attributes, spec, 2),
        grain_(block_pixels(spec.inputs[1])),
        kernel_(spec.kernels.norm.gradient_input[fused_activation(attributes.activation, false)]) {
    require_operands(spec, next_ + 2, 1);
    require_like(spec.inputs[0], spec.outputs[0]);
    require_like(spec.inputs[1], spec.outputs[0]);
    require_dense(spec.inputs[next_], c_);
    require_dense(spec.inputs[next_ + 1], c_);
  }
  Needs needs() const override { return {.workspace = vector_bytes()}; }
  void run(const Run& run) const override {
    const Tensor &dy = run.inputs[0], &x = run.inputs[1], &dx = run.outputs[0];
    float* memory = reinterpret_cast<float*>(run.workspace);
    NormVectors v = vectors(run, memory);
    float *slope = memory + 2 * vector_stride(), *offset = slope + vector_stride();
    const float *dbeta = run.inputs[next_].f32(), *dgamma = run.inputs[next_ + 1].f32();
    const double m = static_cast<double>(x.pixels());
    for (int64_t i = 0; i < c_; i++) {
      double scale = static_cast<double>(v.scale[i]);
      slope[i] = static_cast<float>(-scale * rstd(run, i) * static_cast<double>(dgamma[i]) / m);
      offset[i] = static_cast<float>(-scale * static_cast<double>(dbeta[i]) / m);
    }
    v.slope = slope;
    v.offset = offset;
    run.parallel_blocks(x.pixels(), grain_, [&](int64_t begin, int64_t end, int) {
      Block b{begin, end - begin, c_, false};
      kernel_({.dy = b.in(dy), .x = b.in(x), .dx = b.out(dx)}, v, b.rows, c_);
    });
  }

 private:
  int64_t grain_;
  NormKernels::GradientInput kernel_;
};

}  // namespace

DL_DEFINE_OP(batch_norm, BatchNorm)
DL_DEFINE_OP(batch_norm_grad_sums, BatchNormGradSums<false>)
DL_DEFINE_OP(batch_norm_grad_frozen, BatchNormGradSums<true>)
DL_DEFINE_OP(batch_norm_grad_input, BatchNormGradInput)

}  // namespace dl
