// The vector type on AVX2 with FMA: eight lanes. See simd.h for the contract.
#pragma once
#include <immintrin.h>

namespace dl::DL_ISA_NAMESPACE {

constexpr Isa kIsa = Isa::avx2;
constexpr int kLanes = 8;
constexpr int kRegisters = 16;

struct Vec {
  __m256 v;
};
struct IVec {
  __m256i v;
};
struct Mask {
  __m256 v;
};

alignas(64) inline constexpr int32_t kFirstLanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                        0,  0,  0,  0,  0,  0,  0,  0};
/// All bits set in the first n lanes.
DL_INLINE __m256i first_lanes(int n) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirstLanes + 8 - n));
}

DL_INLINE Vec broadcast(float x) {
  return {_mm256_set1_ps(x)};
}
DL_INLINE IVec broadcast(int32_t x) {
  return {_mm256_set1_epi32(x)};
}
DL_INLINE IVec iota() {
  return {_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)};
}

DL_INLINE Vec load(const float* p) {
  return {_mm256_loadu_ps(p)};
}
DL_INLINE IVec load(const int32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}
DL_INLINE void store(float* p, Vec a) {
  _mm256_storeu_ps(p, a.v);
}
DL_INLINE void store(int32_t* p, IVec a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v);
}
DL_INLINE Vec load_n(const float* p, int n) {
  return {_mm256_maskload_ps(p, first_lanes(n))};
}
DL_INLINE IVec load_n(const int32_t* p, int n) {
  return {_mm256_maskload_epi32(p, first_lanes(n))};
}
DL_INLINE void store_n(float* p, Vec a, int n) {
  _mm256_maskstore_ps(p, first_lanes(n), a.v);
}
DL_INLINE void store_n(int32_t* p, IVec a, int n) {
  _mm256_maskstore_epi32(p, first_lanes(n), a.v);
}

DL_INLINE IVec load_u8(const uint8_t* p) {
  return {_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))};
}
DL_INLINE IVec load_u8_n(const uint8_t* p, int n) {
  uint8_t bytes[8] = {};
  for (int i = 0; i < n; i++) bytes[i] = p[i];
  return load_u8(bytes);
}
DL_INLINE void store_u8(uint8_t* p, IVec a) {
  const __m256i low = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8,
                                       12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  __m256i packed = _mm256_shuffle_epi8(a.v, low);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p),
                   _mm_unpacklo_epi32(_mm256_castsi256_si128(packed), _mm256_extracti128_si256(packed, 1)));
}
DL_INLINE void store_u8_n(uint8_t* p, IVec a, int n) {
  uint8_t bytes[8];
  store_u8(bytes, a);
  for (int i = 0; i < n; i++) p[i] = bytes[i];
}

DL_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.v, b.v)};
}
DL_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
DL_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
DL_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.v, b.v)};
}
DL_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
/// sum += a · b in the sum's own register: gcc 12 lets the sums of unrolled loops change registers, and
/// copies them back.
DL_INLINE void accumulate(Vec& sum, Vec a, Vec b) {
#if defined(__GNUC__) && !defined(__clang__)
  asm("vfmadd231ps %2, %1, %0" : "+x"(sum.v) : "x"(a.v), "x"(b.v));
#else
  sum = fma(a, b, sum);
#endif
}
/// The same value, in a register: else gcc loads what has several uses for each of them.
DL_INLINE Vec in_register(Vec a) {
#if defined(__GNUC__)
  asm("" : "+x"(a.v));
#endif
  return a;
}
DL_INLINE Vec fnma(Vec a, Vec b, Vec c) {
  return {_mm256_fnmadd_ps(a.v, b.v, c.v)};
}
DL_INLINE Vec sqrt(Vec a) {
  return {_mm256_sqrt_ps(a.v)};
}
DL_INLINE Vec abs(Vec a) {
  return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)};
}
DL_INLINE Vec floor(Vec a) {
  return {_mm256_floor_ps(a.v)};
}
DL_INLINE Vec round(Vec a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
DL_INLINE Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.v, b.v)};
}
DL_INLINE Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.v, b.v)};
}

DL_INLINE IVec operator+(IVec a, IVec b) {
  return {_mm256_add_epi32(a.v, b.v)};
}
DL_INLINE IVec operator-(IVec a, IVec b) {
  return {_mm256_sub_epi32(a.v, b.v)};
}
DL_INLINE IVec operator*(IVec a, IVec b) {
  return {_mm256_mullo_epi32(a.v, b.v)};
}
DL_INLINE IVec mul_high(IVec a, IVec b) {
  __m256i even = _mm256_srli_epi64(_mm256_mul_epu32(a.v, b.v), 32);
  __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a.v, 32), _mm256_srli_epi64(b.v, 32));
  return {_mm256_blend_epi32(even, odd, 0xaa)};
}
DL_INLINE IVec operator&(IVec a, IVec b) {
  return {_mm256_and_si256(a.v, b.v)};
}
DL_INLINE IVec operator|(IVec a, IVec b) {
  return {_mm256_or_si256(a.v, b.v)};
}
DL_INLINE IVec operator^(IVec a, IVec b) {
  return {_mm256_xor_si256(a.v, b.v)};
}
template <int N>
DL_INLINE IVec shift_left(IVec a) {
  return {_mm256_slli_epi32(a.v, N)};
}
template <int N>
DL_INLINE IVec shift_right(IVec a) {
  return {_mm256_srli_epi32(a.v, N)};
}
template <int N>
DL_INLINE IVec shift_right_signed(IVec a) {
  return {_mm256_srai_epi32(a.v, N)};
}

DL_INLINE Mask operator<(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)};
}
DL_INLINE Mask operator<=(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)};
}
DL_INLINE Mask operator==(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)};
}
DL_INLINE Mask operator==(IVec a, IVec b) {
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(a.v, b.v))};
}
DL_INLINE Mask operator&(Mask a, Mask b) {
  return {_mm256_and_ps(a.v, b.v)};
}
DL_INLINE Mask operator|(Mask a, Mask b) {
  return {_mm256_or_ps(a.v, b.v)};
}
DL_INLINE Mask operator!(Mask a) {
  return {_mm256_xor_ps(a.v, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))};
}
DL_INLINE bool any(Mask a) {
  return _mm256_movemask_ps(a.v) != 0;
}
DL_INLINE Vec select(Mask m, Vec a, Vec b) {
  return {_mm256_blendv_ps(b.v, a.v, m.v)};
}
DL_INLINE IVec select(Mask m, IVec a, IVec b) {
  return {_mm256_blendv_epi8(b.v, a.v, _mm256_castps_si256(m.v))};
}

DL_INLINE Vec to_float(IVec a) {
  return {_mm256_cvtepi32_ps(a.v)};
}
DL_INLINE IVec to_int(Vec a) {
  return {_mm256_cvtps_epi32(a.v)};
}
DL_INLINE IVec bits(Vec a) {
  return {_mm256_castps_si256(a.v)};
}
DL_INLINE Vec from_bits(IVec a) {
  return {_mm256_castsi256_ps(a.v)};
}
template <int J>
DL_INLINE Vec broadcast_quad(Vec a) {
  return {_mm256_permute_ps(a.v, J * 0x55)};
}

DL_INLINE float sum(Vec a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}
DL_INLINE float max_lane(Vec a) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
}

}  // namespace dl::DL_ISA_NAMESPACE
