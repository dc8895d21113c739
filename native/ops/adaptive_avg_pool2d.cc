// adaptive_avg_pool2d: averages over PyTorch's adaptive bins; with output 1x1, global average pooling.
#include "ops/resample.h"

namespace dl {
namespace {

struct AdaptiveAverage : NoAttributes {
  Axis axis(int64_t input, int64_t output, int) const { return adaptive_axis(input, output); }
};

}  // namespace

DL_DEFINE_OP(adaptive_avg_pool2d, Resampling<AdaptiveAverage>)
DL_DEFINE_OP(adaptive_avg_pool2d_grad, ResamplingGrad<AdaptiveAverage>)

}  // namespace dl
