// Loops that most memory-bound kernels share: over the vectors of a row, and over rows into sums per channel.
#pragma once
#include "kernels/rows.h"
#include "simd/simd.h"

namespace dl::DL_ISA_NAMESPACE {

DL_INLINE const float* at(In x, int64_t row) {
  return x.data + row * x.stride;
}
DL_INLINE float* at(Out x, int64_t row) {
  return x.data + row * x.stride;
}

/// A whole vector, and the first n lanes of one at the end of a row: the same interface, so that a body is
/// written once. Lanes beyond n read as 0.
struct Whole {
  DL_INLINE Vec load(const float* p) const { return DL_ISA_NAMESPACE::load(p); }
  DL_INLINE void store(float* p, Vec v) const { DL_ISA_NAMESPACE::store(p, v); }
  DL_INLINE IVec load(const int32_t* p) const { return DL_ISA_NAMESPACE::load(p); }
  DL_INLINE void store(int32_t* p, IVec v) const { DL_ISA_NAMESPACE::store(p, v); }
  /// v, with `other` in the lanes beyond the end
  DL_INLINE Vec fill(Vec v, float /*other*/) const { return v; }
};
struct Tail {
  int n;
  DL_INLINE Vec load(const float* p) const { return load_n(p, n); }
  DL_INLINE void store(float* p, Vec v) const { store_n(p, v, n); }
  DL_INLINE IVec load(const int32_t* p) const { return load_n(p, n); }
  DL_INLINE void store(int32_t* p, IVec v) const { store_n(p, v, n); }
  DL_INLINE Vec fill(Vec v, float other) const {
    Vec inside = to_float(iota()) - broadcast(static_cast<float>(n));
    return select(inside < zero(), v, broadcast(other));
  }
};

/// body(i, lanes) for each vector of a row of c elements, starting at element i.
template <class Body>
DL_INLINE void each_vector(int64_t c, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= c; i += kLanes) body(i, Whole{});
  if (i < c) body(i, Tail{static_cast<int>(c - i)});
}

/// sums[k][i] += Σ of term k over the rows [begin, end), for `kVectors` vectors of channels from i. Terms are
/// added in kVectors · kRows · K chains, so that the latency of an addition does not limit the speed.
template <int K, int kVectors, int kRows, class Lanes, class Term>
DL_INLINE void sum_panel(int64_t begin, int64_t end, int64_t i, Lanes lanes, float* const (&sums)[K],
                         const Term& term) {
  Vec total[kRows][kVectors][K], t[K];
  DL_UNROLL for (int u = 0; u < kRows; u++) {
    DL_UNROLL for (int v = 0; v < kVectors; v++) {
      DL_UNROLL for (int k = 0; k < K; k++) total[u][v][k] = zero();
    }
  }
  int64_t r = begin;
  for (; r + kRows <= end; r += kRows) {
    DL_UNROLL for (int u = 0; u < kRows; u++) {
      DL_UNROLL for (int v = 0; v < kVectors; v++) {
        term(r + u, i + v * kLanes, lanes, t);
        DL_UNROLL for (int k = 0; k < K; k++) total[u][v][k] += t[k];
      }
    }
  }
  for (; r < end; r++) {
    DL_UNROLL for (int v = 0; v < kVectors; v++) {
      term(r, i + v * kLanes, lanes, t);
      DL_UNROLL for (int k = 0; k < K; k++) total[0][v][k] += t[k];
    }
  }
  DL_UNROLL for (int v = 0; v < kVectors; v++) {
    DL_UNROLL for (int k = 0; k < K; k++) {
      float* sum = sums[k] + i + v * kLanes;
      Vec all = total[0][v][k];
      DL_UNROLL for (int u = 1; u < kRows; u++) all += total[u][v][k];
      lanes.store(sum, lanes.load(sum) + all);
    }
  }
}

/// sums[k][i] += Σ over rows of term k. `term(r, i, lanes, t)` sets t[0..K) for row r, channels i...
/// Rows are taken in groups, in panels of four vectors: a sweep of single vectors through wide rows is a
/// pattern that prefetchers do not follow (measured at 64 channels: half the bandwidth), and so is a long
/// group. Wide rows are streams of their own, each taken alone (512 channels: 30 instead of 20 GB/s). The
/// order of additions depends on c and rows alone.
template <int K, class Term>
DL_INLINE void sum_rows(int64_t rows, int64_t c, float* const (&sums)[K], const Term& term) {
  const int64_t group = c >= 256 ? 1 : min(64, max(8, 512 / c));
  for (int64_t begin = 0; begin < rows; begin += group) {
    const int64_t end = min(rows, begin + group);
    int64_t i = 0;
    for (; i + 4 * kLanes <= c; i += 4 * kLanes) sum_panel<K, 4, 1>(begin, end, i, Whole{}, sums, term);
    for (; i + 2 * kLanes <= c; i += 2 * kLanes) sum_panel<K, 2, 2>(begin, end, i, Whole{}, sums, term);
    for (; i + kLanes <= c; i += kLanes) sum_panel<K, 1, 2>(begin, end, i, Whole{}, sums, term);
    if (i < c) sum_panel<K, 1, 2>(begin, end, i, Tail{static_cast<int>(c - i)}, sums, term);
  }
}

}  // namespace dl::DL_ISA_NAMESPACE
