// Separable linear maps of images: average and adaptive average pooling, bilinear and nearest resizing, and
// the gradients of all of them, which are the transposed maps.
//
//   y[oy, ox, c] = Σ over links (ix, wx) of ox, Σ over links (iy, wy) of oy, of wx · wy · x[iy, ix, c]
//
// One output row at a time: first down the columns into a row of scratch, then along it.
#pragma once
#include <cstdint>

namespace dl {

/// One output row. Strides count elements.
struct ResampleRow {
  /// The links of this row.
  const int32_t* row_index;
  const float* row_weight;
  int64_t row_count;
  /// The links of its pixels: column_start[o] <= k < column_start[o + 1].
  const int32_t* column_start;
  const int32_t* column_index;
  const float* column_weight;
  int64_t iw;
  int64_t ow;
  int64_t channels;
};

struct ResampleKernels {
  /// x: the image; y: the row; scratch: iw · channels floats.
  void (*row)(const ResampleRow& row, const float* x, int64_t x_row, int64_t x_pixel, float* y,
              int64_t y_pixel, float* scratch);
};

}  // namespace dl
