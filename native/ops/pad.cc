// pad, pad_grad: a border around images and channels, and its removal. pad_grad is also the op that crops.
#include "ops/image.h"

namespace dl {
namespace {

struct Border {
  /// top, bottom, left, right
  std::array<int64_t, 4> pad;
  /// before, after
  std::array<int64_t, 2> channels;

  template <class V>
  void visit(V&& visitor) {
    visitor("pad", pad);
    visitor("channels", channels);
  }
  void check(const TensorSpec& inner, const TensorSpec& outer) const {
    const Image a = Image::of(inner), b = Image::of(outer);
    require_same_rows(inner, outer);
    for (int64_t size : pad) require(size >= 0, "negative padding");
    for (int64_t size : channels) require(size >= 0, "negative padding");
    require(a.h + pad[0] + pad[1] == b.h && a.w + pad[2] + pad[3] == b.w &&
                a.c + channels[0] + channels[1] == b.c,
            "operands do not differ by the padding");
  }
};

/// in x; out y
class Pad : public Op {
 public:
  struct Attributes : Border {
    float value;
    template <class V>
    void visit(V&& visitor) {
      Border::visit(visitor);
      visitor("value", value);
    }
  };
  Pad(const Attributes& a, const StepSpec& spec) : a_(a) {
    require_operands(spec, 1, 1);
    a.check(spec.inputs[0], spec.outputs[0]);
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    const int64_t ih = x.shape[1], iw = x.shape[2], ic = x.shape[3], oh = y.shape[1], ow = y.shape[2];
    run.parallel_blocks(y.shape[0] * oh, grain_of(ow * y.channels()), [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; row++) {
        float* to = y.f32() + row * ow * y.stride;
        const int64_t iy = row % oh - a_.pad[0];
        if (iy < 0 || iy >= ih) {
          fill(to, y, ow);
          continue;
        }
        fill(to, y, a_.pad[2]);
        to += a_.pad[2] * y.stride;
        const float* from = x.f32() + (row / oh * ih + iy) * iw * x.stride;
        for (int64_t ix = 0; ix < iw; ix++, to += y.stride, from += x.stride) {
          std::fill_n(to, a_.channels[0], a_.value);
          std::memcpy(to + a_.channels[0], from, static_cast<size_t>(ic) * 4);
          std::fill_n(to + a_.channels[0] + ic, a_.channels[1], a_.value);
        }
        fill(to, y, a_.pad[3]);
      }
    });
  }

 private:
  void fill(float* to, const Tensor& y, int64_t pixels) const {
    for (int64_t p = 0; p < pixels; p++) std::fill_n(to + p * y.stride, y.channels(), a_.value);
  }
  Attributes a_;
};

/// in dy; out dx
class PadGrad : public Op {
 public:
  using Attributes = Border;
  PadGrad(const Attributes& a, const StepSpec& spec) : a_(a) {
    require_operands(spec, 1, 1);
    a.check(spec.outputs[0], spec.inputs[0]);
  }
  void run(const Run& run) const override {
    const Tensor &dy = run.inputs[0], &dx = run.outputs[0];
    const int64_t ih = dx.shape[1], iw = dx.shape[2], oh = dy.shape[1], ow = dy.shape[2];
    run.parallel_blocks(dx.shape[0] * ih, grain_of(iw * dx.channels()), [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; row++) {
        const int64_t pixel = (row / ih * oh + row % ih + a_.pad[0]) * ow + a_.pad[2];
        copy_pixels(reinterpret_cast<std::byte*>(dx.f32() + row * iw * dx.stride), dx.stride * 4,
                    reinterpret_cast<const std::byte*>(dy.f32() + pixel * dy.stride + a_.channels[0]),
                    dy.stride * 4, dx.channels() * 4, iw);
      }
    });
  }

 private:
  Attributes a_;
};

}  // namespace

DL_DEFINE_OP(pad, Pad)
DL_DEFINE_OP(pad_grad, PadGrad)

}  // namespace dl
