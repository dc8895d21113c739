// Maximum pooling, one row of one image at a time.
//
//   y[ox, c]     = max over links (iy, ty) of the row and (ix, tx) of the column of x[iy, ix, c]
//   index[ox, c] = ty · tap_row + tx of the first tap, in this order, that holds the maximum; NaN counts as
//                  larger than everything, as in PyTorch (the last NaN of a window wins there and here)
//   dx[ix, c]    = Σ over links (oy, ty), (ox, tx) of dy[oy, ox, c]
//                  where index[oy, ox, c] = ty · tap_row + tx
//
// The gradient gathers: each dx is written once, in a fixed order, so threads never meet.
#pragma once
#include <cstdint>

namespace dl {

/// The links of one axis, a list for each position o: index[k] and tap[k] for start[o] <= k < start[o + 1].
struct Links {
  const int32_t* start;
  const int32_t* index;
  const int32_t* tap;
};

/// One row of positions, linked with rows of the other side. Strides count elements.
struct PoolRow {
  /// The links of this row.
  const int32_t* row_index;
  const int32_t* row_tap;
  int64_t row_count;
  Links columns;
  int64_t columns_count;
  int64_t channels;
  int32_t tap_row;
};

struct PoolKernels {
  /// x: the image. Writes a row of y and, unless null, of index (one of the two types).
  void (*max)(const PoolRow& row, const float* x, int64_t x_row, int64_t x_pixel, float* y, int64_t y_pixel,
              uint8_t* index_u8, int32_t* index_i32, int64_t index_pixel);
  /// dy, index: the image (index is one of the two types, the other null). Writes a row of dx.
  void (*max_grad)(const PoolRow& row, const float* dy, int64_t dy_row, int64_t dy_pixel,
                   const uint8_t* index_u8, const int32_t* index_i32, int64_t index_row, int64_t index_pixel,
                   float* dx, int64_t dx_pixel);
};

}  // namespace dl
