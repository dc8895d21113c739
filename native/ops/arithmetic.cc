// Elementwise arithmetic; outputs may be operands.
//   add        x... → y = f(Σ x), f the attribute `activation`
//   multiply   a b → a·b
//   scale      x s[1] → x·s
//   lerp       a b w[1] → a + w·(b - a)
//   fill       → y, every element the attribute `value`
#include <algorithm>
#include <array>
#include <string>

#include "kernels/kernels.h"
#include "ops/blocks.h"
#include "ops/fused_activation.h"
#include "ops/operands.h"

namespace dl {
namespace {

class Add : public Op {
 public:
  struct Attributes {
    std::string activation = "none";
    template <class V>
    void visit(V&& v) {
      v("activation", activation);
    }
  };
  Add(const Attributes& attributes, const StepSpec& spec)
      : loop_(spec), kernel_(spec.kernels.binary.add[fused_activation(attributes.activation, false)]) {
    require(spec.inputs.size() >= 2 && spec.inputs.size() <= kMax, "add takes 2 to 8 operands");
    require_operands(spec, spec.inputs.size(), 1);
    for (const TensorSpec& input : spec.inputs) require_like(input, spec.outputs[0]);
  }
  void run(const Run& run) const override {
    const Tensor& y = run.outputs[0];
    loop_.run(run, y, [&](const Block& b) {
      std::array<In, kMax> operands;
      for (size_t i = 0; i < run.inputs.size(); i++) operands[i] = b.in(run.inputs[i]);
      kernel_(operands.data(), static_cast<int>(run.inputs.size()), b.out(y), b.rows, b.width);
    });
  }

 private:
  static constexpr size_t kMax = 8;
  Elementwise loop_;
  BinaryKernels::Add kernel_;
};

template <BinaryKernels::Combine BinaryKernels::*kKernel>
class Combine : public Op {
 public:
  using Attributes = NoAttributes;
  Combine(const Attributes&, const StepSpec& spec) : loop_(spec), kernel_(spec.kernels.binary.*kKernel) {
    require_operands(spec, 2, 1);
    for (const TensorSpec& input : spec.inputs) require_like(input, spec.outputs[0]);
  }
  void run(const Run& run) const override {
    const Tensor &a = run.inputs[0], &b = run.inputs[1], &y = run.outputs[0];
    loop_.run(run, y, [&](const Block& block) {
      kernel_(block.in(a), block.in(b), block.out(y), block.rows, block.width);
    });
  }

 private:
  Elementwise loop_;
  BinaryKernels::Combine kernel_;
};

class Scale : public Op {
 public:
  using Attributes = NoAttributes;
  Scale(const Attributes&, const StepSpec& spec) : loop_(spec), kernel_(spec.kernels.binary.scale) {
    require_operands(spec, 2, 1);
    require_like(spec.inputs[0], spec.outputs[0]);
    require_scalar(spec.inputs[1]);
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    const float s = *run.inputs[1].f32();
    loop_.run(run, y, [&](const Block& b) { kernel_(b.in(x), s, b.out(y), b.rows, b.width); });
  }

 private:
  Elementwise loop_;
  void (*kernel_)(In, float, Out, int64_t, int64_t);
};

class Lerp : public Op {
 public:
  using Attributes = NoAttributes;
  Lerp(const Attributes&, const StepSpec& spec) : loop_(spec), kernel_(spec.kernels.binary.lerp) {
    require_operands(spec, 3, 1);
    require_like(spec.inputs[0], spec.outputs[0]);
    require_like(spec.inputs[1], spec.outputs[0]);
    require_scalar(spec.inputs[2]);
  }
  void run(const Run& run) const override {
    const Tensor &from = run.inputs[0], &to = run.inputs[1], &y = run.outputs[0];
    const float w = *run.inputs[2].f32();
    loop_.run(run, y, [&](const Block& b) { kernel_(b.in(from), b.in(to), w, b.out(y), b.rows, b.width); });
  }

 private:
  Elementwise loop_;
  void (*kernel_)(In, In, float, Out, int64_t, int64_t);
};

class Fill : public Op {
 public:
  struct Attributes {
    float value = 0;
    template <class V>
    void visit(V&& v) {
      v("value", value);
    }
  };
  Fill(const Attributes& attributes, const StepSpec& spec) : value_(attributes.value), loop_(spec) {
    require_operands(spec, 0, 1);
    require_type(spec.outputs[0], DType::f32);
  }
  void run(const Run& run) const override {
    const Tensor& y = run.outputs[0];
    loop_.run(run, y, [&](const Block& b) {
      Out out = b.out(y);
      for (int64_t r = 0; r < b.rows; r++) std::fill_n(out.data + r * out.stride, b.width, value_);
    });
  }

 private:
  float value_;
  Elementwise loop_;
};

}  // namespace

DL_DEFINE_OP(add, Add)
DL_DEFINE_OP(multiply, Combine<&BinaryKernels::multiply>)
DL_DEFINE_OP(scale, Scale)
DL_DEFINE_OP(lerp, Lerp)
DL_DEFINE_OP(fill, Fill)

}  // namespace dl
