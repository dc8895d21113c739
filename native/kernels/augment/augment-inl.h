// See augment.h.
#pragma once
#include "kernels/augment/augment.h"
#include "simd/simd.h"

namespace dl::DL_ISA_NAMESPACE {

/// Calls body(i, n) for vectors of n elements from i on.
template <class Body>
DL_INLINE void for_elements(int64_t length, Body body) {
  int64_t i = 0;
  for (; i + kLanes <= length; i += kLanes) body(i, kLanes);
  if (i < length) body(i, static_cast<int>(length - i));
}
DL_INLINE Vec load_part(const float* p, int n) {
  return n == kLanes ? load(p) : load_n(p, n);
}
DL_INLINE Vec load_part(const uint8_t* p, int n) {
  return to_float(n == kLanes ? load_u8(p) : load_u8_n(p, n));
}
DL_INLINE void store_part(float* p, Vec v, int n) {
  n == kLanes ? store(p, v) : store_n(p, v, n);
}

inline void augment_combine(const uint8_t* const* rows, const float* weight, int64_t count, int64_t length,
                            float* to) {
  for_elements(length, [&](int64_t i, int n) {
    Vec sum = zero();
    for (int64_t k = 0; k < count; k++) sum = fma(load_part(rows[k] + i, n), broadcast(weight[k]), sum);
    store_part(to + i, sum, n);
  });
}

/// A pixel is shorter than a vector: C channels in as many scalars, which the compiler keeps in registers.
template <int C>
DL_INLINE void resample_columns(const int32_t* start, const int32_t* index, const float* weight,
                                int64_t outputs, int64_t channels, int64_t channel, const float* from,
                                const float* rest, const float* fill, float* to) {
  for (int64_t o = 0; o < outputs; o++) {
    float sum[C];
    for (int c = 0; c < C; c++) sum[c] = rest[o] * fill[channel + c];
    for (int32_t k = start[o]; k < start[o + 1]; k++) {
      for (int c = 0; c < C; c++) sum[c] += weight[k] * from[index[k] + channel + c];
    }
    for (int c = 0; c < C; c++) to[o * channels + channel + c] = sum[c];
  }
}

inline void augment_resample(const int32_t* start, const int32_t* index, const float* weight, int64_t outputs,
                             int64_t channels, const float* from, const float* rest, const float* fill,
                             float* to) {
  if (channels == 3) return resample_columns<3>(start, index, weight, outputs, 3, 0, from, rest, fill, to);
  for (int64_t c = 0; c < channels; c++)
    resample_columns<1>(start, index, weight, outputs, channels, c, from, rest, fill, to);
}

template <class From>
inline void augment_normalize(const From* from, const float* scale, const float* shift, int64_t length,
                              float* to) {
  for_elements(length, [&](int64_t i, int n) {
    store_part(to + i, fma(load_part(from + i, n), load_part(scale + i, n), load_part(shift + i, n)), n);
  });
}

inline void augment_blend(float weight, const float* from, int64_t length, float* to) {
  const Vec own = broadcast(weight), other = broadcast(1 - weight);
  for_elements(length, [&](int64_t i, int n) {
    store_part(to + i, fma(load_part(to + i, n), own, load_part(from + i, n) * other), n);
  });
}

struct Rgb {
  Vec r, g, b;
};

DL_INLINE Vec unit(Vec v) {
  return min(broadcast(1.0f), max(zero(), v));
}
DL_INLINE Vec grey_of(const Rgb& p) {
  return fma(p.r, broadcast(0.2989f), fma(p.g, broadcast(0.587f), p.b * broadcast(0.114f)));
}
DL_INLINE Rgb brighten(const Rgb& p, Vec factor) {
  return {unit(p.r * factor), unit(p.g * factor), unit(p.b * factor)};
}
/// factor · p + (1 - factor) · grey
DL_INLINE Rgb blend_grey(const Rgb& p, Vec factor, Vec grey) {
  const Vec rest = (broadcast(1.0f) - factor) * grey;
  return {unit(fma(p.r, factor, rest)), unit(fma(p.g, factor, rest)), unit(fma(p.b, factor, rest))};
}

/// Turns the hue. Of HSV: value v = max, chroma = v·s = max - min, h6 the hue in sixths; back, a channel is
/// v - chroma · clamp(min(k, 4 - k), 0, 1) with k = (5, 3, 1) + h6 modulo 6.
DL_INLINE Rgb turn_hue(const Rgb& p, Vec turns) {
  const Vec value = max(p.r, max(p.g, p.b)), chroma = value - min(p.r, min(p.g, p.b));
  const Mask colored = zero() < chroma, red = p.r == value, green = p.g == value;
  const Vec divisor = select(colored, chroma, broadcast(1.0f));
  const Vec from_red = (p.g - p.b) / divisor;
  const Vec from_green = broadcast(2.0f) + (p.b - p.r) / divisor;
  const Vec from_blue = broadcast(4.0f) + (p.r - p.g) / divisor;
  const Vec h6 = fma(turns, broadcast(6.0f), select(red, from_red, select(green, from_green, from_blue)));
  auto channel = [&](float n) {
    const Vec k = broadcast(n) + h6, wrapped = fnma(floor(k / broadcast(6.0f)), broadcast(6.0f), k);
    return fnma(chroma, unit(min(wrapped, broadcast(4.0f) - wrapped)), value);
  };
  return {channel(5), channel(3), channel(1)};
}

inline void augment_jitter(const ColorJitter& jitter, float* planes, int64_t length) {
  float *r = planes, *g = planes + length, *b = planes + 2 * length;
  for_elements(length, [&](int64_t i, int n) {
    Rgb p{load_part(r + i, n), load_part(g + i, n), load_part(b + i, n)};
    if (jitter.brightness != 1) p = brighten(p, broadcast(jitter.brightness));
    if (jitter.contrast != 1) p = blend_grey(p, broadcast(jitter.contrast), broadcast(jitter.mean));
    if (jitter.saturation != 1) p = blend_grey(p, broadcast(jitter.saturation), grey_of(p));
    if (jitter.hue != 0) p = turn_hue(p, broadcast(jitter.hue));
    store_part(r + i, p.r, n);
    store_part(g + i, p.g, n);
    store_part(b + i, p.b, n);
  });
}

inline double augment_grey_sum(float brightness, const float* planes, int64_t length) {
  const float *r = planes, *g = planes + length, *b = planes + 2 * length;
  Vec total = zero();
  for_elements(length, [&](int64_t i, int n) {
    total += grey_of(
        brighten({load_part(r + i, n), load_part(g + i, n), load_part(b + i, n)}, broadcast(brightness)));
  });
  return static_cast<double>(sum(total));
}

inline constexpr AugmentKernels augment_kernels{
    .combine = augment_combine,
    .resample = augment_resample,
    .normalize_bytes = augment_normalize<uint8_t>,
    .normalize = augment_normalize<float>,
    .blend = augment_blend,
    .jitter = augment_jitter,
    .grey_sum = augment_grey_sum,
};

}  // namespace dl::DL_ISA_NAMESPACE
