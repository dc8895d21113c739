// Local response normalisation across channels (Krizhevsky et al. 2012; PyTorch's LocalResponseNorm):
//   d_i = k + (α/size)·Σ x_j²  over i - size/2 <= j <= i + (size-1)/2 within the channels      y = x·d^-β
//   dx_j = dy_j·d_j^-β - (2αβ/size)·x_j·Σ dy_i·y_i/d_i  over the i whose windows hold j
#pragma once
#include "kernels/rows.h"

namespace dl {

struct LrnShape {
  int64_t size;
  /// α/size
  float alpha;
  float beta, k;
};

/// Floats of scratch for c channels.
constexpr int64_t lrn_scratch(int64_t c, int64_t size) {
  return 3 * (c + size + 32);
}

struct LrnKernels {
  void (*value)(const LrnShape& s, In x, Out y, int64_t rows, int64_t c, float* scratch);
  /// dx may be dy.
  void (*gradient)(const LrnShape& s, In dy, In x, In y, Out dx, int64_t rows, int64_t c, float* scratch);
};

}  // namespace dl
