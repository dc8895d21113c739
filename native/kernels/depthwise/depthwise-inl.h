// See depthwise.h.
#pragma once
#include "kernels/depthwise/depthwise.h"
#include "simd/simd.h"

namespace dl::DL_ISA_NAMESPACE {

template <int N>
struct Constant {
  static constexpr int value = N;
};

template <bool Tail>
DL_INLINE Vec depthwise_load(const float* p, int n) {
  if constexpr (Tail) return load_n(p, n);
  return load(p);
}
template <bool Tail>
DL_INLINE void depthwise_store(float* p, Vec v, int n) {
  if constexpr (Tail) return store_n(p, v, n);
  store(p, v);
}

/// Lane i: element j of the group of channel c + i. `pixel` is the pixel's channel 0; a group never lies
/// across the end of the channels, so `n` lanes are whole groups or part of one.
template <int G, bool Tail>
DL_INLINE Vec spread_in_group(const float* pixel, int64_t c, int j, int n) {
  if constexpr (G == 8 && kLanes == 16) {
    const Vec low = broadcast(pixel[c + j]);
    if (Tail && n <= 8) return low;
    return select(to_float(iota()) < broadcast(8.0f), low, broadcast(pixel[c + 8 + j]));
  } else {
    return broadcast(pixel[c / G * G + j]);
  }
}

/// Calls body(j, spread) for every channel j of the groups, spread(pixel) being its value in all lanes of its
/// group.
template <int G, bool Tail, class Body>
DL_INLINE void for_group(int64_t c, int n, Body body) {
  if constexpr (G == 1) {
    body(0, [=](const float* pixel) { return depthwise_load<Tail>(pixel + c, n); });
  } else if constexpr (G == 4) {
    auto quad = [&](auto j) {
      constexpr int kJ = decltype(j)::value;
      body(kJ, [=](const float* pixel) { return broadcast_quad<kJ>(depthwise_load<Tail>(pixel + c, n)); });
    };
    quad(Constant<0>{});
    quad(Constant<1>{});
    quad(Constant<2>{});
    quad(Constant<3>{});
  } else {
    for (int j = 0; j < G; j++)
      body(j, [=](const float* pixel) { return spread_in_group<G, Tail>(pixel, c, j, n); });
  }
}

/// Calls body(c, n, Constant<tail>) for vectors of channels.
template <class Body>
DL_INLINE void for_channels(int64_t channels, Body body) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) body(c, kLanes, Constant<0>{});
  if (c < channels) body(c, static_cast<int>(channels - c), Constant<1>{});
}

template <bool Tail, int Q>
DL_INLINE void depthwise_finish(const DepthwiseRow& r, int64_t q, int64_t c, int n, const Vec (&sum)[Q]) {
  const Vec low = broadcast(r.low), high = broadcast(r.high);
  DL_UNROLL for (int i = 0; i < Q; i++) {
    // With the bound first a NaN stays one.
    depthwise_store<Tail>(r.y + (q + i) * r.y_stride + c, min(high, max(low, sum[i])), n);
  }
}

template <bool Tail, int Q>
DL_INLINE void depthwise_begin(const DepthwiseRow& r, int64_t c, int n, Vec (&sum)[Q]) {
  const Vec first = r.bias ? depthwise_load<Tail>(r.bias + c, n) : zero();
  DL_UNROLL for (int i = 0; i < Q; i++) sum[i] = first;
}

/// Q output pixels that meet all KW taps, which are neighbours: a source pixel is loaded once for all of
/// them.
template <int G, int KW, int STEP, int Q>
DL_NOINLINE void depthwise_tile(const DepthwiseRow& r, int64_t q) {
  constexpr int kInputs = (Q - 1) * STEP + KW;
  const int64_t pixel = r.source_stride, begin = (q * STEP + r.offset[0]) * pixel;
  for_channels(r.channels, [&](int64_t c, int n, auto tail) {
    constexpr bool kTail = decltype(tail)::value;
    if (r.ahead && c % 16 == 0) {
      DL_UNROLL for (int i = 0; i < Q * STEP; i++) prefetch(r.ahead + begin + (i + KW / 2) * pixel + c);
    }
    Vec sum[Q];
    depthwise_begin<kTail>(r, c, n, sum);
    for (int64_t t = 0; t < r.tap_rows; t++) {
      const float* line = r.source[t];
      if (!line) continue;
      const int64_t* weight = r.weight + t * KW;
      for_group<G, kTail>(c, n, [&](int j, auto spread) {
        Vec w[KW];
        DL_UNROLL for (int k = 0; k < KW; k++) w[k] =
            depthwise_load<kTail>(r.weights + weight[k] + j * r.channels + c, n);
        const float* x = line + begin;
        DL_UNROLL for (int i = 0; i < kInputs; i++, x += pixel) {
          const Vec v = spread(x);
          DL_UNROLL for (int k = 0; k < KW; k++) {
            if (i >= k && (i - k) % STEP == 0 && (i - k) / STEP < Q)
              sum[(i - k) / STEP] = fma(v, w[k], sum[(i - k) / STEP]);
          }
        }
      });
    }
    depthwise_finish<kTail>(r, q, c, n, sum);
  });
}

