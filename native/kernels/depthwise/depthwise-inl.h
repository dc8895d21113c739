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
DL_INLINE void depthwise_finish(const DepthwiseRow& r, float* y, int n, const Vec (&sum)[Q]) {
  const Vec low = broadcast(r.low), high = broadcast(r.high);
  DL_UNROLL for (int i = 0; i < Q; i++) {
    // With the bound first a NaN stays one.
    depthwise_store<Tail>(y + i * r.y_stride, min(high, max(low, sum[i])), n);
  }
}

template <bool Tail, int Q>
DL_INLINE void depthwise_begin(const DepthwiseRow& r, int64_t c, int n, Vec (&sum)[Q]) {
  const Vec first = r.bias ? depthwise_load<Tail>(r.bias + c, n) : zero();
  DL_UNROLL for (int i = 0; i < Q; i++) sum[i] = first;
}

/// More rows of taps than this are rare, and take the long way.
constexpr int kMostTapRows = 8;

/// Elements from an output to the one that is fetched meanwhile.
constexpr int64_t kOutputsAhead = 512;

/// Pixels from a tile of Q outputs to those that are fetched meanwhile: near ones would still be on their way
/// when they are written.
template <int Q>
DL_INLINE int64_t depthwise_later(const DepthwiseRow& r) {
  return Q * max(int64_t{1}, kOutputsAhead / (Q * r.channels));
}

/// Where the pixels lie that a tile reads from `column` on, in each source row: those that do not exist are
/// read from the row of zeros.
template <int Inputs>
DL_INLINE void depthwise_inputs(const DepthwiseRow& r, int64_t rows, int64_t column,
                                const float* (*inputs)[Inputs]) {
  for (int64_t t = 0; t < rows; t++) {
    for (int64_t i = 0; i < Inputs; i++) {
      const bool inside = column + i >= 0 && column + i < r.source_width;
      inputs[t][i] = inside ? r.source[t] + (column + i) * r.source_stride : r.zeros;
    }
  }
}

/// Q output pixels under KW neighbouring taps: a source pixel is loaded once for all of them. At the border
/// of the image pixels that do not exist are read from a row of zeros.
template <int G, int KW, int STEP, int Q, bool Border>
DL_NOINLINE void depthwise_tile(const DepthwiseRow& row, int64_t q) {
  // A copy: for all that the compiler knows, storing a vector may change what a reference sees.
  const DepthwiseRow r = row;
  constexpr int kInputs = (Q - 1) * STEP + KW;
  const int64_t pixel = r.source_stride, column = q * STEP + r.offset[0], begin = column * pixel;
  const int64_t later = depthwise_later<Q>(r);
  const float* inputs[Border ? kMostTapRows : 1][kInputs];
  if constexpr (Border) {
    depthwise_inputs(r, r.tap_rows, column, inputs);
  }
  for_channels(r.channels, [&](int64_t c, int n, auto tail) {
    constexpr bool kTail = decltype(tail)::value;
    if (c % 16 == 0) {
      // Measured with 50 MB of tensors on a busy machine: 20 GFLOP/s without, 23 with the source alone, 37
      // with both; 8 % more with outputs further ahead.
      DL_UNROLL for (int i = 0; i < Q; i++) prefetch(r.y + (q + later + i) * r.y_stride + c);
      if (r.prefetch) {
        const float* next = r.prefetch + begin + KW / 2 * pixel + c;
        DL_UNROLL for (int i = 0; i < Q * STEP; i++) prefetch(next + i * pixel);
        // As many new rows as the window steps down.
        if constexpr (STEP == 2) {
          DL_UNROLL for (int i = 0; i < Q * STEP; i++) prefetch(next + (i - r.source_width) * pixel);
        }
      }
    }
    Vec sum[Q];
    depthwise_begin<kTail>(r, c, n, sum);
    for (int64_t t = 0; t < r.tap_rows; t++) {
      const float* line = r.source[t];
      if (!line) continue;
      const int64_t* weight = r.weight + t * KW;
      for_group<G, kTail>(c, n, [&](int j, auto spread) {
        Vec w[KW];
        DL_UNROLL for (int k = 0; k < KW; k++) {
          w[k] = depthwise_load<kTail>(r.weights + weight[k] + j * r.channels + c, n);
        }
        const float* x = line + begin;
        DL_UNROLL for (int i = 0; i < kInputs; i++, x += pixel) {
          const Vec v = in_register(spread(Border ? inputs[Border ? t : 0][i] : x));
          DL_UNROLL for (int k = 0; k < KW; k++) {
            if (i >= k && (i - k) % STEP == 0 && (i - k) / STEP < Q)
              sum[(i - k) / STEP] = fma(v, w[k], sum[(i - k) / STEP]);
          }
        }
      });
    }
    depthwise_finish<kTail>(r, r.y + q * r.y_stride + c, n, sum);
  });
}

