// Softmax over channels and its kin; formulas in kernels/softmax/softmax.h.
//   softmax, log_softmax             x → y
//   softmax_grad, log_softmax_grad   dy y → dx
//   soft_targets                     labels[n i32] partner[n i32] mix[n] → t[n, classes]
//   softmax_cross_entropy            logits[n,k] targets[n,k] → loss[1] (the mean), row_loss[n], dlogits[n,k]
#include "kernels/kernels.h"
#include "ops/blocks.h"
#include "ops/operands.h"

namespace dl {
namespace {

template <SoftmaxKernels::Value SoftmaxKernels::*kKernel>
class SoftmaxOp : public Op {
 public:
  using Attributes = NoAttributes;
  SoftmaxOp(const Attributes&, const StepSpec& spec)
      : grain_(block_pixels(spec.inputs.at(0))), kernel_(spec.kernels.softmax.*kKernel) {
    require_operands(spec, 1, 1);
    require_like(spec.inputs[0], spec.outputs[0]);
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    run.parallel_blocks(x.pixels(), grain_, [&](int64_t begin, int64_t end, int) {
      Block b{begin, end - begin, x.channels(), false};
      kernel_(b.in(x), b.out(y), b.rows, b.width);
    });
  }

 private:
  int64_t grain_;
  SoftmaxKernels::Value kernel_;
};

template <SoftmaxKernels::Gradient SoftmaxKernels::*kKernel>
class SoftmaxGradient : public Op {
 public:
  using Attributes = NoAttributes;
  SoftmaxGradient(const Attributes&, const StepSpec& spec)
      : grain_(block_pixels(spec.inputs.at(0))), kernel_(spec.kernels.softmax.*kKernel) {
    require_operands(spec, 2, 1);
    for (const TensorSpec& input : spec.inputs) require_like(input, spec.outputs[0]);
  }
  void run(const Run& run) const override {
    const Tensor &dy = run.inputs[0], &y = run.inputs[1], &dx = run.outputs[0];
    run.parallel_blocks(y.pixels(), grain_, [&](int64_t begin, int64_t end, int) {
      Block b{begin, end - begin, y.channels(), false};
      kernel_(b.in(dy), b.in(y), b.out(dx), b.rows, b.width);
    });
  }

 private:
  int64_t grain_;
  SoftmaxKernels::Gradient kernel_;
};

/// t = (1 - smoothing)·(mix·onehot(label) + (1 - mix)·onehot(partner)) + smoothing/classes. A label that is
/// not in [0, classes) has no class.
class SoftTargets : public Op {
 public:
  struct Attributes {
    int64_t classes = 1;
    float smoothing = 0;
    template <class V>
    void visit(V&& v) {
      v("classes", classes);
      v("smoothing", smoothing);
    }
  };
  SoftTargets(const Attributes& attributes, const StepSpec& spec) : attributes_(attributes) {
    require_operands(spec, 3, 1);
    const TensorSpec& t = spec.outputs[0];
    require_type(t, DType::f32);
    require(t.shape.rank == 2 && t.shape[1] == attributes.classes && attributes.classes > 0,
            "soft_targets: expected [n, classes], got " + to_string(t.shape));
    for (int i = 0; i < 3; i++) {
      require_dense(spec.inputs[static_cast<size_t>(i)], t.shape[0], i < 2 ? DType::i32 : DType::f32);
      require(spec.inputs[static_cast<size_t>(i)].count == t.count,
              "soft_targets: rows follow different counts");
    }
  }
  void run(const Run& run) const override {
    const Tensor& t = run.outputs[0];
    const double classes = static_cast<double>(attributes_.classes),
                 smoothing = static_cast<double>(attributes_.smoothing);
    const float base = static_cast<float>(smoothing / classes);
    for (int64_t r = 0; r < t.shape[0]; r++) {
      float* row = t.f32() + r * t.stride;
      std::fill_n(row, attributes_.classes, base);
      const int64_t own = run.inputs[0].i32()[r], partner = run.inputs[1].i32()[r];
      const double mix = static_cast<double>(run.inputs[2].f32()[r]);
      auto add = [&](int64_t label, double weight) {
        if (label >= 0 && label < attributes_.classes)
          row[label] = static_cast<float>((1 - smoothing) * weight + smoothing / classes);
      };
      add(partner, 1 - mix);
      add(own, own == partner ? 1 : mix);
    }
  }

 private:
  Attributes attributes_;
};

class SoftmaxCrossEntropy : public Op {
 public:
  using Attributes = NoAttributes;
  SoftmaxCrossEntropy(const Attributes&, const StepSpec& spec)
      : grain_(block_pixels(spec.inputs.at(0))), kernel_(spec.kernels.softmax.cross_entropy) {
    require_operands(spec, 2, 3);
    const TensorSpec& logits = spec.inputs[0];
    require(logits.shape.rank == 2,
            "softmax_cross_entropy: expected logits [n, k], got " + to_string(logits.shape));
    require_like(spec.inputs[1], logits);
    require_scalar(spec.outputs[0]);
    require_dense(spec.outputs[1], logits.shape[0]);
    require(spec.outputs[1].count == logits.count, "softmax_cross_entropy: rows follow different counts");
    require_like(spec.outputs[2], logits);
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &t = run.inputs[1], &dx = run.outputs[2];
    const int64_t n = x.shape[0];
    const float weight = static_cast<float>(1.0 / static_cast<double>(n));
    float* losses = run.outputs[1].f32();
    run.parallel_blocks(n, grain_, [&](int64_t begin, int64_t end, int) {
      Block b{begin, end - begin, x.channels(), false};
      kernel_(b.in(x), b.in(t), weight, losses + begin, b.out(dx), b.rows, b.width);
    });
    double total = 0;
    for (int64_t r = 0; r < n; r++) total += static_cast<double>(losses[r]);
    *run.outputs[0].f32() = static_cast<float>(total / static_cast<double>(n));
  }

 private:
  int64_t grain_;
  void (*kernel_)(In, In, float, float*, Out, int64_t, int64_t);
};

}  // namespace

DL_DEFINE_OP(softmax, SoftmaxOp<&SoftmaxKernels::softmax>)
DL_DEFINE_OP(softmax_grad, SoftmaxGradient<&SoftmaxKernels::softmax_gradient>)
DL_DEFINE_OP(log_softmax, SoftmaxOp<&SoftmaxKernels::log_softmax>)
DL_DEFINE_OP(log_softmax_grad, SoftmaxGradient<&SoftmaxKernels::log_softmax_gradient>)
DL_DEFINE_OP(soft_targets, SoftTargets)
DL_DEFINE_OP(softmax_cross_entropy, SoftmaxCrossEntropy)

}  // namespace dl
