// The vector type on AVX-512 (F, VL, DQ, BW): sixteen lanes. See simd.h for the contract.
#pragma once
#if defined(__GNUC__) && !defined(__clang__)
// gcc 12 warns of its own undefined-value intrinsics.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

namespace dl::DL_ISA_NAMESPACE {

constexpr Isa kIsa = Isa::avx512;
constexpr int kLanes = 16;
constexpr int kRegisters = 32;

struct Vec {
  __m512 v;
};
struct IVec {
  __m512i v;
};
struct Mask {
  __mmask16 v;
};

DL_INLINE __mmask16 first_lanes(int n) {
  return static_cast<__mmask16>((1u << n) - 1);
}

DL_INLINE Vec broadcast(float x) {
  return {_mm512_set1_ps(x)};
}
DL_INLINE IVec broadcast(int32_t x) {
  return {_mm512_set1_epi32(x)};
}
DL_INLINE IVec iota() {
  return {_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)};
}

DL_INLINE Vec load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
DL_INLINE IVec load(const int32_t* p) {
  return {_mm512_loadu_si512(p)};
}
DL_INLINE void store(float* p, Vec a) {
  _mm512_storeu_ps(p, a.v);
}
DL_INLINE void store(int32_t* p, IVec a) {
  _mm512_storeu_si512(p, a.v);
}
DL_INLINE Vec load_n(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
DL_INLINE IVec load_n(const int32_t* p, int n) {
  return {_mm512_maskz_loadu_epi32(first_lanes(n), p)};
}
DL_INLINE void store_n(float* p, Vec a, int n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), a.v);
}
DL_INLINE void store_n(int32_t* p, IVec a, int n) {
  _mm512_mask_storeu_epi32(p, first_lanes(n), a.v);
}

DL_INLINE IVec load_u8(const uint8_t* p) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
DL_INLINE IVec load_u8_n(const uint8_t* p, int n) {
  return {_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(first_lanes(n), p))};
}
DL_INLINE void store_u8(uint8_t* p, IVec a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a.v));
}
DL_INLINE void store_u8_n(uint8_t* p, IVec a, int n) {
  _mm_mask_storeu_epi8(p, first_lanes(n), _mm512_cvtepi32_epi8(a.v));
}

DL_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm512_add_ps(a.v, b.v)};
}
DL_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
DL_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
DL_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm512_div_ps(a.v, b.v)};
}
DL_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
DL_INLINE void accumulate(Vec& sum, Vec a, Vec b) {
  sum = fma(a, b, sum);
}
/// The same value, in a register: else gcc loads what has several uses for each of them.
DL_INLINE Vec in_register(Vec a) {
#if defined(__GNUC__)
  asm("" : "+v"(a.v));
#endif
  return a;
}
DL_INLINE Vec fnma(Vec a, Vec b, Vec c) {
  return {_mm512_fnmadd_ps(a.v, b.v, c.v)};
}
DL_INLINE Vec sqrt(Vec a) {
  return {_mm512_sqrt_ps(a.v)};
}
DL_INLINE Vec abs(Vec a) {
  return {_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v)};
}
DL_INLINE Vec floor(Vec a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
}
DL_INLINE Vec round(Vec a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
DL_INLINE Vec max(Vec a, Vec b) {
  return {_mm512_max_ps(a.v, b.v)};
}
DL_INLINE Vec min(Vec a, Vec b) {
  return {_mm512_min_ps(a.v, b.v)};
}

DL_INLINE IVec operator+(IVec a, IVec b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
DL_INLINE IVec operator-(IVec a, IVec b) {
  return {_mm512_sub_epi32(a.v, b.v)};
}
DL_INLINE IVec operator*(IVec a, IVec b) {
  return {_mm512_mullo_epi32(a.v, b.v)};
}
DL_INLINE IVec mul_high(IVec a, IVec b) {
  __m512i even = _mm512_srli_epi64(_mm512_mul_epu32(a.v, b.v), 32);
  __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.v, 32), _mm512_srli_epi64(b.v, 32));
  return {_mm512_mask_blend_epi32(0xaaaa, even, odd)};
}
DL_INLINE IVec operator&(IVec a, IVec b) {
  return {_mm512_and_si512(a.v, b.v)};
}
DL_INLINE IVec operator|(IVec a, IVec b) {
  return {_mm512_or_si512(a.v, b.v)};
}
DL_INLINE IVec operator^(IVec a, IVec b) {
  return {_mm512_xor_si512(a.v, b.v)};
}
template <int N>
DL_INLINE IVec shift_left(IVec a) {
  return {_mm512_slli_epi32(a.v, N)};
}
template <int N>
DL_INLINE IVec shift_right(IVec a) {
  return {_mm512_srli_epi32(a.v, N)};
}
template <int N>
DL_INLINE IVec shift_right_signed(IVec a) {
  return {_mm512_srai_epi32(a.v, N)};
}

DL_INLINE Mask operator<(Vec a, Vec b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
}
DL_INLINE Mask operator<=(Vec a, Vec b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)};
}
DL_INLINE Mask operator==(Vec a, Vec b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)};
}
DL_INLINE Mask operator==(IVec a, IVec b) {
  return {_mm512_cmpeq_epi32_mask(a.v, b.v)};
}
DL_INLINE Mask operator&(Mask a, Mask b) {
  return {static_cast<__mmask16>(a.v & b.v)};
}
DL_INLINE Mask operator|(Mask a, Mask b) {
  return {static_cast<__mmask16>(a.v | b.v)};
}
DL_INLINE Mask operator!(Mask a) {
  return {static_cast<__mmask16>(~a.v)};
}
DL_INLINE bool any(Mask a) {
  return a.v != 0;
}
DL_INLINE Vec select(Mask m, Vec a, Vec b) {
  return {_mm512_mask_blend_ps(m.v, b.v, a.v)};
}
DL_INLINE IVec select(Mask m, IVec a, IVec b) {
  return {_mm512_mask_blend_epi32(m.v, b.v, a.v)};
}

DL_INLINE Vec to_float(IVec a) {
  return {_mm512_cvtepi32_ps(a.v)};
}
DL_INLINE IVec to_int(Vec a) {
  return {_mm512_cvtps_epi32(a.v)};
}
DL_INLINE IVec bits(Vec a) {
  return {_mm512_castps_si512(a.v)};
}
DL_INLINE Vec from_bits(IVec a) {
  return {_mm512_castsi512_ps(a.v)};
}
template <int J>
DL_INLINE Vec broadcast_quad(Vec a) {
  return {_mm512_permute_ps(a.v, J * 0x55)};
}

DL_INLINE float sum(Vec a) {
  __m256 y = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}
DL_INLINE float max_lane(Vec a) {
  __m256 y = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
}

}  // namespace dl::DL_ISA_NAMESPACE
