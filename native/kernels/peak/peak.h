// What the processor can do at most: the yardstick of every benchmark.
#pragma once
#include <cstdint>

namespace dl {

struct PeakKernels {
  /// Runs `rounds` rounds of independent multiply-adds in registers and returns their sum, so that nothing
  /// can be left out. One round is `flops` floating-point operations.
  float (*fma)(int64_t rounds);
  int64_t flops;
};

}  // namespace dl
