// Losses that are means over elements: term and gradient in one pass. Over N elements, weight = 1/N:
//   squared         (x - t)²                                    dx = 2·(x - t)·weight
//   binary entropy  max(x, 0) - x·t + ln(1 + exp(-|x|))         dx = (sigmoid(x) - t)·weight
//                   = -t·ln σ(x) - (1 - t)·ln(1 - σ(x)), without overflow
#pragma once
#include "kernels/rows.h"

namespace dl {

struct LossKernels {
  /// sum[channel] += Σ term over rows; dx may be x.
  using Loss = void (*)(In x, In t, float weight, Out dx, int64_t rows, int64_t c, float* sum);
  Loss squared;
  Loss binary_entropy;
};

}  // namespace dl
