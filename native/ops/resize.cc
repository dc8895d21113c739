// resize_bilinear, resize_nearest: PyTorch's interpolate, to the size of the output.
#include "ops/resample.h"

namespace dl {
namespace {

struct Bilinear {
  bool align_corners, antialias;

  template <class V>
  void visit(V&& visitor) {
    visitor("align_corners", align_corners);
    visitor("antialias", antialias);
  }
  Axis axis(int64_t input, int64_t output, int) const {
    return bilinear_axis(input, output, align_corners, antialias);
  }
};

struct Nearest : NoAttributes {
  Axis axis(int64_t input, int64_t output, int) const { return nearest_axis(input, output); }
};

}  // namespace

DL_DEFINE_OP(resize_bilinear, Resampling<Bilinear>)
DL_DEFINE_OP(resize_bilinear_grad, ResamplingGrad<Bilinear>)
DL_DEFINE_OP(resize_nearest, Resampling<Nearest>)
DL_DEFINE_OP(resize_nearest_grad, ResamplingGrad<Nearest>)

}  // namespace dl