/// Q output pixels and taps [first, last) of each row of taps, whatever they are.
template <int G, int Q>
DL_NOINLINE void depthwise_any(const DepthwiseRow& r, int64_t q, int64_t first, int64_t last) {
  const int64_t next = r.step * r.source_stride;
  for_channels(r.channels, [&](int64_t c, int n, auto tail) {
    constexpr bool kTail = decltype(tail)::value;
    Vec sum[Q];
    depthwise_begin<kTail>(r, c, n, sum);
    for (int64_t t = 0; t < r.tap_rows; t++) {
      if (!r.source[t]) continue;
      for (int64_t k = first; k < last; k++) {
        const float* x = r.source[t] + (q * r.step + r.offset[k]) * r.source_stride;
        const float* w = r.weights + r.weight[t * r.tap_columns + k] + c;
        for_group<G, kTail>(c, n, [&](int j, auto spread) {
          const Vec weight = depthwise_load<kTail>(w + j * r.channels, n);
          DL_UNROLL for (int i = 0; i < Q; i++) sum[i] = fma(spread(x + i * next), weight, sum[i]);
        });
      }
    }
    depthwise_finish<kTail>(r, q, c, n, sum);
  });
}

/// Output columns [begin, end) for which tap offset `offset` lies inside the source.
struct Columns {
  int64_t begin, end;
};
DL_INLINE Columns columns_inside(int64_t offset, int64_t step, int64_t width, int64_t columns) {
  const int64_t begin = min(columns, offset < 0 ? ceil_div(-offset, step) : 0);
  const int64_t end = offset < width ? min(columns, (width - 1 - offset) / step + 1) : 0;
  return {begin, max(begin, end)};
}

template <int G, int KW, int STEP>
DL_INLINE void depthwise_tiles(const DepthwiseRow& r, int64_t q, int64_t end) {
  // Eight sums of a tile and three weights fit 16 registers no more.
  constexpr int kLong = kRegisters == 32 ? 8 : 4;
  if constexpr (kLong == 8) {
    for (; q + 8 <= end; q += 8) depthwise_tile<G, KW, STEP, 8>(r, q);
  }
  for (; q + 4 <= end; q += 4) depthwise_tile<G, KW, STEP, 4>(r, q);
  if (q + 2 <= end) depthwise_tile<G, KW, STEP, 2>(r, q), q += 2;
  if (q < end) depthwise_tile<G, KW, STEP, 1>(r, q);
}

template <int G>
inline void depthwise_row(const DepthwiseRow& r) {
  Columns inside{0, r.columns};
  bool neighbours = true;
  for (int64_t k = 0; k < r.tap_columns; k++) {
    const Columns tap = columns_inside(r.offset[k], r.step, r.source_width, r.columns);
    inside = {max(inside.begin, tap.begin), min(inside.end, tap.end)};
    neighbours = neighbours && r.offset[k] == r.offset[0] + k;
  }
  if (inside.end < inside.begin) inside = {0, 0};
  auto border = [&](int64_t q) {
    int64_t first = 0, last = r.tap_columns;
    while (first < last && q * r.step + r.offset[first] < 0) first++;
    while (first < last && q * r.step + r.offset[last - 1] >= r.source_width) last--;
    depthwise_any<G, 1>(r, q, first, last);
  };
  for (int64_t q = 0; q < inside.begin; q++) border(q);
  int64_t q = inside.begin;
  if (neighbours && r.tap_columns == 3 && r.step == 1) {
    depthwise_tiles<G, 3, 1>(r, q, inside.end);
  } else if (neighbours && r.tap_columns == 3 && r.step == 2) {
    depthwise_tiles<G, 3, 2>(r, q, inside.end);
  } else if (G == 1 && neighbours && r.tap_columns == 5 && r.step == 1) {
    depthwise_tiles<1, 5, 1>(r, q, inside.end);
  } else if (G == 1 && neighbours && r.tap_columns == 5 && r.step == 2) {
    depthwise_tiles<1, 5, 2>(r, q, inside.end);
  } else if (G == 1 && neighbours && r.tap_columns == 2 && r.step == 1) {
    depthwise_tiles<1, 2, 1>(r, q, inside.end);  // a phase of the gradient with stride 2
  } else {
    for (; q + 4 <= inside.end; q += 4) depthwise_any<G, 4>(r, q, 0, r.tap_columns);
    for (; q < inside.end; q++) depthwise_any<G, 1>(r, q, 0, r.tap_columns);
  }
  for (q = inside.end; q < r.columns; q++) border(q);
}

