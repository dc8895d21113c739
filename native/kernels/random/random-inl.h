// See random.h.
#include "kernels/random/random.h"
#include "simd/math-inl.h"

namespace dl::DL_ISA_NAMESPACE {

struct PhiloxBlock {
  IVec word[4];
};

DL_INLINE IVec broadcast_bits(uint32_t x) {
  return broadcast(static_cast<int32_t>(x));
}

/// Philox4x32-10 of kLanes counters whose lowest words are first, first + 1, ...
DL_INLINE PhiloxBlock philox(const RandomStream& stream, uint32_t first) {
  const IVec m0 = broadcast_bits(0xD2511F53), m1 = broadcast_bits(0xCD9E8D57);
  IVec x0 = broadcast_bits(first) + iota(), x1 = broadcast_bits(stream.counter[0]);
  IVec x2 = broadcast_bits(stream.counter[1]), x3 = broadcast_bits(stream.counter[2]);
  uint32_t k0 = stream.key[0], k1 = stream.key[1];
  for (int round = 0; round < 10; round++, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
    IVec high0 = mul_high(m0, x0), low0 = m0 * x0, high1 = mul_high(m1, x2), low1 = m1 * x2;
    x0 = high1 ^ x1 ^ broadcast_bits(k0);
    x1 = low1;
    x2 = high0 ^ x3 ^ broadcast_bits(k1);
    x3 = low0;
  }
  return {{x0, x1, x2, x3}};
}

/// body(i, words): kLanes words from element i.
template <class Body>
DL_INLINE void each_words(const RandomStream& stream, uint32_t group, int64_t groups, const Body& body) {
  for (int64_t g = 0; g < groups; g++) {
    for (int lane = 0; lane < 16; lane += kLanes) {
      PhiloxBlock block =
          philox(stream, 16 * (group + static_cast<uint32_t>(g)) + static_cast<uint32_t>(lane));
      DL_UNROLL for (int j = 0; j < 4; j++) body(64 * g + 16 * j + lane, block.word[j]);
    }
  }
}

inline void random_words(const RandomStream& stream, uint32_t group, int64_t groups, uint32_t* out) {
  each_words(stream, group, groups,
             [&](int64_t i, IVec words) { store(reinterpret_cast<int32_t*>(out) + i, words); });
}

inline void random_dropout(const RandomStream& stream, uint32_t group, int64_t groups, float rate,
                           float scale, float* out) {
  const Vec kept = broadcast(scale), limit = broadcast(rate);
  each_words(stream, group, groups, [&](int64_t i, IVec words) {
    Vec uniform = to_float(shift_right<8>(words)) * 0x1p-24f;
    store(out + i, select(uniform < limit, zero(), kept));
  });
}

inline constexpr RandomKernels random_kernels{.words = random_words, .dropout = random_dropout};

}  // namespace dl::DL_ISA_NAMESPACE
