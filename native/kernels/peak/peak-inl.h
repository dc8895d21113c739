// See peak.h.
#include "kernels/peak/peak.h"
#include "simd/simd.h"

namespace dl::DL_ISA_NAMESPACE {

// Latency 4 times two ports need 8 chains; 12 leave room for the slower ones.
constexpr int kPeakChains = 12;
constexpr int kPeakUnroll = 8;

inline float peak_fma(int64_t rounds) {
  Vec chain[kPeakChains];
  DL_UNROLL for (int i = 0; i < kPeakChains; i++) chain[i] = broadcast(0.1f * static_cast<float>(i + 1));
  // From memory the compiler cannot see through, or it would compute the loop itself.
  volatile float factor = 0.999f, term = 0.001f;
  const Vec a = broadcast(factor), b = broadcast(term);
  for (int64_t round = 0; round < rounds; round++) {
    DL_UNROLL for (int u = 0; u < kPeakUnroll; u++) {
      DL_UNROLL for (int i = 0; i < kPeakChains; i++) chain[i] = fma(chain[i], a, b);
    }
  }
  Vec total = chain[0];
  DL_UNROLL for (int i = 1; i < kPeakChains; i++) total += chain[i];
  return sum(total);
}

inline void peak_triad(float* a, const float* b, const float* c, int64_t n) {
  const Vec factor = broadcast(3.0f);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(a + i, fma(load(c + i), factor, load(b + i)));
  if (const int rest = static_cast<int>(n - i); rest > 0) {
    store_n(a + i, fma(load_n(c + i, rest), factor, load_n(b + i, rest)), rest);
  }
}

inline constexpr PeakKernels peak_kernels{
    .fma = peak_fma,
    .flops = int64_t{2} * kLanes * kPeakChains * kPeakUnroll,
    .triad = peak_triad,
};

}  // namespace dl::DL_ISA_NAMESPACE
