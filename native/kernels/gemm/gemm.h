// Matrix products of addressed rows: what every dense, 1x1, k x k, strided and dilated convolution comes down
// to.
//
// Rows of A are addressed by pointers, and a row is `taps` pieces of k consecutive floats, at offsets that
// are the same for all rows: for a convolution a row is an output pixel, and a piece the channels under one
// kernel element. (An "indirect" GEMM, after Dukhan, "The Indirect Convolution Algorithm", 2019, with the
// table of taps x pixels taken apart.) B is packed in panels of `panel` columns:
//
//   B[columns / panel][taps][k][width]
//
// where width = panel, in the last panel its columns rounded up to whole vectors, with zeros beyond.
#pragma once
#include <cstdint>
#include <limits>

#include "base/line.h"

namespace dl {

/// Memory that a later call needs: fetched into the second-level cache while this one computes.
struct Prefetch {
  const float* from = nullptr;
  /// Lines in all: side by side or, where `run` is given, so many at a time, `stride` floats from one run to
  /// the next.
  int64_t lines = 0;
  int64_t run = 0;
  int64_t stride = 0;
};

/// What becomes of sums before they are stored: min(high, max(low, sum + residual)).
struct GemmFinish {
  /// Columns of the panel in row 0, rows `residual_stride` floats apart; or null.
  const float* residual = nullptr;
  int64_t residual_stride = 0;
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

/// C[row][j] (+)= bias[j] + Σ_t Σ_k A[row][tap[t] + k] · B[t][k][j]   for one panel, 0 <= j < columns
///
/// Every element is one chain of multiply-adds in the order of t, then k, whatever the tiles: neither the
/// blocks nor the threads show in the result.
struct GemmBlock {
  /// Row r of A starts at a[r] + a_offset.
  const float* const* a;
  int64_t a_offset;
  /// Row r of C starts at c[r] + c_offset.
  float* const* c;
  int64_t c_offset;
  int64_t rows;
  const int64_t* taps;
  int64_t tap_count;
  int64_t k;
  const float* b;
  int64_t columns;
  /// `columns` rounded up to whole vectors floats, or null: zero. Not used when `accumulate` is set.
  const float* bias;
  /// Continue the sums that are in C.
  bool accumulate;
  /// Or null: sums are stored as they are.
  const GemmFinish* finish = nullptr;
  /// A and C are in a cache already: their rows are not fetched.
  bool cached = false;
  /// What the next rows need, where it comes from memory.
  Prefetch prefetch[2] = {};
  /// What is read with C when the sums are done, addressed like GemmFinish::residual, or null: fetched into
  /// the first-level cache meanwhile.
  const float* prefetch_rows = nullptr;
  int64_t prefetch_stride = 0;
};

/// C[i][j] (+)= Σ_p A[p][offset + i] · B[p][j]   for one panel, 0 <= i < m, 0 <= j < columns
///
/// A is addressed by row pointers as above; row p of B is b + p·b_stride and holds `columns` rounded up to
/// whole vectors floats. Each element is one chain of multiply-adds in the order of p.
struct OuterBlock {
  const float* const* a;
  int64_t offset;
  int64_t m;
  const float* b;
  int64_t b_stride;
  int64_t rows;
  float* c;
  int64_t c_stride;
  int64_t columns;
  bool accumulate;
  /// As above.
  Prefetch prefetch[2] = {};
};

/// c[j] += Σ_p a[p] · b[p·b_stride + j], 0 <= p < k, 0 <= j < columns: one row by a matrix that is read once,
/// as it lies. Each element is one chain of multiply-adds in the order of p.
struct RowBlock {
  const float* a;
  int64_t k;
  const float* b;
  int64_t b_stride;
  float* c;
  int64_t columns;
};

struct GemmKernels {
  /// Columns of a panel.
  int panel;
  /// Rows of the register tile for a whole panel: block sizes that are multiples of it waste nothing.
  int tile_rows;
  void (*block)(const GemmBlock&);
  void (*outer)(const OuterBlock&);
  void (*row)(const RowBlock&);
  /// Packs one panel of `columns` columns: to[r][j] = from[r·row_stride + j·column_stride], zero beyond
  /// `columns`.
  void (*pack)(const float* from, int64_t row_stride, int64_t column_stride, int64_t rows, int64_t columns,
               float* to);
};

}  // namespace dl
