// See rownorm.h.
#include "kernels/rownorm/rownorm.h"
#include "kernels/rows-inl.h"
#include "simd/math-inl.h"

namespace dl::DL_ISA_NAMESPACE {

/// Σ of K terms over a row of any length, in double: `term(i, lanes, t)` sets t[0..K), 0 beyond the end of
/// the row.
template <int K, class Term>
DL_INLINE void long_row_sums(int64_t c, double (&totals)[K], const Term& term) {
  constexpr int64_t kChunk = 64 * kLanes;  // short enough that float adds it up well
  for (int k = 0; k < K; k++) totals[k] = 0;
  for (int64_t begin = 0; begin < c; begin += kChunk) {
    Vec part[K], t[K];
    for (int k = 0; k < K; k++) part[k] = zero();
    each_vector(min(kChunk, c - begin), [&](int64_t i, auto lanes) {
      term(begin + i, lanes, t);
      for (int k = 0; k < K; k++) part[k] += t[k];
    });
    for (int k = 0; k < K; k++) totals[k] += static_cast<double>(sum(part[k]));
  }
}

inline void rownorm_normalize(const float* x, const float* gamma, const float* beta, float epsilon, float* y,
                              float* mean, float* rstd, int64_t rows, int64_t c) {
  for (int64_t r = 0; r < rows; r++, x += c, y += c) {
    double total[1];
    long_row_sums<1>(c, total, [&](int64_t i, auto lanes, Vec(&t)[1]) { t[0] = lanes.load(x + i); });
    const float m = static_cast<float>(total[0] / static_cast<double>(c));
    const Vec centre = broadcast(m);
    long_row_sums<1>(c, total, [&](int64_t i, auto lanes, Vec(&t)[1]) {
      Vec d = lanes.fill(lanes.load(x + i) - centre, 0.0f);
      t[0] = d * d;
    });
    const float variance = static_cast<float>(total[0] / static_cast<double>(c));
    float scales[kLanes];
    store(scales, 1.0f / sqrt(broadcast(variance + epsilon)));
    const Vec scale = broadcast(scales[0]);
    mean[r] = m;
    rstd[r] = scales[0];
    each_vector(c, [&](int64_t i, auto lanes) {
      Vec normal = (lanes.load(x + i) - centre) * scale;
      lanes.store(y + i, gamma ? fma(normal, lanes.load(gamma + i), lanes.load(beta + i)) : normal);
    });
  }
}

inline void rownorm_gradient(const float* dy, const float* x, const float* mean, const float* rstd,
                             const float* gamma, float* dx, float* dgamma, float* dbeta, int64_t rows,
                             int64_t c) {
  for (int64_t r = 0; r < rows; r++, dy += c, x += c, dx += c) {
    const Vec centre = broadcast(mean[r]), scale = broadcast(rstd[r]);
    double total[2];
    long_row_sums<2>(c, total, [&](int64_t i, auto lanes, Vec(&t)[2]) {
      Vec slope = lanes.load(dy + i), normal = (lanes.load(x + i) - centre) * scale;
      Vec q = gamma ? slope * lanes.load(gamma + i) : slope;
      t[0] = q;
      t[1] = q * normal;
      if (dgamma) lanes.store(dgamma + i, fma(slope, normal, lanes.load(dgamma + i)));
      if (dbeta) lanes.store(dbeta + i, slope + lanes.load(dbeta + i));
    });
    const Vec a = broadcast(static_cast<float>(total[0] / static_cast<double>(c)));
    const Vec b = broadcast(static_cast<float>(total[1] / static_cast<double>(c)));
    each_vector(c, [&](int64_t i, auto lanes) {
      Vec slope = lanes.load(dy + i), normal = (lanes.load(x + i) - centre) * scale;
      Vec q = gamma ? slope * lanes.load(gamma + i) : slope;
      lanes.store(dx + i, scale * fnma(normal, b, q - a));
    });
  }
}

inline constexpr RownormKernels rownorm_kernels{.normalize = rownorm_normalize, .gradient = rownorm_gradient};

}  // namespace dl::DL_ISA_NAMESPACE
