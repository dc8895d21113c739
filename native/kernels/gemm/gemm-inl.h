// See gemm.h. The register tiles: MR rows by NV vectors of accumulators, all named registers after unrolling.
#pragma once
#include "kernels/gemm/gemm.h"
#include "simd/simd.h"

namespace dl::DL_ISA_NAMESPACE {

// Accumulators of a tile: latency x ports of the multiply-add ask for 8 to 10; 12 leave registers for
// operands where there are 16, 24 to 28 where there are 32. Columns: enough that loads per multiply-add stay
// well below 1. Measured on a Sapphire Rapids core, 64 channels: 14x32 and 8x48 95 to 98 % of the peak, 12x16
// 78 %; AVX2 6x16 96 %, 12x8 91 %.
constexpr int kPanelVectors = kIsa == Isa::neon ? 4 : 2;
constexpr int kAccumulators = kRegisters == 16 ? 12 : kIsa == Isa::neon ? 24 : 28;
constexpr int kPanel = kPanelVectors * kLanes;
/// Rows of a tile of NV vectors. More than 14 row pointers spill to the stack and cost more than they bring.
constexpr int tile_rows(int vectors) {
  return kAccumulators / vectors < 14 ? kAccumulators / vectors : 14;
}
/// In the outer product a tile has one row pointer.
constexpr int outer_rows(int vectors) {
  return kAccumulators / vectors < 24 ? kAccumulators / vectors : 24;
}

template <int NV>
DL_INLINE void store_columns(float* c, const Vec (&row)[NV], int64_t columns) {
  if (columns == NV * kLanes) {
    DL_UNROLL for (int v = 0; v < NV; v++) store(c + v * kLanes, row[v]);
  } else {
    DL_UNROLL for (int v = 0; v < NV - 1; v++) store(c + v * kLanes, row[v]);
    store_n(c + (NV - 1) * kLanes, row[NV - 1], static_cast<int>(columns - (NV - 1) * kLanes));
  }
}

template <int NV>
DL_INLINE void load_columns(const float* c, Vec (&row)[NV], int64_t columns) {
  if (columns == NV * kLanes) {
    DL_UNROLL for (int v = 0; v < NV; v++) row[v] = load(c + v * kLanes);
  } else {
    DL_UNROLL for (int v = 0; v < NV - 1; v++) row[v] = load(c + v * kLanes);
    row[NV - 1] = load_n(c + (NV - 1) * kLanes, static_cast<int>(columns - (NV - 1) * kLanes));
  }
}

/// Multiply-adds of each sum between prefetch requests: they are spread evenly, or they would queue up and
/// the loads of the computation wait behind them.
constexpr int64_t kPrefetchStep = 16;

/// Fetches two stretches of memory in `steps` equal steps.
class Fetch {
 public:
  DL_INLINE Fetch(const Prefetch (&wanted)[2], int64_t steps) {
    DL_UNROLL for (int s = 0; s < 2; s++) {
      if (wanted[s].lines == 0) continue;
      at_[s] = wanted[s].from;
      left_[s] = wanted[s].lines;
      in_run_[s] = run_[s] = wanted[s].run ? wanted[s].run : wanted[s].lines;
      jump_[s] = wanted[s].stride - wanted[s].run * kLine;
      lines_[s] = ceil_div(wanted[s].lines, steps);
    }
  }
  DL_INLINE bool wants() const { return left_[0] + left_[1] > 0; }
  DL_INLINE void step() {
    DL_UNROLL for (int s = 0; s < 2; s++) {
      if (left_[s] == 0) continue;
      const int64_t lines = min(lines_[s], left_[s]);
      left_[s] -= lines;
      for (int64_t i = 0; i < lines; i++, at_[s] += kLine) {
        if (in_run_[s]-- == 0) {
          at_[s] += jump_[s];
          in_run_[s] = run_[s] - 1;
        }
        prefetch_second(at_[s]);
      }
    }
  }