/// Q pixels of two output rows under a window of 3×3: the rows of the source that both read are loaded once.
template <int Q, bool Border>
DL_NOINLINE void depthwise_tile_of_two(const DepthwiseRow& row, int64_t q) {
  const DepthwiseRow r = row;
  constexpr int kTaps = 3, kInputs = Q + kTaps - 1;
  const int64_t pixel = r.source_stride, column = q + r.offset[0], begin = column * pixel;
  const int64_t later = depthwise_later<Q>(r);
  const float* inputs[Border ? kTaps + 1 : 1][kInputs];
  if constexpr (Border) {
    depthwise_inputs(r, kTaps + 1, column, inputs);
  }
  for_channels(r.channels, [&](int64_t c, int n, auto tail) {
    constexpr bool kTail = decltype(tail)::value;
    if (c % 16 == 0) {
      DL_UNROLL for (int i = 0; i < Q; i++) prefetch(r.y + (q + later + i) * r.y_stride + c);
      DL_UNROLL for (int i = 0; i < Q; i++) prefetch(r.y + r.y_row + (q + later + i) * r.y_stride + c);
      if (r.prefetch) {
        const float* next = r.prefetch + begin + pixel + c;
        DL_UNROLL for (int i = 0; i < Q; i++) prefetch(next + i * pixel);
        DL_UNROLL for (int i = 0; i < Q; i++) prefetch(next + (r.source_width + i) * pixel);
      }
    }
    Vec sum[2][Q], w[kTaps], above[kTaps];
    depthwise_begin<kTail>(r, c, n, sum[0]);
    depthwise_begin<kTail>(r, c, n, sum[1]);
    DL_UNROLL for (int t = 0; t <= kTaps; t++) {
      if (t < kTaps) {
        DL_UNROLL for (int k = 0; k < kTaps; k++) {
          w[k] = depthwise_load<kTail>(r.weights + r.weight[t * kTaps + k] + c, n);
        }
      }
      if (r.source[t]) {
        const float* x = r.source[t] + begin + c;
        DL_UNROLL for (int i = 0; i < kInputs; i++) {
          const Vec v =
              in_register(depthwise_load<kTail>(Border ? inputs[Border ? t : 0][i] + c : x + i * pixel, n));
          DL_UNROLL for (int k = 0; k < kTaps; k++) {
            if (i < k || i - k >= Q) continue;
            if (t < kTaps) sum[0][i - k] = fma(v, w[k], sum[0][i - k]);
            if (t > 0) sum[1][i - k] = fma(v, above[k], sum[1][i - k]);
          }
        }
      }
      DL_UNROLL for (int k = 0; k < kTaps; k++) above[k] = w[k];
    }
    float* y = r.y + q * r.y_stride + c;
    depthwise_finish<kTail>(r, y, n, sum[0]);
    depthwise_finish<kTail>(r, y + r.y_row, n, sum[1]);
  });
}

