// See picture.h.
#pragma once
#include "kernels/picture/picture.h"
#include "simd/simd.h"

namespace dl::DL_ISA_NAMESPACE {

namespace picture {

constexpr int kPrecision = 22;
constexpr int32_t kHalf = 1 << (kPrecision - 1);

/// The sums are far from what a float cannot hold once they are shifted.
DL_INLINE IVec to_byte(IVec sum) {
  const Vec whole = to_float(shift_right_signed<kPrecision>(sum));
  return to_int(min(broadcast(255.0f), max(zero(), whole)));
}
DL_INLINE uint8_t to_byte(int32_t sum) {
  const int32_t whole = sum >> kPrecision;
  return static_cast<uint8_t>(whole < 0 ? 0 : whole > 255 ? 255 : whole);
}

inline void down(const PictureTaps& t, const uint8_t* from, int64_t line, int64_t bytes, uint8_t* to) {
  // Sums that are under way at a time: a product takes ten cycles, a register each.
  constexpr int kSums = 4;
  for (int64_t y = 0; y < t.length; y++, to += bytes) {
    const uint8_t* rows = from + t.first[y] * line;
    const int32_t* weights = t.weights + y * t.stride;
    const int64_t count = t.count[y];
    int64_t i = 0;
    for (; i + kSums * kLanes <= bytes; i += kSums * kLanes) {
      IVec sum[kSums];
      DL_UNROLL for (int s = 0; s < kSums; s++) sum[s] = broadcast(kHalf);
      for (int64_t k = 0; k < count; k++) {
        const IVec w = broadcast(weights[k]);
        DL_UNROLL for (int s = 0; s < kSums; s++) sum[s] =
            sum[s] + load_u8(rows + k * line + i + s * kLanes) * w;
      }
      DL_UNROLL for (int s = 0; s < kSums; s++) store_u8(to + i + s * kLanes, to_byte(sum[s]));
    }
    for (; i < bytes; i += kLanes) {
      const int n = static_cast<int>(min(kLanes, bytes - i));
      IVec sum = broadcast(kHalf);
      for (int64_t k = 0; k < count; k++)
        sum = sum + load_u8_n(rows + k * line + i, n) * broadcast(weights[k]);
      store_u8_n(to + i, to_byte(sum), n);
    }
  }
}

template <int C>
DL_INLINE void across_row(const PictureTaps& t, const uint8_t* row, uint8_t* to) {
  for (int64_t x = 0; x < t.length; x++, to += C) {
    const uint8_t* pixel = row + t.first[x] * C;
    const int32_t* weights = t.weights + x * t.stride;
    int32_t sum[C];
    DL_UNROLL for (int c = 0; c < C; c++) sum[c] = kHalf;
    for (int64_t k = 0; k < t.count[x]; k++, pixel += C) {
      DL_UNROLL for (int c = 0; c < C; c++) sum[c] += pixel[c] * weights[k];
    }
    DL_UNROLL for (int c = 0; c < C; c++) to[c] = to_byte(sum[c]);
  }
}

inline void across(const PictureTaps& t, const uint8_t* from, int64_t line, int64_t rows, int64_t channels,
                   uint8_t* to) {
  for (int64_t y = 0; y < rows; y++, from += line, to += t.length * channels) {
    if (channels == 3) {
      across_row<3>(t, from, to);
    } else {
      across_row<1>(t, from, to);
    }
  }
}

}  // namespace picture

inline constexpr PictureKernels picture_kernels{.down = picture::down, .across = picture::across};

}  // namespace dl::DL_ISA_NAMESPACE
