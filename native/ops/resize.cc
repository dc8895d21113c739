// resize_bilinear, resize_nearest: PyTorch's interpolate, to the size of the output.
#include "ops/resample.h"

namespace dl {
namespace {

struct BilinearAttributes {
  bool align_corners, antialias;

  template <class V>
  void visit(V&& visitor) {
    visitor("align_corners", align_corners);
    visitor("antialias", antialias);
  }
  Axis axis(int i, const TensorSpec& x, const TensorSpec& y) const {
    return bilinear_axis(x.shape[1 + i], y.shape[1 + i], align_corners, antialias);
  }
};

struct ResizeBilinear : Resample {
  using Attributes = BilinearAttributes;
  ResizeBilinear(const Attributes& a, const StepSpec& spec)
      : Resample(spec, a.axis(0, first_input(spec), first_output(spec)),
                 a.axis(1, first_input(spec), first_output(spec))) {}
};

/// in dy; out dx
struct ResizeBilinearGrad : Resample {
  using Attributes = BilinearAttributes;
  ResizeBilinearGrad(const Attributes& a, const StepSpec& spec)
      : Resample(spec, a.axis(0, first_output(spec), first_input(spec)).transposed(),
                 a.axis(1, first_output(spec), first_input(spec)).transposed()) {}
};

Axis nearest(int i, const TensorSpec& x, const TensorSpec& y) {
  return nearest_axis(x.shape[1 + i], y.shape[1 + i]);
}

struct ResizeNearest : Resample {
  using Attributes = NoAttributes;
  ResizeNearest(const Attributes&, const StepSpec& spec)
      : Resample(spec, nearest(0, first_input(spec), first_output(spec)),
                 nearest(1, first_input(spec), first_output(spec))) {}
};

/// in dy; out dx
struct ResizeNearestGrad : Resample {
  using Attributes = NoAttributes;
  ResizeNearestGrad(const Attributes&, const StepSpec& spec)
      : Resample(spec, nearest(0, first_output(spec), first_input(spec)).transposed(),
                 nearest(1, first_output(spec), first_input(spec)).transposed()) {}
};

}  // namespace

DL_DEFINE_OP(resize_bilinear, ResizeBilinear)
DL_DEFINE_OP(resize_bilinear_grad, ResizeBilinearGrad)
DL_DEFINE_OP(resize_nearest, ResizeNearest)
DL_DEFINE_OP(resize_nearest_grad, ResizeNearestGrad)

}  // namespace dl
