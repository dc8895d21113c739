// See conv.h.
#pragma once
#include "kernels/conv/conv.h"
#include "kernels/rows-inl.h"
#include "simd/math-inl.h"

namespace dl::DL_ISA_NAMESPACE {

DL_INLINE void clear_pixels(float* to, int64_t stride, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; p++) {
    each_vector(channels, [&](int64_t k, auto lanes) { lanes.store(to + p * stride + k, zero()); });
  }
}

/// copy(from, to, pixels) writes the pixels of a row that exist.
template <class Copy>
DL_INLINE void write_padded(const PaddedCopy& s, const Copy& copy) {
  // Columns of the window that exist: [first, last).
  const int64_t first = min(max(0, -s.left), s.columns);
  const int64_t last = max(first, min(s.columns, s.width - s.left));
  for (int64_t r = 0; r < s.rows; r++) {
    float* to = s.to + r * s.columns * s.to_stride;
    const int64_t row = s.top + r;
    if (row < 0 || row >= s.height) {
      clear_pixels(to, s.to_stride, s.columns, s.channels);
      continue;
    }
    clear_pixels(to, s.to_stride, first, s.channels);
    if (last > first) {
      copy(s.from + (row * s.width + s.left + first) * s.from_stride, to + first * s.to_stride, last - first);
    }
    clear_pixels(to + last * s.to_stride, s.to_stride, s.columns - last, s.channels);
  }
}

inline void conv_copy(const PaddedCopy& s) {
  const bool dense = s.from_stride == s.channels && s.to_stride == s.channels;
  write_padded(s, [&](const float* from, float* to, int64_t pixels) {
    if (dense) {
      std::memcpy(to, from, static_cast<size_t>(pixels * s.channels) * sizeof(float));
      return;
    }
    for (int64_t p = 0; p < pixels; p++, from += s.from_stride, to += s.to_stride)
      each_vector(s.channels, [&](int64_t k, auto lanes) { lanes.store(to + k, lanes.load(from + k)); });
  });
}

template <class F>
void conv_copy_normalized(const PaddedCopy& s, const NormVectors& v) {
  const F f;
  write_padded(s, [&](const float* from, float* to, int64_t pixels) {
    for (int64_t p = 0; p < pixels; p++, from += s.from_stride, to += s.to_stride) {
      each_vector(s.channels, [&](int64_t k, auto lanes) {
        const Vec centred = lanes.load(from + k) - lanes.load(v.mean + k);
        lanes.store(to + k, f.value(fma(centred, lanes.load(v.scale + k), lanes.load(v.bias + k))));
      });
    }
  });
}

template <class F>
void conv_finish(const ConvFinish& c) {
  const F f;
  for (int64_t p = 0; p < c.pixels; p++) {
    float* y = c.y + p * c.y_stride;
    if (c.residual) {
      const float* residual = c.residual + p * c.residual_stride;
      each_vector(c.columns, [&](int64_t j, auto lanes) {
        lanes.store(y + j, f.value(lanes.load(y + j) + lanes.load(residual + j)));
      });
    } else {
      each_vector(c.columns, [&](int64_t j, auto lanes) { lanes.store(y + j, f.value(lanes.load(y + j))); });
    }
  }
}

/// Σ_p f(y[p]) of one vector of columns. Four chains, joined as a tree: one would wait for its own latency.
template <class Lanes, class F>
DL_INLINE Vec sum_pixels(const float* y, int64_t stride, int64_t pixels, Lanes lanes, const F& f) {
  Vec part[4] = {zero(), zero(), zero(), zero()};
  int64_t p = 0;
  for (; p + 4 <= pixels; p += 4) {
    DL_UNROLL for (int i = 0; i < 4; i++) part[i] = f(lanes.load(y + (p + i) * stride), part[i]);
  }
  for (; p < pixels; p++) part[0] = f(lanes.load(y + p * stride), part[0]);
  return (part[0] + part[1]) + (part[2] + part[3]);
}

inline void conv_moments(const float* y, int64_t y_stride, int64_t pixels, int64_t columns, float* mean,
                         float* m2) {
  const Vec count = broadcast(static_cast<float>(pixels));
  each_vector(columns, [&](int64_t j, auto lanes) {
    const Vec centre =
        sum_pixels(y + j, y_stride, pixels, lanes, [](Vec value, Vec part) { return part + value; }) / count;
    const Vec squares = sum_pixels(y + j, y_stride, pixels, lanes, [&](Vec value, Vec part) {
      const Vec d = value - centre;
      return fma(d, d, part);
    });
    lanes.store(mean + j, centre);
    lanes.store(m2 + j, squares);
  });
}

inline void conv_add_sums(const float* y, int64_t y_stride, int64_t pixels, int64_t columns, double* to) {
  each_vector(columns, [&](int64_t j, auto lanes) {
    float sums[kLanes];
    store(sums, sum_pixels(y + j, y_stride, pixels, lanes, [](Vec value, Vec part) { return part + value; }));
    const int64_t end = min(kLanes, columns - j);
    for (int64_t i = 0; i < end; i++) to[j + i] += static_cast<double>(sums[i]);
  });
}

inline void conv_add_parts(const float* parts, int64_t stride, int64_t count, int64_t size, float* to) {
  each_vector(size, [&](int64_t i, auto lanes) {
    Vec sum = lanes.load(parts + i);
    for (int64_t s = 1; s < count; s++) sum += lanes.load(parts + s * stride + i);
    lanes.store(to + i, sum);
  });
}

inline constexpr ConvKernels conv_kernels{
    .copy = conv_copy,
#define DL_ROW(name, F) conv_copy_normalized<functions::F>,
    .copy_normalized = {DL_FUSED_ACTIVATIONS(DL_ROW)},
#undef DL_ROW
#define DL_ROW(name, F) conv_finish<functions::F>,
    .finish = {DL_FUSED_ACTIVATIONS(DL_ROW)},
#undef DL_ROW
    .moments = conv_moments,
    .add_sums = conv_add_sums,
    .add_parts = conv_add_parts,
};

}  // namespace dl::DL_ISA_NAMESPACE
