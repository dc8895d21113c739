// Mean and variance per channel from block sums about a shift. The blocks may come from an op's own pass over
// the tensor or from the epilogue of the step that wrote it.
#pragma once
#include <cstdint>

namespace dl {

/// Block b holds, for each channel i, n_b pixels' Σ (x - shift) at sums[b·block_stride + i], Σ (x - shift)²
/// one row_stride further, and the shift two further. Blocks hold `grain` pixels, the last one the rest of
/// `pixels`.
struct MomentBlocks {
  const float* sums;
  int64_t row_stride, block_stride;
  int64_t grain, pixels;
};

/// Combines the blocks in double, in order:
///   mean = Σ_b (n_b·shift_b + Σ_b) / m
///   m·variance = Σ_b (Σ²_b - (Σ_b)²/n_b + n_b·(mean_b - mean)²)
///   unbiased = variance·m/(m - 1), or the variance itself when m is 1
/// `scratch` is 2·c doubles.
void combine_moments(const MomentBlocks& blocks, int64_t c, double* scratch, float* mean, float* variance,
                     float* unbiased);

}  // namespace dl
