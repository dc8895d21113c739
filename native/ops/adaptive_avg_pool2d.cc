// adaptive_avg_pool2d: averages over PyTorch's adaptive bins; with output 1x1, global average pooling.
#include "ops/resample.h"

namespace dl {
namespace {

struct AdaptiveAvgPool2d : Resample {
  using Attributes = NoAttributes;
  AdaptiveAvgPool2d(const Attributes&, const StepSpec& spec)
      : Resample(spec, adaptive_axis(first_input(spec).shape[1], first_output(spec).shape[1]),
                 adaptive_axis(first_input(spec).shape[2], first_output(spec).shape[2])) {}
};

/// in dy; out dx
struct AdaptiveAvgPool2dGrad : Resample {
  using Attributes = NoAttributes;
  AdaptiveAvgPool2dGrad(const Attributes&, const StepSpec& spec)
      : Resample(spec, adaptive_axis(first_output(spec).shape[1], first_input(spec).shape[1]).transposed(),
                 adaptive_axis(first_output(spec).shape[2], first_input(spec).shape[2]).transposed()) {}
};

}  // namespace

DL_DEFINE_OP(adaptive_avg_pool2d, AdaptiveAvgPool2d)
DL_DEFINE_OP(adaptive_avg_pool2d_grad, AdaptiveAvgPool2dGrad)

}  // namespace dl
