// Convolutions with small groups: depthwise, and groups of four or eight channels in and out. A channel meets
// only the channels of its group, so there is no matrix product to block: the work is to read each pixel
// once.
//
// With source channel s(c, j) = c - c mod G + j of the group of c:
//
//   row           y[q][c] = clamp(bias[c] + Σ_t Σ_k Σ_j source_t[q·step + offset_k][s(c, j)] · w[t][k][j][c])
//   grad_weight   dw[t][k][j][c] += Σ_rows Σ_q source_t[q·step + offset_k][s(c, j)] · dy[q][c]
//
// over the source pixels that exist: padding is left out, not multiplied. Strides and offsets count floats,
// except that `offset` counts pixels.
#pragma once
#include <cstdint>

namespace dl {

/// One output row, or two at once where that is rows_together (ops/depthwise_rows.h).
struct DepthwiseRow {
  /// Source row t at its pixel 0, or null where the row lies in the padding; one more for two output rows.
  const float* const* source;
  int64_t tap_rows;
  /// [tap_columns], ascending.
  const int64_t* offset;
  int64_t tap_columns;
  int64_t step;
  int64_t source_width, source_stride;
  /// Weights [G][channels] of tap (t, k) lie at weights + weight[t · tap_columns + k].
  const float* weights;
  const int64_t* weight;
  int64_t channels;
  float* y;
  int64_t y_stride;
  /// Output rows, and from the first to the second.
  int64_t rows, y_row;
  int64_t columns;
  /// Or null.
  const float* bias;
  float low, high;
  /// The lowest source row under the output row that follows, to fetch it into the cache with what else is
  /// new there (the row above where taps step by two, the row below for two output rows), or null. Any
  /// address will do.
  const float* prefetch;
  /// `channels` zeros.
  const float* zeros;
};

/// Output columns that are summed at a time.
inline constexpr int64_t kDepthwiseGradColumns = 16;

/// Some rows of taps over some output rows, where all source rows exist.
struct DepthwiseGradRows {
  /// The source row under the first output row and the first row of taps.
  const float* source;
  /// From there to that under the next output row, and to that under the next row of taps.
  int64_t source_row, tap_row;
  int64_t tap_rows;
  const int64_t* offset;
  int64_t tap_columns;
  int64_t step;
  int64_t source_width, source_stride;
  const float* dy;
  int64_t dy_row, dy_stride;
  int64_t rows, columns;
  int64_t channels;
  /// [tap_rows][tap_columns][G][channels], added to.
  float* dw;
  /// From what is read to what is fetched into the cache meanwhile, in floats; 0 where nothing is.
  int64_t source_ahead, dy_ahead;
};

/// Of groups of G = 1, 4 and 8 channels, at index G / 4.
struct DepthwiseKernels {
  void (*row[3])(const DepthwiseRow&);
  void (*grad_weight[3])(const DepthwiseGradRows&);
};

}  // namespace dl