/// Q output pixels and taps [first, last) of each row of taps, whatever they are.
template <int G, int Q>
DL_NOINLINE void depthwise_any(const DepthwiseRow& row, int64_t q, int64_t first, int64_t last) {
  const DepthwiseRow r = row;
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
    depthwise_finish<kTail>(r, r.y + q * r.y_stride + c, n, sum);
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

template <int G, int KW, int STEP, int Q>
DL_INLINE void depthwise_tiles_of(const DepthwiseRow& r) {
  for (int64_t q = 0; q < r.columns; q += Q) {
    // The last tile may overlap the one before, which writes the same again.
    const int64_t at = min(q, r.columns - Q), column = at * STEP + r.offset[0];
    if (column >= 0 && column + (Q - 1) * STEP + KW <= r.source_width) {
      depthwise_tile<G, KW, STEP, Q, false>(r, at);
    } else {
      depthwise_tile<G, KW, STEP, Q, true>(r, at);
    }
  }
}

template <int G, int KW, int STEP>
DL_INLINE void depthwise_tiles(const DepthwiseRow& r) {
  if (r.columns >= 4) {
    depthwise_tiles_of<G, KW, STEP, 4>(r);
  } else if (r.columns >= 2) {
    depthwise_tiles_of<G, KW, STEP, 2>(r);
  } else {
    depthwise_tiles_of<G, KW, STEP, 1>(r);
  }
}

/// Any taps: the columns that some taps miss one by one, the others four at a time.
template <int G>
DL_INLINE void depthwise_any_row(const DepthwiseRow& r) {
  Columns inside{0, r.columns};
  for (int64_t k = 0; k < r.tap_columns; k++) {
    const Columns tap = columns_inside(r.offset[k], r.step, r.source_width, r.columns);
    inside = {max(inside.begin, tap.begin), min(inside.end, tap.end)};
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
  for (; q + 4 <= inside.end; q += 4) depthwise_any<G, 4>(r, q, 0, r.tap_columns);
  for (; q < inside.end; q++) depthwise_any<G, 1>(r, q, 0, r.tap_columns);
  for (; q < r.columns; q++) border(q);
}

/// Whether taps lie side by side.
DL_INLINE bool neighbours(const int64_t* offset, int64_t count) {
  for (int64_t k = 0; k < count; k++) {
    if (offset[k] != offset[0] + k) return false;
  }
  return true;
}

inline void depthwise_two_rows(const DepthwiseRow& r) {
  constexpr int kQ = 4;
  for (int64_t q = 0; q < r.columns; q += kQ) {
    const int64_t at = min(q, r.columns - kQ), column = at + r.offset[0];
    if (column >= 0 && column + kQ + 2 <= r.source_width) {
      depthwise_tile_of_two<kQ, false>(r, at);
    } else {
      depthwise_tile_of_two<kQ, true>(r, at);
    }
  }
}

template <int G>
inline void depthwise_row(const DepthwiseRow& r) {
  if constexpr (G == 1) {
    if (r.rows == 2) return depthwise_two_rows(r);
  }
  const int64_t taps = r.tap_rows <= kMostTapRows && neighbours(r.offset, r.tap_columns) ? r.tap_columns : 0;
  if (taps == 3 && r.step == 1) return depthwise_tiles<G, 3, 1>(r);
  if (taps == 3 && r.step == 2) return depthwise_tiles<G, 3, 2>(r);
  // What the gradient of stride 2 comes down to.
  if (taps == 2 && r.step == 1) return depthwise_tiles<G, 2, 1>(r);
  if (taps == 1 && r.step == 1) return depthwise_tiles<G, 1, 1>(r);
  if constexpr (G == 1) {
    if (taps == 5 && r.step == 1) return depthwise_tiles<1, 5, 1>(r);
    if (taps == 5 && r.step == 2) return depthwise_tiles<1, 5, 2>(r);
  }
  depthwise_any_row<G>(r);
}

/// Columns of a part for which every one of KW taps from `tap` on lies inside the source; and columns of the
/// row for each.
template <int KW>
struct TapColumns {
  Columns of[KW], all;
};
template <int KW>
DL_INLINE TapColumns<KW> tap_columns(const DepthwiseGradRows& r, Columns part, int64_t tap, int64_t step) {
  TapColumns<KW> inside;
  inside.all = part;
  DL_UNROLL for (int k = 0; k < KW; k++) {
    inside.of[k] = columns_inside(r.offset[tap + k], step, r.source_width, r.columns);
    inside.all = {max(inside.all.begin, inside.of[k].begin), min(inside.all.end, inside.of[k].end)};
  }
  if (inside.all.end < inside.all.begin) inside.all = {part.begin, part.begin};
  return inside;
}

/// Adds what `pairs` times two neighbouring pixels have to add: dy is loaded once for all taps, and what the
/// windows of the two share is too.
template <int TR, int KW, int STEP, bool Fetch, bool Tail>
DL_INLINE void depthwise_grad_pairs(const DepthwiseGradRows& r, const float* x, const float* dy,
                                    int64_t pairs, int n, Vec (&sum)[TR][KW]) {
  const int64_t pixel = r.source_stride, dy_pixel = r.dy_stride, tap_row = r.tap_row;
  const int64_t source_ahead = (TR - 1) * tap_row + KW / 2 * pixel + r.source_ahead, dy_ahead = r.dy_ahead;
  for (; pairs > 0; pairs--, x += 2 * STEP * pixel, dy += 2 * dy_pixel) {
    if constexpr (Fetch) {
      DL_UNROLL for (int j = 0; j < 2; j++) prefetch(dy + j * dy_pixel + dy_ahead);
      DL_UNROLL for (int j = 0; j < 2 * STEP; j++) prefetch(x + j * pixel + source_ahead);
      // As many new rows as the window steps down.
      if constexpr (STEP == 2) {
        DL_UNROLL for (int j = 0; j < 2 * STEP; j++) prefetch(x + j * pixel + source_ahead - tap_row);
      }
    }
    const Vec first = depthwise_load<Tail>(dy, n), second = depthwise_load<Tail>(dy + dy_pixel, n);
    DL_UNROLL for (int i = 0; i < TR; i++) {
      const float* from = x + i * tap_row;
      DL_UNROLL for (int j = 0; j < STEP + KW; j++) {
        const Vec v = in_register(depthwise_load<Tail>(from + j * pixel, n));
        if (j < KW) sum[i][j] = fma(v, first, sum[i][j]);
        if (j >= STEP) sum[i][j - STEP] = fma(v, second, sum[i][j - STEP]);
      }
    }
  }
}

/// TR rows of KW neighbouring taps from row t on, one vector of channels.
template <int TR, int KW, int STEP, bool Tail>
DL_INLINE void depthwise_grad_window(const DepthwiseGradRows& r, Columns part, const TapColumns<KW>& inside,
                                     int64_t t, int64_t c, int n) {
  const int64_t pixel = r.source_stride, pairs = (inside.all.end - inside.all.begin) / 2;
  float* dw = r.dw + t * KW * r.channels + c;
  Vec sum[TR][KW];
  DL_UNROLL for (int i = 0; i < TR; i++) {
    DL_UNROLL for (int k = 0; k < KW; k++) sum[i][k] =
        depthwise_load<Tail>(dw + (i * KW + k) * r.channels, n);
  }
  // Once for each line of the cache.
  const bool fetches = c % 16 == 0 && t + TR == r.tap_rows && r.source_ahead && r.dy_ahead;
  for (int64_t row = 0; row < r.rows; row++) {
    const float* x = r.source + row * r.source_row + t * r.tap_row + r.offset[0] * pixel + c;
    const float* dy = r.dy + row * r.dy_row + c;
    auto alone = [&](int64_t q) {
      const Vec v = depthwise_load<Tail>(dy + q * r.dy_stride, n);
      DL_UNROLL for (int k = 0; k < KW; k++) {
        if (q < inside.of[k].begin || q >= inside.of[k].end) continue;
        DL_UNROLL for (int i = 0; i < TR; i++) {
          const float* from = x + i * r.tap_row + (q * STEP + k) * pixel;
          sum[i][k] = fma(depthwise_load<Tail>(from, n), v, sum[i][k]);
        }
      }
    };
    int64_t q = part.begin;
    for (; q < inside.all.begin; q++) alone(q);
    if (fetches) {
      depthwise_grad_pairs<TR, KW, STEP, true, Tail>(r, x + q * STEP * pixel, dy + q * r.dy_stride, pairs, n,
                                                     sum);
    } else {
      depthwise_grad_pairs<TR, KW, STEP, false, Tail>(r, x + q * STEP * pixel, dy + q * r.dy_stride, pairs, n,
                                                      sum);
    }
    for (q += 2 * pairs; q < part.end; q++) alone(q);
  }
  DL_UNROLL for (int i = 0; i < TR; i++) {
    DL_UNROLL for (int k = 0; k < KW; k++)
        depthwise_store<Tail>(dw + (i * KW + k) * r.channels, sum[i][k], n);
  }
}

template <int TR, int KW, int STEP>
DL_NOINLINE void depthwise_grad_windows(const DepthwiseGradRows& rows, Columns part, int64_t t) {
  const DepthwiseGradRows r = rows;
  const TapColumns<KW> inside = tap_columns<KW>(r, part, 0, STEP);
  for_channels(r.channels, [&](int64_t c, int n, auto tail) {
    depthwise_grad_window<TR, KW, STEP, decltype(tail)::value>(r, part, inside, t, c, n);
  });
}

/// As many rows of taps at a time as registers have room for.
template <int KW, int STEP>
inline void depthwise_grad_neighbours(const DepthwiseGradRows& r, Columns part) {
  constexpr int kRows = KW == 3 || kRegisters == 32 ? 3 : 2;
  int64_t t = 0;
  for (; t + kRows <= r.tap_rows; t += kRows) depthwise_grad_windows<kRows, KW, STEP>(r, part, t);
  if (kRows == 3 && t + 2 == r.tap_rows) {
    depthwise_grad_windows<2, KW, STEP>(r, part, t);
  } else if (t < r.tap_rows) {
    depthwise_grad_windows<1, KW, STEP>(r, part, t);
  }
}

/// KW taps of a row from `tap` on, V vectors of channels from c on, all G channels of the groups, in
/// registers.
template <int G, int KW, int V, bool Tail>
DL_INLINE void depthwise_grad_vector(const DepthwiseGradRows& r, Columns part, int64_t tap, int64_t c,
                                     int n) {
  const TapColumns<KW> inside = tap_columns<KW>(r, part, tap, r.step);
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
        if (q >= inside.of[k].begin && q < inside.of[k].end)
          add(k, source + q * next + r.offset[tap + k] * pixel, dy);
      }
    };
    for (int64_t q = part.begin; q < inside.all.begin; q++) border(q);
    int64_t at[KW];
    DL_UNROLL for (int k = 0; k < KW; k++) at[k] = r.offset[tap + k] * pixel;
    for (int64_t q = inside.all.begin; q < inside.all.end; q++) {
      Vec dy[V];
      load_dy(q, dy);
      DL_UNROLL for (int k = 0; k < KW; k++) add(k, source + q * next + at[k], dy);
      if (r.dy_ahead && tap == 0) {
        DL_UNROLL for (int v = 0; v < V; v++) prefetch(dy_row + q * r.dy_stride + v * kLanes + r.dy_ahead);
      }
      if (r.source_ahead && tap == 0) {
        DL_UNROLL for (int v = 0; v < V; v++) prefetch(source + q * next + c + v * kLanes + r.source_ahead);
      }
    }
    for (int64_t q = inside.all.end; q < part.end; q++) border(q);
  }
  DL_UNROLL for (int k = 0; k < KW; k++) {
    DL_UNROLL for (int j = 0; j < G; j++) {
      DL_UNROLL for (int v = 0; v < V; v++)
          depthwise_store<Tail>(dw + (k * G + j) * r.channels + v * kLanes, sum[k][j][v], n);
    }
  }
}

