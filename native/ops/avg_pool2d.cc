// avg_pool2d: averages over sliding windows, with PyTorch's divisors.
#include "ops/resample.h"

namespace dl {
namespace {

struct AvgPoolAttributes {
  std::array<int64_t, 2> kernel, stride;
  std::array<int64_t, 4> pad;
  bool count_include_pad;

  template <class V>
  void visit(V&& visitor) {
    visitor("kernel", kernel);
    visitor("stride", stride);
    visitor("pad", pad);
    visitor("count_include_pad", count_include_pad);
  }
  /// The table of rows (0) or columns (1).
  Axis axis(int i, const TensorSpec& x, const TensorSpec& y) const {
    const auto d = static_cast<size_t>(i);
    return average_axis(x.shape[1 + i], y.shape[1 + i], kernel[d], stride[d], pad[2 * d], pad[2 * d + 1],
                        count_include_pad);
  }
};

struct AvgPool2d : Resample {
  using Attributes = AvgPoolAttributes;
  AvgPool2d(const Attributes& a, const StepSpec& spec)
      : Resample(spec, a.axis(0, first_input(spec), first_output(spec)),
                 a.axis(1, first_input(spec), first_output(spec))) {}
};

/// in dy; out dx
struct AvgPool2dGrad : Resample {
  using Attributes = AvgPoolAttributes;
  AvgPool2dGrad(const Attributes& a, const StepSpec& spec)
      : Resample(spec, a.axis(0, first_output(spec), first_input(spec)).transposed(),
                 a.axis(1, first_output(spec), first_input(spec)).transposed()) {}
};

}  // namespace

DL_DEFINE_OP(avg_pool2d, AvgPool2d)
DL_DEFINE_OP(avg_pool2d_grad, AvgPool2dGrad)

}  // namespace dl
