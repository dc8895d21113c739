// See resample.h.
#include "kernels/resample/resample.h"
#include "simd/simd.h"

namespace dl::DL_ISA_NAMESPACE {

/// to[i] = Σ_k weight[k] · from[index[k] · step + i] for `length` contiguous elements. The first product is
/// plain, so that a single weight of one copies. Without links: zeros.
DL_INLINE void combine(const int32_t* index, const float* weight, int64_t count, const float* from,
                       int64_t step, int64_t length, float* to) {
  constexpr int kBlock = 4;
  int64_t i = 0;
  for (; i + kBlock * kLanes <= length; i += kBlock * kLanes) {
    Vec sum[kBlock];
    DL_UNROLL for (int b = 0; b < kBlock; b++) sum[b] = zero();
    for (int64_t k = 0; k < count; k++) {
      const float* p = from + index[k] * step + i;
      const Vec w = broadcast(weight[k]);
      if (k == 0) {
        DL_UNROLL for (int b = 0; b < kBlock; b++) sum[b] = load(p + b * kLanes) * w;
      } else {
        DL_UNROLL for (int b = 0; b < kBlock; b++) sum[b] = fma(load(p + b * kLanes), w, sum[b]);
      }
    }
    DL_UNROLL for (int b = 0; b < kBlock; b++) store(to + i + b * kLanes, sum[b]);
  }
  for (; i < length; i += kLanes) {
    const int n = static_cast<int>(min(kLanes, length - i));
    Vec sum = zero();
    for (int64_t k = 0; k < count; k++) {
      const Vec v = load_n(from + index[k] * step + i, n), w = broadcast(weight[k]);
      sum = k == 0 ? v * w : fma(v, w, sum);
    }
    store_n(to + i, sum, n);
  }
}

inline void resample_row(const ResampleRow& row, const float* x, int64_t x_row, int64_t x_pixel, float* y,
                         int64_t y_pixel, float* scratch) {
  const float* line = scratch;
  int64_t line_pixel = row.channels;
  if (row.row_count == 1 && row.row_weight[0] == 1.0f) {
    line = x + row.row_index[0] * x_row;
    line_pixel = x_pixel;
  } else if (x_pixel == row.channels) {
    combine(row.row_index, row.row_weight, row.row_count, x, x_row, row.iw * row.channels, scratch);
  } else {
    for (int64_t ix = 0; ix < row.iw; ix++)
      combine(row.row_index, row.row_weight, row.row_count, x + ix * x_pixel, x_row, row.channels,
              scratch + ix * row.channels);
  }
  for (int64_t ox = 0; ox < row.ow; ox++) {
    const int64_t begin = row.column_start[ox], end = row.column_start[ox + 1];
    combine(row.column_index + begin, row.column_weight + begin, end - begin, line, line_pixel, row.channels,
            y + ox * y_pixel);
  }
}

inline constexpr ResampleKernels resample_kernels{.row = resample_row};

}  // namespace dl::DL_ISA_NAMESPACE