template <int G, int KW, int V>
DL_NOINLINE void depthwise_grad_taps(const DepthwiseGradRows& rows, Columns part, int64_t tap) {
  const DepthwiseGradRows r = rows;
  int64_t c = 0;
  for (; c + V * kLanes <= r.channels; c += V * kLanes)
    depthwise_grad_vector<G, KW, V, false>(r, part, tap, c, kLanes);
  for (; c + kLanes <= r.channels; c += kLanes)
    depthwise_grad_vector<G, KW, 1, false>(r, part, tap, c, kLanes);
  if (c < r.channels)
    depthwise_grad_vector<G, KW, 1, true>(r, part, tap, c, static_cast<int>(r.channels - c));
}

/// Taps whatever they are, a row of them after the other.
template <int G>
inline void depthwise_grad_any(const DepthwiseGradRows& r, Columns part) {
  // As many sums as registers allow: eight or more, for each waits for its own latency.
  constexpr bool kMany = kRegisters == 32;
  constexpr int kTaps = G == 1 || kMany ? 3 : 1;
  constexpr int kVectors = G == 1 ? 3 : G == 4 && !kMany ? 2 : 1;
  DepthwiseGradRows row = r;
  for (int64_t t = 0; t < r.tap_rows; t++) {
    row.dy_ahead = t == 0 ? r.dy_ahead : 0;
    row.source_ahead = t + 1 == r.tap_rows ? r.source_ahead : 0;
    int64_t tap = 0;
    for (; tap + kTaps <= r.tap_columns; tap += kTaps)
      depthwise_grad_taps<G, kTaps, kVectors>(row, part, tap);
    if constexpr (kTaps > 1) {
      for (; tap < r.tap_columns; tap++) depthwise_grad_taps<G, 1, kVectors>(row, part, tap);
    }
    row.source += r.tap_row;
    row.dw += r.tap_columns * G * r.channels;
  }
}

