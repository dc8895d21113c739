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

/// V vectors of channels of one output pixel. `n` lanes of the last exist.
template <int V, class Index>
DL_INLINE void max_pixel(const PoolRow& row, int64_t begin, int64_t end, const float* x, int64_t x_row,
                         int64_t x_pixel, float* y, Index* index, int n) {
  constexpr bool kIndexed = !std::is_same_v<Index, NoIndex>;
  Vec best[V];
  IVec where[V];
  DL_UNROLL for (int v = 0; v < V; v++) {
    best[v] = from_bits(broadcast(kMinusInfinity));
    where[v] = broadcast(int32_t{0});
  }
  for (int64_t r = 0; r < row.row_count; r++) {
    const float* line = x + row.row_index[r] * x_row;
    const int32_t base = row.row_tap[r] * row.tap_row;
    for (int64_t k = begin; k < end; k++) {
      const float* p = line + row.columns.index[k] * x_pixel;
      const IVec tap = broadcast(base + row.columns.tap[k]);
      DL_UNROLL for (int i = 0; i < V; i++) {
        const Vec value = load_some(p + i * kLanes, n);
        const Mask larger = (value > best[i]) | !(value == value);
        best[i] = select(larger, value, best[i]);
        if constexpr (kIndexed) where[i] = select(larger, tap, where[i]);
      }
    }
  }
  DL_UNROLL for (int v = 0; v < V; v++) {
    n == kLanes ? store(y + v * kLanes, best[v]) : store_n(y + v * kLanes, best[v], n);
    if constexpr (kIndexed) store_index(index + v * kLanes, where[v], n);
  }
}

template <int V>
struct Vectors {
  static constexpr int value = V;
};
/// Calls body(c, Vectors<V>, n) for pieces of V vectors of channels, n lanes of each.
template <class Body>
DL_INLINE void for_pool_channels(int64_t channels, Body body) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) body(c, Vectors<4>{}, kLanes);
  for (; c + kLanes <= channels; c += kLanes) body(c, Vectors<1>{}, kLanes);
  if (c < channels) body(c, Vectors<1>{}, static_cast<int>(channels - c));
}

// Rows come by value: for all that the compiler knows, storing a vector may change what a reference sees.
template <class Index>
DL_INLINE void max_row(const PoolRow row, const float* x, int64_t x_row, int64_t x_pixel, float* y,
                       int64_t y_pixel, Index* index, int64_t index_pixel) {
  for (int64_t o = 0; o < row.columns_count; o++) {
    const int64_t begin = row.columns.start[o], end = row.columns.start[o + 1];
    for_pool_channels(row.channels, [&](int64_t c, auto vectors, int n) {
      Index* to = index;
      if constexpr (!std::is_same_v<Index, NoIndex>) to = index + o * index_pixel + c;
      max_pixel<decltype(vectors)::value>(row, begin, end, x + c, x_row, x_pixel, y + o * y_pixel + c, to, n);
    });
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

template <int V, class Index>
DL_INLINE void max_grad_pixel(const PoolRow& row, int64_t begin, int64_t end, const float* dy, int64_t dy_row,
                              int64_t dy_pixel, const Index* index, int64_t index_row, int64_t index_pixel,
                              float* dx, int n) {
  Vec sum[V];
  DL_UNROLL for (int v = 0; v < V; v++) sum[v] = zero();
  for (int64_t r = 0; r < row.row_count; r++) {
    const float* dy_line = dy + row.row_index[r] * dy_row;
    const Index* index_line = index + row.row_index[r] * index_row;
    const int32_t base = row.row_tap[r] * row.tap_row;
    for (int64_t k = begin; k < end; k++) {
      const int64_t o = row.columns.index[k];
      const IVec tap = broadcast(base + row.columns.tap[k]);
      DL_UNROLL for (int v = 0; v < V; v++) {
        const Mask taken = load_index(index_line + o * index_pixel + v * kLanes, n) == tap;
        sum[v] += select(taken, load_some(dy_line + o * dy_pixel + v * kLanes, n), zero());
      }
    }
  }
  DL_UNROLL for (int v = 0; v < V; v++) {
    n == kLanes ? store(dx + v * kLanes, sum[v]) : store_n(dx + v * kLanes, sum[v], n);
  }
}

template <class Index>
DL_INLINE void max_grad_row(const PoolRow row, const float* dy, int64_t dy_row, int64_t dy_pixel,
                            const Index* index, int64_t index_row, int64_t index_pixel, float* dx,
                            int64_t dx_pixel) {
  for (int64_t i = 0; i < row.columns_count; i++) {
    const int64_t begin = row.columns.start[i], end = row.columns.start[i + 1];
    for_pool_channels(row.channels, [&](int64_t c, auto vectors, int n) {
      max_grad_pixel<decltype(vectors)::value>(row, begin, end, dy + c, dy_row, dy_pixel, index + c,
                                               index_row, index_pixel, dx + i * dx_pixel + c, n);
    });
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
