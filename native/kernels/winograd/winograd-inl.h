// See winograd.h. All transforms are separable: first along the columns of a tile, then along its rows.
#pragma once
#include "kernels/rows-inl.h"
#include "kernels/winograd/winograd.h"
#include "simd/math-inl.h"

namespace dl::DL_ISA_NAMESPACE {

namespace winograd {

constexpr float kA = 0.70710678118654752f;  // √½
constexpr float kB = 1.41421356237309505f;  // √2

/// v = Bᵀ d
DL_INLINE void input(const Vec (&d)[6], Vec (&v)[6]) {
  const Vec two = broadcast(2.0f), half = broadcast(0.5f), both = broadcast(2.5f);
  const Vec a = broadcast(kA), b = broadcast(kB);
  const Vec even1 = fnma(two, d[2], d[4]), odd1 = a * fnma(two, d[1], d[3]);
  const Vec even2 = fnma(half, d[2], d[4]), odd2 = b * fnma(half, d[1], d[3]);
  v[0] = fnma(both, d[2], d[0] + d[4]);
  v[1] = even1 + odd1;
  v[2] = even1 - odd1;
  v[3] = even2 + odd2;
  v[4] = even2 - odd2;
  v[5] = fnma(both, d[3], d[1] + d[5]);
}

/// y = Aᵀ m
DL_INLINE void output(const Vec (&m)[6], Vec (&y)[4]) {
  const Vec sum1 = m[1] + m[2], difference1 = m[1] - m[2];
  const Vec sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  y[0] = m[0] + sum1 + sum2;
  y[1] = fma(broadcast(kA), difference1, broadcast(kB) * difference2);
  y[2] = fma(broadcast(2.0f), sum2, broadcast(0.5f) * sum1);
  y[3] = fma(broadcast(0.5f * kA), difference1, fma(broadcast(2.0f * kB), difference2, m[5]));
}

/// v = A y
DL_INLINE void output_gradient(const Vec (&y)[4], Vec (&v)[6]) {
  const Vec half = broadcast(0.5f), two = broadcast(2.0f);
  const Vec even1 = fma(half, y[2], y[0]), odd1 = broadcast(kA) * fma(half, y[3], y[1]);
  const Vec even2 = fma(two, y[2], y[0]), odd2 = broadcast(kB) * fma(two, y[3], y[1]);
  v[0] = y[0];
  v[1] = even1 + odd1;
  v[2] = even1 - odd1;
  v[3] = even2 + odd2;
  v[4] = even2 - odd2;
  v[5] = y[3];
}

/// u = G g
DL_INLINE void weights(const Vec (&g)[3], Vec (&u)[6]) {
  const Vec even1 = fma(broadcast(-1.0f / 3), g[2], broadcast(-2.0f / 3) * g[0]);
  const Vec odd1 = broadcast(-2.0f / 3 * kA) * g[1];
  const Vec even2 = fma(broadcast(1.0f / 3), g[2], broadcast(1.0f / 6) * g[0]);
  const Vec odd2 = broadcast(1.0f / 6 * kB) * g[1];
  u[0] = g[0];
  u[1] = even1 + odd1;
  u[2] = even1 - odd1;
  u[3] = even2 + odd2;
  u[4] = even2 - odd2;
  u[5] = g[2];
}

/// g = Gᵀ u
DL_INLINE void weight_gradient(const Vec (&u)[6], Vec (&g)[3]) {
  const Vec sum1 = u[1] + u[2], sum2 = u[3] + u[4];
  g[0] = u[0] + fma(broadcast(1.0f / 6), sum2, broadcast(-2.0f / 3) * sum1);
  g[1] = fma(broadcast(1.0f / 6 * kB), u[3] - u[4], broadcast(-2.0f / 3 * kA) * (u[1] - u[2]));
  g[2] = u[5] + fma(broadcast(1.0f / 3), sum2, broadcast(-1.0f / 3) * sum1);
}

/// Tiles of N x N pixels into 6x6 places, by a transform of N into 6.
template <int N, void (*transform)(const Vec (&)[N], Vec (&)[6])>
void transform_tiles(const WinogradTiles& w) {
  for (int64_t t = 0; t < w.tiles; t++) {
    const float* tile = w.from + t * kWinogradTile * w.pixel_stride;
    float* to = w.to + t * w.tile_stride;
    each_vector(w.channels, [&](int64_t c, auto lanes) {
      Vec places[6][N];
      DL_UNROLL for (int j = 0; j < N; j++) {
        Vec column[N], places_of_column[6];
        const float* from = tile + j * w.pixel_stride + c;
        DL_UNROLL for (int i = 0; i < N; i++) column[i] = lanes.load(from + i * w.row_stride);
        transform(column, places_of_column);
        DL_UNROLL for (int i = 0; i < 6; i++) places[i][j] = places_of_column[i];
      }
      float* plane = to + c;
      for (int64_t i = w.first; i < w.last; i++, plane += 6 * w.plane_stride) {
        Vec row[6];
        transform(places[i], row);
        DL_UNROLL for (int j = 0; j < 6; j++) store(plane + j * w.plane_stride, row[j]);
      }
    });
  }
}

/// One tile, of which `rows` x `columns` outputs exist. kWhole: all.
template <class F, bool kWhole>
DL_INLINE void write_tile(const WinogradOutputs& w, int64_t tile, int64_t rows, int64_t columns) {
  const F f;
  const float* from = w.from + tile * w.tile_stride;
  float* to = w.to + tile * kWinogradTile * w.pixel_stride;
  const float* residual = w.residual ? w.residual + tile * kWinogradTile * w.residual_pixel : nullptr;
  each_vector(w.channels, [&](int64_t c, auto lanes) {
    Vec half[4][6];
    DL_UNROLL for (int j = 0; j < 6; j++) {
      Vec column[6], outputs[4];
      DL_UNROLL for (int i = 0; i < 6; i++) column[i] = lanes.load(from + (6 * i + j) * w.plane_stride + c);
      output(column, outputs);
      DL_UNROLL for (int i = 0; i < 4; i++) half[i][j] = outputs[i];
    }
    const Vec bias = w.bias ? lanes.load(w.bias + c) : zero();
    for (int64_t i = 0; i < (kWhole ? kWinogradTile : rows); i++) {
      Vec y[4];
      output(half[i], y);
      DL_UNROLL for (int j = 0; j < 4; j++) {
        if (!kWhole && j >= columns) break;
        y[j] += bias;
        if (residual) y[j] += lanes.load(residual + i * w.residual_row + j * w.residual_pixel + c);
        lanes.store(to + i * w.row_stride + j * w.pixel_stride + c, f.value(y[j]));
      }
    }
  });
}

template <class F>
void write_outputs(const WinogradOutputs& w) {
  const int64_t whole = w.rows == kWinogradTile ? w.columns / kWinogradTile : 0;
  for (int64_t t = 0; t < whole; t++) write_tile<F, true>(w, t, kWinogradTile, kWinogradTile);
  for (int64_t t = whole; t * kWinogradTile < w.columns; t++)
    write_tile<F, false>(w, t, w.rows, min(kWinogradTile, w.columns - t * kWinogradTile));
}

inline void transform_weights(const float* from, int64_t tap_stride, int64_t count, float* to,
                              int64_t plane_stride) {
  for (int64_t k = 0; k < count; k += kLanes) {
    Vec places[6][3];
    DL_UNROLL for (int j = 0; j < 3; j++) {
      Vec column[3], places_of_column[6];
      DL_UNROLL for (int i = 0; i < 3; i++) column[i] = load(from + (3 * i + j) * tap_stride + k);
      weights(column, places_of_column);
      DL_UNROLL for (int i = 0; i < 6; i++) places[i][j] = places_of_column[i];
    }
    DL_UNROLL for (int i = 0; i < 6; i++) {
      Vec row[6];
      weights(places[i], row);
      DL_UNROLL for (int j = 0; j < 6; j++) store(to + (6 * i + j) * plane_stride + k, row[j]);
    }
  }
}

inline void write_weight_gradient(const WinogradWeightGradient& w) {
  each_vector(w.count, [&](int64_t k, auto lanes) {
    Vec half[3][6];
    DL_UNROLL for (int j = 0; j < 6; j++) {
      Vec column[6], sums[3];
      DL_UNROLL for (int i = 0; i < 6; i++) {
        const float* place = w.from + (6 * i + j) * w.plane_stride + k;
        column[i] = lanes.load(place);
        for (int64_t s = 1; s < w.slabs; s++) column[i] += lanes.load(place + s * w.slab_stride);
      }
      weight_gradient(column, sums);
      DL_UNROLL for (int i = 0; i < 3; i++) half[i][j] = sums[i];
    }
    DL_UNROLL for (int i = 0; i < 3; i++) {
      Vec taps[3];
      weight_gradient(half[i], taps);
      DL_UNROLL for (int j = 0; j < 3; j++) lanes.store(w.to + (3 * i + j) * w.tap_stride + k, taps[j]);
    }
  });
}

}  // namespace winograd

inline constexpr WinogradKernels winograd_kernels{
    .input = winograd::transform_tiles<6, winograd::input>,
    .output_gradient = winograd::transform_tiles<4, winograd::output_gradient>,
#define DL_ROW(name, F) winograd::write_outputs<functions::F>,
    .output = {DL_FUSED_ACTIVATIONS(DL_ROW)},
#undef DL_ROW
    .weights = winograd::transform_weights,
    .weight_gradient = winograd::write_weight_gradient,
};

}  // namespace dl::DL_ISA_NAMESPACE
