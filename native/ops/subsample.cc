// subsample: every stride-th pixel, from the first; with pad, the parameter-free shortcut of He et al. 2015
// (type A).
#include "ops/image.h"

namespace dl {
namespace {

struct Steps {
  std::array<int64_t, 2> stride;
  template <class V>
  void visit(V&& visitor) {
    visitor("stride", stride);
  }
  void check(const TensorSpec& large, const TensorSpec& small) const {
    const Image x = Image::of(large), y = Image::of(small);
    require_same_rows(large, small);
    require(stride[0] > 0 && stride[1] > 0 && x.c == y.c && y.h == ceil_div(x.h, stride[0]) &&
                y.w == ceil_div(x.w, stride[1]),
            "operands do not differ by the stride");
  }
};

/// in x [n, h, w, c]; out y [n, ceil(h / stride), ceil(w / stride), c]
class Subsample : public Op {
 public:
  using Attributes = Steps;
  Subsample(const Attributes& a, const StepSpec& spec) : a_(a) {
    require_operands(spec, 1, 1);
    a.check(spec.inputs[0], spec.outputs[0]);
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    const int64_t ih = x.shape[1], iw = x.shape[2], oh = y.shape[1], ow = y.shape[2];
    run.parallel_blocks(y.shape[0] * oh, grain_of(ow * y.channels()), [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; row++) {
        const float* from = x.f32() + (row / oh * ih + row % oh * a_.stride[0]) * iw * x.stride;
        copy_pixels(reinterpret_cast<std::byte*>(y.f32() + row * ow * y.stride), y.stride * 4,
                    reinterpret_cast<const std::byte*>(from), a_.stride[1] * x.stride * 4, y.channels() * 4,
                    ow);
      }
    });
  }

 private:
  Attributes a_;
};

/// in dy; out dx: dy where it was taken from, zeros elsewhere
class SubsampleGrad : public Op {
 public:
  using Attributes = Steps;
  SubsampleGrad(const Attributes& a, const StepSpec& spec) : a_(a) {
    require_operands(spec, 1, 1);
    a.check(spec.outputs[0], spec.inputs[0]);
  }
  void run(const Run& run) const override {
    const Tensor &dy = run.inputs[0], &dx = run.outputs[0];
    const int64_t ih = dx.shape[1], iw = dx.shape[2], oh = dy.shape[1], ow = dy.shape[2], c = dx.channels();
    run.parallel_blocks(dx.shape[0] * ih, grain_of(iw * c), [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; row++) {
        float* to = dx.f32() + row * iw * dx.stride;
        const int64_t iy = row % ih;
        const bool taken = iy % a_.stride[0] == 0;
        const float* from = dy.f32() + (row / ih * oh + iy / a_.stride[0]) * ow * dy.stride;
        for (int64_t ix = 0; ix < iw; ix++, to += dx.stride) {
          if (taken && ix % a_.stride[1] == 0)
            std::memcpy(to, from + ix / a_.stride[1] * dy.stride, static_cast<size_t>(c) * 4);
          else
            std::memset(to, 0, static_cast<size_t>(c) * 4);
        }
      }
    });
  }

 private:
  Attributes a_;
};

}  // namespace

DL_DEFINE_OP(subsample, Subsample)
DL_DEFINE_OP(subsample_grad, SubsampleGrad)

}  // namespace dl
