// A factor or a term for each channel.
//   scale_channels        x[n,...,c] s[n,1,1,c] → x·s (squeeze-and-excitation)
//   scale_channels_grad   dy x s → dx = dy·s, ds[n,1,1,c] = Σ over the sample's pixels of dy·x
//   broadcast_add         x b[c] → x + b; y may be x
//   sum_pixels            x → Σ over all pixels and rows, [c]
#include "kernels/kernels.h"
#include "ops/channel_sums.h"
#include "ops/operands.h"
#include "ops/samples.h"

namespace dl {
namespace {

/// s has a row of channels for each sample of x.
void require_factors(const TensorSpec& s, const TensorSpec& x) {
  require_type(s, DType::f32);
  require(s.shape.channels() == x.shape.channels() && s.shape.pixels() == x.shape[0] && s.count == x.count,
          "expected a factor for each sample and channel of " + to_string(x.shape) + ", got " +
              to_string(s.shape));
}

class ScaleChannels : public Op {
 public:
  using Attributes = NoAttributes;
  ScaleChannels(const Attributes&, const StepSpec& spec)
      : samples_(spec.inputs.at(0)), kernel_(spec.kernels.binary.scale_channels) {
    require_operands(spec, 2, 1);
    require_like(spec.inputs[0], spec.outputs[0]);
    require_factors(spec.inputs[1], spec.inputs[0]);
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &factors = run.inputs[1], &y = run.outputs[0];
    samples_.run(run, x.shape[0], [&](int64_t s, int) {
      const Block b = samples_.all(s);
      kernel_(b.in(x), factors.f32() + s * factors.stride, b.out(y), b.rows, b.width);
    });
  }

 private:
  Samples samples_;
  decltype(BinaryKernels::scale_channels) kernel_;
};

class ScaleChannelsGrad : public Op {
 public:
  using Attributes = NoAttributes;
  ScaleChannelsGrad(const Attributes&, const StepSpec& spec)
      : samples_(spec.inputs.at(1)), kernel_(spec.kernels.binary.scale_channels_gradient) {
    require_operands(spec, 3, 2);
    require_like(spec.inputs[0], spec.inputs[1]);
    require_like(spec.outputs[0], spec.inputs[1]);
    require_factors(spec.inputs[2], spec.inputs[1]);
    require_factors(spec.outputs[1], spec.inputs[1]);
  }
  Needs needs() const override { return {.scratch = samples_.sum_bytes(1)}; }
  void run(const Run& run) const override {
    const Tensor &dy = run.inputs[0], &x = run.inputs[1], &factors = run.inputs[2], &dx = run.outputs[0],
                 &ds = run.outputs[1];
    samples_.run(run, x.shape[0], [&](int64_t s, int thread) {
      const double* totals =
          samples_.sum(s, 1, run.scratch<std::byte>(thread), [&](const Block& b, float* sums) {
            kernel_(b.in(dy), b.in(x), factors.f32() + s * factors.stride, b.out(dx), b.rows, b.width, sums);
          });
      float* to = ds.f32() + s * ds.stride;
      for (int64_t i = 0; i < x.channels(); i++) to[i] = static_cast<float>(totals[i]);
    });
  }

 private:
  Samples samples_;
  decltype(BinaryKernels::scale_channels_gradient) kernel_;
};

class BroadcastAdd : public Op {
 public:
  using Attributes = NoAttributes;
  BroadcastAdd(const Attributes&, const StepSpec& spec)
      : grain_(block_pixels(spec.inputs.at(0))), kernel_(spec.kernels.binary.add_channels) {
    require_operands(spec, 2, 1);
    require_like(spec.inputs[0], spec.outputs[0]);
    require_dense(spec.inputs[1], spec.inputs[0].shape.channels());
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    const float* terms = run.inputs[1].f32();
    run.parallel_blocks(x.pixels(), grain_, [&](int64_t begin, int64_t end, int) {
      Block b{begin, end - begin, x.channels(), false};
      kernel_(b.in(x), terms, b.out(y), b.rows, b.width);
    });
  }

 private:
  int64_t grain_;
  decltype(BinaryKernels::add_channels) kernel_;
};

class SumPixels : public Op {
 public:
  using Attributes = NoAttributes;
  SumPixels(const Attributes&, const StepSpec& spec)
      : sums_(spec.inputs.at(0), 1), kernel_(spec.kernels.norm.sum) {
    require_operands(spec, 1, 1);
    require_type(spec.inputs[0], DType::f32);
    require_dense(spec.outputs[0], spec.inputs[0].shape.channels());
  }
  Needs needs() const override { return {.workspace = sums_.workspace()}; }
  void run(const Run& run) const override {
    const Tensor& x = run.inputs[0];
    sums_.accumulate(run, run.workspace, x.pixels(),
                     [&](const Block& b, float* sums) { kernel_(b.in(x), b.rows, b.width, sums); });
    const double* totals = sums_.totals(run.workspace, x.pixels());
    for (int64_t i = 0; i < x.channels(); i++) run.outputs[0].f32()[i] = static_cast<float>(totals[i]);
  }

 private:
  ChannelSums sums_;
  decltype(NormKernels::sum) kernel_;
};

}  // namespace

DL_DEFINE_OP(scale_channels, ScaleChannels)
DL_DEFINE_OP(scale_channels_grad, ScaleChannelsGrad)
DL_DEFINE_OP(broadcast_add, BroadcastAdd)
DL_DEFINE_OP(sum_pixels, SumPixels)

}  // namespace dl
