// avg_pool2d: averages over sliding windows, with PyTorch's divisors.
#include "ops/resample.h"

namespace dl {
namespace {

struct SlidingAverage {
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
  Axis axis(int64_t input, int64_t output, int i) const {
    const auto d = static_cast<size_t>(i);
    return average_axis(input, output, kernel[d], stride[d], pad[2 * d], pad[2 * d + 1], count_include_pad);
  }
};

}  // namespace

DL_DEFINE_OP(avg_pool2d, Resampling<SlidingAverage>)
DL_DEFINE_OP(avg_pool2d_grad, ResamplingGrad<SlidingAverage>)

}  // namespace dl
