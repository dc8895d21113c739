// What surrounds the matrix products of a convolution: padded copies of the source, the end of a block of
// outputs, sums over pixels.
#pragma once
#include <cstdint>

#include "kernels/norm/norm.h"
#include "kernels/unary/functions.h"

namespace dl {

/// A window of one image, copied with zeros where it hangs over the edges:
///   to[(r·columns + c)·to_stride + k] = from[((top + r)·width + left + c)·from_stride + k]
/// for 0 <= r < rows, 0 <= c < columns, 0 <= k < channels, or 0 where (top + r, left + c) lies outside
/// height x width. What lies between `channels` and `to_stride` is left alone.
struct PaddedCopy {
  const float* from;
  int64_t from_stride;
  int64_t height, width;
  int64_t top, left;
  int64_t channels;
  float* to;
  int64_t to_stride;
  int64_t rows, columns;
};

/// In place on a block of outputs:
///   y[p][j] = act(y[p][j] + residual[p][j]),  0 <= p < pixels, 0 <= j < columns
struct ConvFinish {
  float* y;
  int64_t y_stride;
  /// Or null.
  const float* residual;
  int64_t residual_stride;
  int64_t pixels;
  int64_t columns;
};

struct ConvKernels {
  void (*copy)(const PaddedCopy&);
  /// The same of act((from - mean)·scale + bias), by FusedActivation; the padding is 0 behind the activation.
  void (*copy_normalized[static_cast<int>(FusedActivation::count)])(const PaddedCopy&, const NormVectors&);
  /// By FusedActivation.
  void (*finish[static_cast<int>(FusedActivation::count)])(const ConvFinish&);
  /// Of each column of y[pixels][columns]: mean[j] and m2[j] = Σ (y - mean)².
  void (*moments)(const float* y, int64_t y_stride, int64_t pixels, int64_t columns, float* mean, float* m2);
  /// to[j] += Σ_p y[p][j], each sum of the block in float, then added in double.
  void (*add_sums)(const float* y, int64_t y_stride, int64_t pixels, int64_t columns, double* to);
  /// to[i] = Σ_s parts[s·stride + i] in the order of s, 0 <= i < size. `to` may be parts[0].
  void (*add_parts)(const float* parts, int64_t stride, int64_t count, int64_t size, float* to);
};

}  // namespace dl
