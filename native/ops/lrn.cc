// lrn: x → y, lrn_grad: dy x y → dx; local response normalisation across channels, see kernels/lrn/lrn.h.
#include "kernels/kernels.h"
#include "ops/blocks.h"
#include "ops/operands.h"

namespace dl {
namespace {

struct LrnAttributes {
  int64_t size = 5;
  double alpha = 1e-4, beta = 0.75, k = 1;
  template <class V>
  void visit(V&& v) {
    v("size", size);
    v("alpha", alpha);
    v("beta", beta);
    v("k", k);
  }
};

class LrnBase : public Op {
 public:
  using Attributes = LrnAttributes;
  LrnBase(const Attributes& a, const StepSpec& spec, size_t inputs)
      : shape_{a.size, static_cast<float>(a.alpha / static_cast<double>(a.size)), static_cast<float>(a.beta),
               static_cast<float>(a.k)},
        kernels_(spec.kernels.lrn) {
    require(a.size >= 1 && a.size <= 1 << 16, "lrn: size is out of range");
    require_operands(spec, inputs, 1);
    for (const TensorSpec& input : spec.inputs) require_like(input, spec.outputs[0]);
    // Some ten times the work of a copy for each element.
    grain_ = std::max<int64_t>(1, block_pixels(spec.outputs[0]) / 8);
    c_ = spec.outputs[0].shape.channels();
  }
  Needs needs() const override { return {.scratch = lrn_scratch(c_, shape_.size) * int64_t{sizeof(float)}}; }

 protected:
  LrnShape shape_;
  const LrnKernels& kernels_;
  int64_t grain_, c_;
};

class Lrn : public LrnBase {
 public:
  Lrn(const Attributes& attributes, const StepSpec& spec) : LrnBase(attributes, spec, 1) {}
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    run.parallel_blocks(y.pixels(), grain_, [&](int64_t begin, int64_t end, int thread) {
      Block b{begin, end - begin, c_, false};
      kernels_.value(shape_, b.in(x), b.out(y), b.rows, c_, run.scratch(thread));
    });
  }
};

class LrnGrad : public LrnBase {
 public:
  LrnGrad(const Attributes& attributes, const StepSpec& spec) : LrnBase(attributes, spec, 3) {}
  void run(const Run& run) const override {
    const Tensor &dy = run.inputs[0], &x = run.inputs[1], &y = run.inputs[2], &dx = run.outputs[0];
    run.parallel_blocks(dx.pixels(), grain_, [&](int64_t begin, int64_t end, int thread) {
      Block b{begin, end - begin, c_, false};
      kernels_.gradient(shape_, b.in(dy), b.in(x), b.in(y), b.out(dx), b.rows, c_, run.scratch(thread));
    });
  }
};

}  // namespace

DL_DEFINE_OP(lrn, Lrn)
DL_DEFINE_OP(lrn_grad, LrnGrad)

}  // namespace dl