template <int G>
inline void depthwise_grad_part(const DepthwiseGradRows& r, Columns part) {
  if constexpr (G == 1) {
    const int64_t taps = neighbours(r.offset, r.tap_columns) ? r.tap_columns : 0;
    if (taps == 3 && r.step == 1) return depthwise_grad_neighbours<3, 1>(r, part);
    if (taps == 3 && r.step == 2) return depthwise_grad_neighbours<3, 2>(r, part);
    if (taps == 5 && r.step == 1) return depthwise_grad_neighbours<5, 1>(r, part);
    if (taps == 5 && r.step == 2) return depthwise_grad_neighbours<5, 2>(r, part);
  }
  depthwise_grad_any<G>(r, part);
}

/// Few columns at a time: what the rows of all channels share stays in the first-level cache.
template <int G>
inline void depthwise_grad_weight(const DepthwiseGradRows& r) {
  const int64_t parts = ceil_div(r.columns, kDepthwiseGradColumns);
  for (int64_t i = 0; i < parts; i++)
    depthwise_grad_part<G>(r, {r.columns * i / parts, r.columns * (i + 1) / parts});
}

inline constexpr DepthwiseKernels depthwise_kernels{
    .row = {depthwise_row<1>, depthwise_row<4>, depthwise_row<8>},
    .grad_weight = {depthwise_grad_weight<1>, depthwise_grad_weight<4>, depthwise_grad_weight<8>},
};

}  // namespace dl::DL_ISA_NAMESPACE
