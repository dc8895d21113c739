// The vector type of the instruction set that is being compiled, chosen by the flags of isa/<isa>.cc.
//
// Each of scalar.h, avx2.h, avx512.h and neon.h defines, in namespace dl::DL_ISA_NAMESPACE:
//   kIsa, kLanes (32-bit lanes of a vector), kRegisters (vector registers of the machine)
//   Vec    kLanes floats          IVec   kLanes 32-bit integers (wrap around)          Mask   kLanes booleans
//   load(p) store(p, v)           whole vectors, any alignment of 4 bytes; float* or int32_t*
//   load_n(p, n) store_n(p, v, n) the first n lanes, 0 <= n <= kLanes; others read as 0 and are not touched
//   broadcast(float) broadcast(int32_t) iota() (0, 1, 2, ...)
//   + - * / on Vec, + - * & | ^ on IVec (low 32 bits of a product); mul_high(a, b): high 32 bits, unsigned
//   fma(a, b, c) = a·b + c; fnma(a, b, c) = c - a·b: rounded once, except on scalar
//   in_register(v)                v, which is not loaded again for its next use
//   sqrt abs floor round (to nearest even)
//   max(a, b) min(a, b)           b where either is NaN: max(zero, x) keeps the NaN of x
//   a < b, a <= b, a == b         on Vec, false for NaN; a == b on IVec
//   select(mask, a, b)            a where the mask is set, else b; on Vec and IVec;  mask & | !;  any(mask)
//   to_int(v) (nearest even) to_float(i) (signed) bits(v) from_bits(i)
//   shift_left<n>(i) shift_right<n>(i) (logical) shift_right_signed<n>(i)
//   load_u8(p) load_u8_n(p, n)    bytes to IVec;  store_u8(p, i) store_u8_n(p, i, n): low bytes
//   broadcast_quad<j>(v)          element j of each group of four lanes, in all four
//   sum(v) max_lane(v)            horizontal, as a fixed tree: lane i with i + half, then the next half
// and this file adds what is the same for all.
//
// A trap: two translation units that emit the same inline function with different flags are one wrong link
// away from an illegal instruction. So kernel bodies (*-inl.h) keep everything inside this namespace, call no
// function of the standard library that is not an intrinsic of the compiler, and include no header of ops,
// plan or threads.
#pragma once
#ifndef DL_ISA_NAMESPACE
#error "kernel bodies are compiled by isa/<isa>.cc only"
#endif
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "isa/isa.h"

#if defined(_MSC_VER) && !defined(__clang__)
#define DL_INLINE __forceinline
#define DL_NOINLINE __declspec(noinline)
#define DL_UNROLL
#define DL_RESTRICT __restrict
#define DL_OPAQUE(pointer)
#else
#define DL_INLINE inline __attribute__((always_inline))
#define DL_NOINLINE __attribute__((noinline))
#define DL_RESTRICT __restrict__
// What is known of where a pointer came from is forgotten: it stays in one register.
#define DL_OPAQUE(pointer) asm("" : "+r"(pointer))
#if defined(__clang__)
#define DL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define DL_UNROLL _Pragma("GCC unroll 32")
#endif
#endif

#if defined(DL_ISA_AVX512)
#include "simd/avx512.h"
#elif defined(DL_ISA_AVX2)
#include "simd/avx2.h"
#elif defined(DL_ISA_NEON)
#include "simd/neon.h"
#else
#include "simd/scalar.h"
#endif

namespace dl::DL_ISA_NAMESPACE {

DL_INLINE Vec zero() {
  return broadcast(0.0f);
}
DL_INLINE Vec& operator+=(Vec& a, Vec b) {
  return a = a + b;
}
DL_INLINE Vec& operator*=(Vec& a, Vec b) {
  return a = a * b;
}
DL_INLINE Vec operator-(Vec a) {
  return from_bits(bits(a) ^ broadcast(int32_t{INT32_MIN}));
}
DL_INLINE Mask operator>(Vec a, Vec b) {
  return b < a;
}
DL_INLINE Mask operator>=(Vec a, Vec b) {
  return b <= a;
}

DL_INLINE constexpr int64_t min(int64_t a, int64_t b) {
  return a < b ? a : b;
}
DL_INLINE constexpr int64_t max(int64_t a, int64_t b) {
  return a > b ? a : b;
}
DL_INLINE constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/// Fetches the line of `p` into all caches; any address is allowed.
DL_INLINE void prefetch(const void* p) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(p);
#endif
}
/// The same, into the second-level cache and beyond.
DL_INLINE void prefetch_second(const void* p) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(p, 0, 2);
#endif
}

}  // namespace dl::DL_ISA_NAMESPACE