/// KW taps from the first on, V vectors of channels from c on, all G channels of the groups, in registers.
template <int G, int KW, int V, bool Tail>
DL_INLINE void depthwise_grad_vector(const DepthwiseGradRows& r, int64_t tap, int64_t c, int n) {
  Columns inside[KW], all{0, r.columns};
  DL_UNROLL for (int k = 0; k < KW; k++) {
    inside[k] = columns_inside(r.offset[tap + k], r.step, r.source_width, r.columns);
    all = {max(all.begin, inside[k].begin), min(all.end, inside[k].end)};
  }
  if (all.end < all.begin) all = {0, 0};
  float* dw = r.dw + tap * G * r.channels + c;
  Vec sum[KW][G][V];
  DL_UNROLL for (int k = 0; k < KW; k++) {
    DL_UNROLL for (int j = 0; j < G; j++) {
      DL_UNROLL for (int v = 0; v < V; v++) sum[k][j][v] =
          depthwise_load<Tail>(dw + (k * G + j) * r.channels + v * kLanes, n);
    }
  }
  auto add = [&](int k, const float* x, const Vec(&dy)[V]) {
    DL_UNROLL for (int v = 0; v < V; v++) {
      const int64_t channel = c + v * kLanes;
      if constexpr (G == 8) {
        DL_UNROLL for (int j = 0; j < G; j++) sum[k][j][v] =
            fma(spread_in_group<G, Tail>(x, channel, j, n), dy[v], sum[k][j][v]);
      } else {
        for_group<G, Tail>(channel, n,
                           [&](int j, auto spread) { sum[k][j][v] = fma(spread(x), dy[v], sum[k][j][v]); });
      }
    }
  };
  for (int64_t row = 0; row < r.rows; row++) {
    const float* source = r.source + row * r.source_row;
    const float* dy_row = r.dy + row * r.dy_row + c;
    const int64_t pixel = r.source_stride, next = r.step * pixel;
    auto load_dy = [&](int64_t q, Vec(&dy)[V]) {
      DL_UNROLL for (int v = 0; v < V; v++) dy[v] =
          depthwise_load<Tail>(dy_row + q * r.dy_stride + v * kLanes, n);
    };
    auto border = [&](int64_t q) {
      Vec dy[V];
      load_dy(q, dy);
      DL_UNROLL for (int k = 0; k < KW; k++) {
        if (q >= inside[k].begin && q < inside[k].end)
          add(k, source + q * next + r.offset[tap + k] * pixel, dy);
      }
    };
    for (int64_t q = 0; q < all.begin; q++) border(q);
    int64_t at[KW];
    DL_UNROLL for (int k = 0; k < KW; k++) at[k] = r.offset[tap + k] * pixel;
    for (int64_t q = all.begin; q < all.end; q++) {
      Vec dy[V];
      load_dy(q, dy);
      DL_UNROLL for (int k = 0; k < KW; k++) add(k, source + q * next + at[k], dy);
    }
    for (int64_t q = all.end; q < r.columns; q++) border(q);
  }
  DL_UNROLL for (int k = 0; k < KW; k++) {
    DL_UNROLL for (int j = 0; j < G; j++) {
      DL_UNROLL for (int v = 0; v < V; v++)
          depthwise_store<Tail>(dw + (k * G + j) * r.channels + v * kLanes, sum[k][j][v], n);
    }
  }
}

template <int G, int KW, int V>
DL_NOINLINE void depthwise_grad_taps(const DepthwiseGradRows& r, int64_t tap) {
  int64_t c = 0;
  for (; c + V * kLanes <= r.channels; c += V * kLanes)
    depthwise_grad_vector<G, KW, V, false>(r, tap, c, kLanes);
  for (; c + kLanes <= r.channels; c += kLanes) depthwise_grad_vector<G, KW, 1, false>(r, tap, c, kLanes);
  if (c < r.channels) depthwise_grad_vector<G, KW, 1, true>(r, tap, c, static_cast<int>(r.channels - c));
}

template <int G>
inline void depthwise_grad_weight(const DepthwiseGradRows& r) {
  // As many sums as registers allow: a multiply-add needs eight others between it and the next of the same
  // sum.
  constexpr int kTaps = G == 1 ? 3 : G == 4 ? 3 : kRegisters == 32 ? 3 : 1;
  constexpr int kVectors = G == 1 ? 3 : 1;
  int64_t tap = 0;
  for (; tap + kTaps <= r.tap_columns; tap += kTaps) depthwise_grad_taps<G, kTaps, kVectors>(r, tap);
  if constexpr (kTaps > 1) {
    for (; tap < r.tap_columns; tap++) depthwise_grad_taps<G, 1, kVectors>(r, tap);
  }
}

inline constexpr DepthwiseKernels depthwise_kernels{
    .row = {depthwise_row<1>, depthwise_row<4>, depthwise_row<8>},
    .grad_weight = {depthwise_grad_weight<1>, depthwise_grad_weight<4>, depthwise_grad_weight<8>},
};

}  // namespace dl::DL_ISA_NAMESPACE
