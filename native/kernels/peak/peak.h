// What processor and memory can do at most: the yardsticks of every benchmark.
#pragma once
#include <cstdint>

namespace dl {

struct PeakKernels {
  /// Runs `rounds` rounds of independent multiply-adds in registers and returns their sum, so that nothing
  /// can be left out. One round is `flops` floating-point operations.
  float (*fma)(int64_t rounds);
  int64_t flops;
  /// a = b + 3·c, n elements each (McCalpin's triad): two streams read, one written.
  void (*triad)(float* a, const float* b, const float* c, int64_t n);
};

}  // namespace dl