 private:
  const float* at_[2] = {};
  int64_t left_[2] = {}, in_run_[2] = {}, run_[2] = {}, jump_[2] = {}, lines_[2] = {};
};

/// Rows of a packed panel that are fetched into the first-level cache before they are used: panels of many
/// channels stream from the second-level cache (GEMM of 128 channels and more: 80 to 86 % of the peak).
constexpr int64_t kPrefetchDistance = 48;

template <int NV>
DL_INLINE void fetch_panel(const float* b) {
  DL_UNROLL for (int v = 0; v < NV; v += (kLanes < 16 ? 16 / kLanes : 1)) {
    prefetch(b + (kPrefetchDistance * NV + v) * kLanes);
  }
}

/// Multiply-adds of each sum in one round of the innermost loop. With few sums what counts and branches is an
/// eighth of the instructions, which is felt where another thread shares the core.
constexpr int kUnrolled = kIsa == Isa::avx2 ? 4 : 1;

/// Adds the products of row k of the panel.
template <int NV, int MR>
DL_INLINE void add_products(const float* const (&x)[MR], int64_t k, const float* b, Vec (&sum)[MR][NV]) {
  Vec y[NV];
  DL_UNROLL for (int v = 0; v < NV; v++) y[v] = load(b + v * kLanes);
  fetch_panel<NV>(b);
  DL_UNROLL for (int i = 0; i < MR; i++) {
    const Vec s = broadcast(x[i][k]);
    DL_UNROLL for (int v = 0; v < NV; v++) accumulate(sum[i][v], s, y[v]);
  }
}

template <int NV, int MR>
DL_INLINE void finish_sums(const GemmFinish& f, int64_t row, int64_t columns, Vec (&sum)[MR][NV]) {
  if (f.residual) {
    const float* from = f.residual + row * f.residual_stride;
    DL_UNROLL for (int i = 0; i < MR; i++) {
      Vec other[NV];
      load_columns<NV>(from + i * f.residual_stride, other, columns);
      DL_UNROLL for (int v = 0; v < NV; v++) sum[i][v] += other[v];
    }
  }
  const Vec low = broadcast(f.low), high = broadcast(f.high);
  DL_UNROLL for (int i = 0; i < MR; i++) {
    DL_UNROLL for (int v = 0; v < NV; v++) sum[i][v] = min(high, max(low, sum[i][v]));
  }
}

/// One tile after the other, in one call and with few branches: what is between the multiply-adds is half of
/// the time where a sum has 20 of them.
template <int NV, int MR>
DL_NOINLINE void gemm_tiles(const GemmBlock& g, int64_t first, int64_t tiles, Fetch& fetch) {
  const int64_t end = first + tiles * MR, run = fetch.wants() ? kPrefetchStep : g.k;
  for (int64_t row = first; row < end; row += MR) {
    const float* const* a = g.a + row;
    float* const* c = g.c + row;
    // The outputs are stored at the end: fetch them meanwhile (3 to 5 %).
    if (!g.cached) {
      DL_UNROLL for (int i = 0; i < MR; i++) {
        DL_UNROLL for (int v = 0; v < NV; v++) prefetch(c[i] + g.c_offset + v * kLanes);
      }
    }
    if (g.prefetch_rows) {
      const float* from = g.prefetch_rows + row * g.prefetch_stride;
      DL_UNROLL for (int i = 0; i < MR; i++, from += g.prefetch_stride) {
        DL_UNROLL for (int v = 0; v < NV; v++) prefetch(from + v * kLanes);
      }
    }
    Vec sum[MR][NV];
    if (g.accumulate) {
      DL_UNROLL for (int i = 0; i < MR; i++) load_columns<NV>(c[i] + g.c_offset, sum[i], g.columns);
    } else if (g.bias) {
      DL_UNROLL for (int v = 0; v < NV; v++) {
        const Vec bias = load(g.bias + v * kLanes);
        DL_UNROLL for (int i = 0; i < MR; i++) sum[i][v] = bias;
      }
    } else {
      DL_UNROLL for (int i = 0; i < MR; i++) {
        DL_UNROLL for (int v = 0; v < NV; v++) sum[i][v] = zero();
      }
    }
    const float* b = g.b;
    // Rows that are read once, in place, come from memory in pieces too short for the processor's own
    // prefetching: fetch those of the next tile (1x1 of 64 channels: 57 to 69 % of the peak, AVX-512 36 to 61
    // %).
    if (g.tap_count == 1 && !g.cached) {
      const float* const* next = row + 2 * MR <= g.rows ? a + MR : a;
      for (int64_t k = 0; k < min(g.k, 64); k += 16) {
        DL_UNROLL for (int i = 0; i < MR; i++) prefetch(next[i] + g.a_offset + g.taps[0] + k);
      }
    }
    for (int64_t t = 0; t < g.tap_count; t++) {
      const int64_t offset = g.a_offset + g.taps[t];
      const float* x[MR];
      DL_UNROLL for (int i = 0; i < MR; i++) x[i] = a[i] + offset;
      for (int64_t begin = 0; begin < g.k; begin += run) {
        const int64_t stop = min(g.k, begin + run);
        fetch.step();
        int64_t k = begin;
        const int64_t rounds = begin + (stop - begin) / kUnrolled * kUnrolled;
        for (; k < rounds; k += kUnrolled, b += kUnrolled * NV * kLanes) {
          // Else each row's pointer is counted up by itself.
          DL_OPAQUE(k);
          DL_UNROLL for (int u = 0; u < kUnrolled; u++) add_products(x, k + u, b + u * NV * kLanes, sum);
        }
        for (; k < stop; k++, b += NV * kLanes) add_products(x, k, b, sum);
      }
    }
    if (g.finish) finish_sums(*g.finish, row, g.columns, sum);
    DL_UNROLL for (int i = 0; i < MR; i++) store_columns<NV>(c[i] + g.c_offset, sum[i], g.columns);
  }
}

/// Adds the products of one pixel, MR of its channels by NV vectors.
template <int NV, int MR>
DL_INLINE void add_outer(const float* x, const float* b, Vec (&sum)[MR][NV]) {
  // Else the compiler adds up every address from parts that it keeps on the stack (81 % of the peak, with one
  // base register 93 %).
  DL_OPAQUE(x);
  Vec y[NV];
  DL_UNROLL for (int v = 0; v < NV; v++) y[v] = load(b + v * kLanes);
  DL_UNROLL for (int i = 0; i < MR; i++) {
    const Vec s = broadcast(x[i]);
    DL_UNROLL for (int v = 0; v < NV; v++) accumulate(sum[i][v], s, y[v]);
  }
}

template <int NV, int MR>
DL_NOINLINE void outer_tile(const OuterBlock& g, int64_t first, Fetch& fetch) {
  float* c = g.c + first * g.c_stride;
  Vec sum[MR][NV];
  if (g.accumulate) {
    DL_UNROLL for (int i = 0; i < MR; i++) load_columns<NV>(c + i * g.c_stride, sum[i], g.columns);
  } else {
    DL_UNROLL for (int i = 0; i < MR; i++) {
      DL_UNROLL for (int v = 0; v < NV; v++) sum[i][v] = zero();
    }
  }
  const float* b = g.b;
  const int64_t offset = g.offset + first;
  for (int64_t begin = 0; begin < g.rows; begin += kPrefetchStep) {
    const int64_t end = min(g.rows, begin + kPrefetchStep);
    fetch.step();
    int64_t p = begin;
    const int64_t rounds = p + (end - p) / kUnrolled * kUnrolled;
    for (; p < rounds; p += kUnrolled) {
      DL_UNROLL for (int u = 0; u < kUnrolled; u++, b += g.b_stride) add_outer(g.a[p + u] + offset, b, sum);
    }
    for (; p < end; p++, b += g.b_stride) add_outer(g.a[p] + offset, b, sum);
  }
  DL_UNROLL for (int i = 0; i < MR; i++) store_columns<NV>(c + i * g.c_stride, sum[i], g.columns);
}

// ---- a tile function for every number of rows, so that no tail computes rows that nobody wants

template <int MR>
struct Rows {
  static constexpr int value = MR;
};

/// Calls tile(Rows<rows>) for 1 <= rows <= MR.
template <int MR, class Tile>
DL_INLINE void with_rows(int64_t rows, Tile tile) {
  if constexpr (MR > 0) {
    if (rows == MR) {
      tile(Rows<MR>{});
    } else {
      with_rows<MR - 1>(rows, tile);
    }
  }
}

/// Cuts `rows` into the fewest tiles of at most MR rows, as equal as they come: 16 rows are 8 + 8, not 14 +
/// 2, for a tile of few rows waits for the latency of its own sums. Calls tiles(Rows<rows>, first, count) for
/// the larger ones, then for those that have a row less.
template <int MR, class Tiles>
DL_INLINE void for_tiles(int64_t rows, Tiles tiles) {
  const int64_t count = ceil_div(rows, MR), most = ceil_div(rows, count);
  const int64_t less = count * most - rows, large = count - less;
  with_rows<MR>(most, [&](auto height) { tiles(height, 0, large); });
  if (less > 0) with_rows<MR>(most - 1, [&](auto height) { tiles(height, large * most, less); });
}

template <int NV>
DL_INLINE void gemm_rows(const GemmBlock& g) {
  constexpr int kMost = tile_rows(NV);
  Fetch fetch(g.prefetch, ceil_div(g.rows, kMost) * g.tap_count * ceil_div(g.k, kPrefetchStep));
  for_tiles<kMost>(g.rows, [&](auto height, int64_t first, int64_t count) {
    gemm_tiles<NV, decltype(height)::value>(g, first, count, fetch);
  });
}

template <int NV>
DL_INLINE void outer_columns(const OuterBlock& g) {
  constexpr int kMost = outer_rows(NV);
  Fetch fetch(g.prefetch, ceil_div(g.m, kMost) * ceil_div(g.rows, kPrefetchStep));
  for_tiles<kMost>(g.m, [&](auto height, int64_t first, int64_t count) {
    constexpr int kRows = decltype(height)::value;
    for (int64_t i = 0; i < count; i++) outer_tile<NV, kRows>(g, first + i * kRows, fetch);
  });
}

inline void gemm_block(const GemmBlock& g) {
  switch (ceil_div(g.columns, kLanes)) {
    case 1:
      return gemm_rows<1>(g);
    case 2:
      return gemm_rows<2>(g);
    case 3:
      if constexpr (kPanelVectors >= 3) return gemm_rows<3>(g);
      break;
    case 4:
      if constexpr (kPanelVectors >= 4) return gemm_rows<4>(g);
      break;
  }
}

inline void gemm_outer(const OuterBlock& g) {
  switch (ceil_div(g.columns, kLanes)) {
    case 1:
      return outer_columns<1>(g);
    case 2:
      return outer_columns<2>(g);
    case 3:
      if constexpr (kPanelVectors >= 3) return outer_columns<3>(g);
      break;
    case 4:
      if constexpr (kPanelVectors >= 4) return outer_columns<4>(g);
      break;
  }
}

/// Rows of the matrix that are read side by side: few long streams are what the processor fetches ahead of by
/// itself (two Zen 3 cores, 9216 x 4096: 18 GB/s of 19; 16 rows in pieces of 1 KB 8 GB/s).
constexpr int kStreams = 8;

template <int MR>
DL_NOINLINE void row_tile(const RowBlock& g, int64_t first) {
  const float* b[MR];
  Vec a[MR];
  DL_UNROLL for (int i = 0; i < MR; i++) {
    b[i] = g.b + (first + i) * g.b_stride;
    a[i] = broadcast(g.a[first + i]);
  }
  const int64_t whole = g.columns / kLanes * kLanes;
  for (int64_t j = 0; j < whole; j += kLanes) {
    Vec sum = load(g.c + j);
    DL_UNROLL for (int i = 0; i < MR; i++) sum = fma(a[i], load(b[i] + j), sum);
    store(g.c + j, sum);
  }
  if (whole == g.columns) return;
  const int tail = static_cast<int>(g.columns - whole);
  Vec sum = load_n(g.c + whole, tail);
  DL_UNROLL for (int i = 0; i < MR; i++) sum = fma(a[i], load_n(b[i] + whole, tail), sum);
  store_n(g.c + whole, sum, tail);
}

inline void gemm_row(const RowBlock& g) {
  int64_t first = 0;
  for (; first + kStreams <= g.k; first += kStreams) row_tile<kStreams>(g, first);
  with_rows<kStreams - 1>(g.k - first, [&](auto count) { row_tile<decltype(count)::value>(g, first); });
}

inline void gemm_pack(const float* from, int64_t row_stride, int64_t column_stride, int64_t rows,
                      int64_t columns, float* to) {
  const int64_t width = ceil_div(columns, kLanes) * kLanes;
  if (column_stride == 1) {
    const int64_t whole = columns / kLanes * kLanes;
    const int tail = static_cast<int>(columns - whole);
    for (int64_t r = 0; r < rows; r++, from += row_stride, to += width) {
      for (int64_t j = 0; j < whole; j += kLanes) store(to + j, load(from + j));
      if (tail) store(to + whole, load_n(from + whole, tail));
    }
    return;
  }
  // A transposition, in squares: reads run along rows of the source, writes stay in a few lines.
  constexpr int64_t kSquare = 16;
  for (int64_t r0 = 0; r0 < rows; r0 += kSquare) {
    const int64_t r1 = min(rows, r0 + kSquare);
    for (int64_t j = 0; j < columns; j++) {
      const float* column = from + j * column_stride;
      for (int64_t r = r0; r < r1; r++) to[r * width + j] = column[r * row_stride];
    }
    for (int64_t r = r0; r < r1; r++) {
      for (int64_t j = columns; j < width; j++) to[r * width + j] = 0;
    }
  }
}

inline constexpr GemmKernels gemm_kernels{
    .panel = kPanel,
    .tile_rows = tile_rows(kPanelVectors),
    .block = gemm_block,
    .outer = gemm_outer,
    .row = gemm_row,
    .pack = gemm_pack,
};

}  // namespace dl::DL_ISA_NAMESPACE
