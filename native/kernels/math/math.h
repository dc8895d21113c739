// The elementary functions of simd/math-inl.h on arrays, for tests and for kernels without vectors of their
// own.
#pragma once
#include <cstdint>

namespace dl {

struct MathKernels {
  using Function = void (*)(const float* x, float* y, int64_t count);
  Function exp, log, log1p, tanh, sigmoid, erf;
};

}  // namespace dl
