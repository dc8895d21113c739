// channel_shuffle: mixes the channels of groups (Zhang et al. 2018, arXiv:1707.01083).
#include "ops/channel_shuffle.h"
#include "ops/image.h"

namespace dl {
namespace {

/// in x; out y. The inverse, and so the gradient, is the shuffle with c / groups groups.
class ChannelShuffle : public Op {
 public:
  struct Attributes {
    int64_t groups;
    template <class V>
    void visit(V&& visitor) {
      visitor("groups", groups);
    }
  };
  ChannelShuffle(const Attributes& a, const StepSpec& spec) : groups_(a.groups) {
    require_operands(spec, 1, 1);
    require_type(spec.inputs[0], DType::f32);
    require_like(spec.inputs[0], spec.outputs[0]);
    require(groups_ > 0 && spec.inputs[0].shape.channels() % groups_ == 0, "groups must divide the channels");
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    const int64_t c = x.channels();
    run.parallel_blocks(x.pixels(), grain_of(c), [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; p++)
        shuffle_channels(x.f32() + p * x.stride, y.f32() + p * y.stride, c, groups_);
    });
  }

 private:
  int64_t groups_;
};

}  // namespace

DL_DEFINE_OP(channel_shuffle, ChannelShuffle)

}  // namespace dl
