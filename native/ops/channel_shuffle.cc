// channel_shuffle: mixes the channels of groups (Zhang et al. 2018, arXiv:1707.01083).
#include "ops/channel_shuffle.h"

#include <algorithm>
#include <span>

#include "ops/image.h"

namespace dl {
namespace {

/// in x...; out y...: the channels of all x side by side, shuffled, and taken apart into all y. The inverse,
/// and so the gradient, is the shuffle with c / groups groups.
class ChannelShuffle : public Op {
 public:
  struct Attributes {
    int64_t groups;
    template <class V>
    void visit(V&& visitor) {
      visitor("groups", groups);
    }
  };
  ChannelShuffle(const Attributes& a, const StepSpec& spec)
      : groups_(a.groups), channels_(channels_of(spec.inputs)) {
    require(channels_ > 0, "an operand is missing");
    const TensorSpec& first = spec.inputs[0];
    for (const auto* operands : {&spec.inputs, &spec.outputs}) {
      for (const TensorSpec& operand : *operands) {
        require_type(operand, DType::f32);
        require(
            operand.shape.pixels() == first.shape.pixels() && operand.count == first.count,
            "expected as many pixels in " + to_string(operand.shape) + " as in " + to_string(first.shape));
      }
    }
    require(channels_of(spec.outputs) == channels_,
            "expected as many channels in all outputs as in all inputs");
    require(groups_ > 0 && channels_ % groups_ == 0, "groups must divide the channels");
  }
  Needs needs() const override { return {.scratch = 2 * channels_ * int64_t{sizeof(float)}}; }
  void run(const Run& run) const override {
    const Operands x = run.inputs, y = run.outputs;
    run.parallel_blocks(x[0].pixels(), grain_of(channels_), [&](int64_t begin, int64_t end, int thread) {
      float *joined = run.scratch(thread), *mixed = joined + channels_;
      for (int64_t p = begin; p < end; p++) {
        const float* from = x.size() == 1 ? pixel(x[0], p) : joined;
        float* to = y.size() == 1 ? pixel(y[0], p) : mixed;
        if (x.size() > 1) join(x, p, joined);
        shuffle_channels(from, to, channels_, groups_);
        if (y.size() > 1) part(mixed, y, p);
      }
    });
  }

 private:
  using Operands = std::span<const Tensor>;

  static int64_t channels_of(const std::vector<TensorSpec>& operands) {
    int64_t channels = 0;
    for (const TensorSpec& operand : operands) channels += operand.shape.channels();
    return channels;
  }
  static float* pixel(const Tensor& t, int64_t p) { return t.f32() + p * t.stride; }
  static void join(Operands from, int64_t p, float* to) {
    for (const Tensor& x : from) to = std::copy_n(pixel(x, p), x.channels(), to);
  }
  static void part(const float* from, Operands to, int64_t p) {
    for (const Tensor& y : to) {
      std::copy_n(from, y.channels(), pixel(y, p));
      from += y.channels();
    }
  }

  int64_t groups_, channels_;
};

}  // namespace

DL_DEFINE_OP(channel_shuffle, ChannelShuffle)

}  // namespace dl
