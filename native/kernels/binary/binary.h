// Arithmetic of several operands, element by element or with one factor or term a channel. Outputs may be any
// of the operands of the same shape.
#pragma once
#include "kernels/rows.h"
#include "kernels/unary/functions.h"

namespace dl {

struct BinaryKernels {
  /// y = f(((x[0] + x[1]) + x[2]) + ...), `count` operands
  using Add = void (*)(const In* x, int count, Out y, int64_t rows, int64_t c);
  /// y = a ∘ b
  using Combine = void (*)(In a, In b, Out y, int64_t rows, int64_t c);
  /// By FusedActivation.
  Add add[static_cast<int>(FusedActivation::count)];
  Combine multiply;
  /// y = x·s
  void (*scale)(In x, float s, Out y, int64_t rows, int64_t c);
  /// y = a + w·(b - a)
  void (*lerp)(In a, In b, float w, Out y, int64_t rows, int64_t c);
  /// y = x·s[channel]
  void (*scale_channels)(In x, const float* s, Out y, int64_t rows, int64_t c);
  /// dx = dy·s[channel], ds[channel] += Σ dy·x
  void (*scale_channels_gradient)(In dy, In x, const float* s, Out dx, int64_t rows, int64_t c, float* ds);
  /// y = x + b[channel]
  void (*add_channels)(In x, const float* b, Out y, int64_t rows, int64_t c);
};

}  // namespace dl
