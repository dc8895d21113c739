// Softmax over the channels of each row, and cross-entropy with it. With m = max x and s = Σ exp(x - m):
//   softmax       y = exp(x - m)/s              dx = y·(dy - Σ dy·y)
//   log_softmax   y = (x - m) - ln s            dx = dy - exp(y)·Σ dy
//   cross-entropy against target weights t, T = Σ t:
//                 loss = Σ t·(ln s - (x - m))   dx = (softmax(x)·T - t)·weight
// Outputs may be operands.
#pragma once
#include "kernels/rows.h"

namespace dl {

struct SoftmaxKernels {
  using Value = void (*)(In x, Out y, int64_t rows, int64_t c);
  using Gradient = void (*)(In dy, In y, Out dx, int64_t rows, int64_t c);
  Value softmax;
  Gradient softmax_gradient;
  Value log_softmax;
  Gradient log_softmax_gradient;
  /// loss[r] for each row; a weight t of 0 counts nothing, whatever x is there.
  void (*cross_entropy)(In x, In t, float weight, float* loss, Out dx, int64_t rows, int64_t c);
};

}  // namespace dl
