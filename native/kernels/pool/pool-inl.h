// See pool.h.
#include <type_traits>

#include "kernels/pool/pool.h"
#include "simd/simd.h"

namespace dl::DL_ISA_NAMESPACE {

DL_INLINE Vec load_some(const float* p, int n) {
  return n == kLanes ? load(p) : load_n(p, n);
}
DL_INLINE IVec load_index(const uint8_t* p, int n) {
  return n == kLanes ? load_u8(p) : load_u8_n(p, n);
}
DL_INLINE IVec load_index(const int32_t* p, int n) {
  return n == kLanes ? load(p) : load_n(p, n);
}
DL_INLINE void store_index(uint8_t* p, IVec v, int n) {
  n == kLanes ? store_u8(p, v) : store_u8_n(p, v, n);
}
DL_INLINE void store_index(int32_t* p, IVec v, int n) {
  n == kLanes ? store(p, v) : store_n(p, v, n);
}

struct NoIndex {};
constexpr int32_t kMinusInfinity = -0x800000;

/// One vector of channels of one output pixel. `n` of its lanes exist.
template <class Index>
DL_INLINE void max_pixel(const PoolRow& row, int64_t begin, int64_t end, const float* x, int64_t x_row,
                         int64_t x_pixel, float* y, Index* index, int n) {
  constexpr bool kIndexed = !std::is_same_v<Index, NoIndex>;
  Vec best = from_bits(broadcast(kMinusInfinity));
  IVec where = broadcast(int32_t{0});
  for (int64_t r = 0; r < row.row_count; r++) {
    const float* line = x + row.row_index[r] * x_row;
    const int32_t base = row.row_tap[r] * row.tap_row;
    for (int64_t k = begin; k < end; k++) {
      const Vec v = load_some(line + row.columns.index[k] * x_pixel, n);
      const Mask larger = (v > best) | !(v == v);
      best = select(larger, v, best);
      if constexpr (kIndexed) where = select(larger, broadcast(base + row.columns.tap[k]), where);
    }
  }
  n == kLanes ? store(y, best) : store_n(y, best, n);
  if constexpr (kIndexed) store_index(index, where, n);
}

template <class Index>
DL_INLINE void max_row(const PoolRow& row, const float* x, int64_t x_row, int64_t x_pixel, float* y,
                       int64_t y_pixel, Index* index, int64_t index_pixel) {
  for (int64_t o = 0; o < row.columns_count; o++) {
    const int64_t begin = row.columns.start[o], end = row.columns.start[o + 1];
    auto at = [&](int64_t c) {
      if constexpr (std::is_same_v<Index, NoIndex>)
        return index;
      else
        return index + o * index_pixel + c;
    };
    int64_t c = 0;
    for (; c + kLanes <= row.channels; c += kLanes)
      max_pixel(row, begin, end, x + c, x_row, x_pixel, y + o * y_pixel + c, at(c), kLanes);
    if (c < row.channels)
      max_pixel(row, begin, end, x + c, x_row, x_pixel, y + o * y_pixel + c, at(c),
                static_cast<int>(row.channels - c));
  }
}

inline void pool_max(const PoolRow& row, const float* x, int64_t x_row, int64_t x_pixel, float* y,
                     int64_t y_pixel, uint8_t* index_u8, int32_t* index_i32, int64_t index_pixel) {
  if (index_u8 != nullptr) {
    max_row(row, x, x_row, x_pixel, y, y_pixel, index_u8, index_pixel);
  } else if (index_i32 != nullptr) {
    max_row(row, x, x_row, x_pixel, y, y_pixel, index_i32, index_pixel);
  } else {
    max_row(row, x, x_row, x_pixel, y, y_pixel, static_cast<NoIndex*>(nullptr), 0);
  }
}

template <class Index>
DL_INLINE void max_grad_pixel(const PoolRow& row, int64_t begin, int64_t end, const float* dy, int64_t dy_row,
                              int64_t dy_pixel, const Index* index, int64_t index_row, int64_t index_pixel,
                              float* dx, int n) {
  Vec sum = zero();
  for (int64_t r = 0; r < row.row_count; r++) {
    const float* dy_line = dy + row.row_index[r] * dy_row;
    const Index* index_line = index + row.row_index[r] * index_row;
    const int32_t base = row.row_tap[r] * row.tap_row;
    for (int64_t k = begin; k < end; k++) {
      const int64_t o = row.columns.index[k];
      const Mask taken = load_index(index_line + o * index_pixel, n) == broadcast(base + row.columns.tap[k]);
      sum += select(taken, load_some(dy_line + o * dy_pixel, n), zero());
    }
  }
  n == kLanes ? store(dx, sum) : store_n(dx, sum, n);
}

template <class Index>
DL_INLINE void max_grad_row(const PoolRow& row, const float* dy, int64_t dy_row, int64_t dy_pixel,
                            const Index* index, int64_t index_row, int64_t index_pixel, float* dx,
                            int64_t dx_pixel) {
  for (int64_t i = 0; i < row.columns_count; i++) {
    const int64_t begin = row.columns.start[i], end = row.columns.start[i + 1];
    int64_t c = 0;
    for (; c + kLanes <= row.channels; c += kLanes)
      max_grad_pixel(row, begin, end, dy + c, dy_row, dy_pixel, index + c, index_row, index_pixel,
                     dx + i * dx_pixel + c, kLanes);
    if (c < row.channels)
      max_grad_pixel(row, begin, end, dy + c, dy_row, dy_pixel, index + c, index_row, index_pixel,
                     dx + i * dx_pixel + c, static_cast<int>(row.channels - c));
  }
}

inline void pool_max_grad(const PoolRow& row, const float* dy, int64_t dy_row, int64_t dy_pixel,
                          const uint8_t* index_u8, const int32_t* index_i32, int64_t index_row,
                          int64_t index_pixel, float* dx, int64_t dx_pixel) {
  if (index_u8 != nullptr)
    max_grad_row(row, dy, dy_row, dy_pixel, index_u8, index_row, index_pixel, dx, dx_pixel);
  else
    max_grad_row(row, dy, dy_row, dy_pixel, index_i32, index_row, index_pixel, dx, dx_pixel);
}

inline constexpr PoolKernels pool_kernels{.max = pool_max, .max_grad = pool_max_grad};

}  // namespace dl::DL_ISA_NAMESPACE
