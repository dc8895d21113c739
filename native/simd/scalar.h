// The vector type in plain C++: four lanes, for any processor. See simd.h for the contract.
#pragma once
#include <cmath>

namespace dl::DL_ISA_NAMESPACE {

constexpr Isa kIsa = Isa::scalar;
constexpr int kLanes = 4;
constexpr int kRegisters = 16;

#define DL_EACH(R, expression)                                      \
  R r;                                                              \
  DL_UNROLL for (int i = 0; i < kLanes; i++) r.v[i] = (expression); \
  return r

#if defined(__GNUC__)
// GCC's and Clang's own vectors: all kernels compile in a quarter of the time that arrays take.
#define DL_LANES(T) T v __attribute__((vector_size(4 * kLanes)))
#define DL_BINARY(R, op) \
  return R {             \
    a.v op b.v           \
  }
#define DL_COMPARE(op) \
  return Mask {        \
    a.v op b.v         \
  }
#define DL_CHOOSE(R) \
  return R {         \
    m.v ? a.v : b.v  \
  }
#else
#define DL_LANES(T) T v[kLanes]
#define DL_BINARY(R, op) DL_EACH(R, a.v[i] op b.v[i])
#define DL_COMPARE(op) DL_EACH(Mask, -(a.v[i] op b.v[i]))
#define DL_CHOOSE(R) DL_EACH(R, m.v[i] ? a.v[i] : b.v[i])
#endif

struct Vec {
  DL_LANES(float);
};
struct IVec {
  DL_LANES(int32_t);
};
/// All bits where true, else none.
struct Mask {
  DL_LANES(int32_t);
};

DL_INLINE uint32_t as_unsigned(int32_t x) {
  return static_cast<uint32_t>(x);
}
DL_INLINE int32_t as_signed(uint32_t x) {
  return static_cast<int32_t>(x);
}

DL_INLINE Vec broadcast(float x) {
  DL_EACH(Vec, x);
}
DL_INLINE IVec broadcast(int32_t x) {
  DL_EACH(IVec, x);
}
DL_INLINE IVec iota() {
  DL_EACH(IVec, i);
}

DL_INLINE Vec load(const float* p) {
  Vec r;
  std::memcpy(&r, p, sizeof r);
  return r;
}
DL_INLINE IVec load(const int32_t* p) {
  IVec r;
  std::memcpy(&r, p, sizeof r);
  return r;
}
DL_INLINE Vec load_n(const float* p, int n) {
  DL_EACH(Vec, i < n ? p[i] : 0.0f);
}
DL_INLINE IVec load_n(const int32_t* p, int n) {
  DL_EACH(IVec, i < n ? p[i] : 0);
}
DL_INLINE IVec load_u8(const uint8_t* p) {
  DL_EACH(IVec, p[i]);
}
DL_INLINE IVec load_u8_n(const uint8_t* p, int n) {
  DL_EACH(IVec, i < n ? p[i] : 0);
}
DL_INLINE void store_n(float* p, Vec a, int n) {
  for (int i = 0; i < n; i++) p[i] = a.v[i];
}
DL_INLINE void store_n(int32_t* p, IVec a, int n) {
  for (int i = 0; i < n; i++) p[i] = a.v[i];
}
DL_INLINE void store_u8_n(uint8_t* p, IVec a, int n) {
  for (int i = 0; i < n; i++) p[i] = static_cast<uint8_t>(a.v[i]);
}
DL_INLINE void store(float* p, Vec a) {
  std::memcpy(p, &a, sizeof a);
}
DL_INLINE void store(int32_t* p, IVec a) {
  std::memcpy(p, &a, sizeof a);
}
DL_INLINE void store_u8(uint8_t* p, IVec a) {
  store_u8_n(p, a, kLanes);
}

DL_INLINE Vec operator+(Vec a, Vec b) {
  DL_BINARY(Vec, +);
}
DL_INLINE Vec operator-(Vec a, Vec b) {
  DL_BINARY(Vec, -);
}
DL_INLINE Vec operator*(Vec a, Vec b) {
  DL_BINARY(Vec, *);
}
DL_INLINE Vec operator/(Vec a, Vec b) {
  DL_BINARY(Vec, /);
}
// Two roundings: a fused one would be a call of libm on processors without the instruction.
DL_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return a * b + c;
}
DL_INLINE void accumulate(Vec& sum, Vec a, Vec b) {
  sum = fma(a, b, sum);
}
DL_INLINE Vec in_register(Vec a) {
  return a;
}
DL_INLINE Vec fnma(Vec a, Vec b, Vec c) {
  return c - a * b;
}
DL_INLINE Vec sqrt(Vec a) {
  DL_EACH(Vec, std::sqrt(a.v[i]));
}
DL_INLINE Vec abs(Vec a) {
  DL_EACH(Vec, std::fabs(a.v[i]));
}
DL_INLINE Vec floor(Vec a) {
  DL_EACH(Vec, std::floor(a.v[i]));
}
DL_INLINE Vec round(Vec a) {
  DL_EACH(Vec, std::nearbyint(a.v[i]));
}
DL_INLINE IVec operator+(IVec a, IVec b) {
  DL_EACH(IVec, as_signed(as_unsigned(a.v[i]) + as_unsigned(b.v[i])));
}
DL_INLINE IVec operator-(IVec a, IVec b) {
  DL_EACH(IVec, as_signed(as_unsigned(a.v[i]) - as_unsigned(b.v[i])));
}
DL_INLINE IVec operator*(IVec a, IVec b) {
  DL_EACH(IVec, as_signed(as_unsigned(a.v[i]) * as_unsigned(b.v[i])));
}
DL_INLINE IVec mul_high(IVec a, IVec b) {
  DL_EACH(IVec,
          as_signed(static_cast<uint32_t>((uint64_t{as_unsigned(a.v[i])} * as_unsigned(b.v[i])) >> 32)));
}
DL_INLINE IVec operator&(IVec a, IVec b) {
  DL_BINARY(IVec, &);
}
DL_INLINE IVec operator|(IVec a, IVec b) {
  DL_BINARY(IVec, |);
}
DL_INLINE IVec operator^(IVec a, IVec b) {
  DL_BINARY(IVec, ^);
}
template <int N>
DL_INLINE IVec shift_left(IVec a) {
  DL_EACH(IVec, as_signed(as_unsigned(a.v[i]) << N));
}
template <int N>
DL_INLINE IVec shift_right(IVec a) {
  DL_EACH(IVec, as_signed(as_unsigned(a.v[i]) >> N));
}
template <int N>
DL_INLINE IVec shift_right_signed(IVec a) {
  DL_EACH(IVec, a.v[i] >> N);
}

DL_INLINE Mask operator<(Vec a, Vec b) {
  DL_COMPARE(<);
}
DL_INLINE Mask operator<=(Vec a, Vec b) {
  DL_COMPARE(<=);
}
DL_INLINE Mask operator==(Vec a, Vec b) {
  DL_COMPARE(==);
}
DL_INLINE Mask operator==(IVec a, IVec b) {
  DL_COMPARE(==);
}
DL_INLINE Mask operator&(Mask a, Mask b) {
  DL_BINARY(Mask, &);
}
DL_INLINE Mask operator|(Mask a, Mask b) {
  DL_BINARY(Mask, |);
}
DL_INLINE Mask operator!(Mask a) {
  DL_EACH(Mask, ~a.v[i]);
}
DL_INLINE bool any(Mask a) {
  return a.v[0] || a.v[1] || a.v[2] || a.v[3];
}
DL_INLINE Vec select(Mask m, Vec a, Vec b) {
  DL_CHOOSE(Vec);
}
DL_INLINE IVec select(Mask m, IVec a, IVec b) {
  DL_CHOOSE(IVec);
}

DL_INLINE Vec max(Vec a, Vec b) {
  return select(b < a, a, b);
}
DL_INLINE Vec min(Vec a, Vec b) {
  return select(a < b, a, b);
}

DL_INLINE Vec to_float(IVec a) {
  DL_EACH(Vec, static_cast<float>(a.v[i]));
}
// What the conversion instruction of x86 gives for NaN and for values out of range, INT32_MIN.
DL_INLINE IVec to_int(Vec a) {
  DL_EACH(IVec, a.v[i] >= -2147483648.0f && a.v[i] < 2147483648.0f
                    ? static_cast<int32_t>(std::nearbyint(a.v[i]))
                    : INT32_MIN);
}
DL_INLINE IVec bits(Vec a) {
  IVec r;
  std::memcpy(&r, &a, sizeof r);
  return r;
}
DL_INLINE Vec from_bits(IVec a) {
  Vec r;
  std::memcpy(&r, &a, sizeof r);
  return r;
}
template <int J>
DL_INLINE Vec broadcast_quad(Vec a) {
  return broadcast(a.v[J]);
}

DL_INLINE float sum(Vec a) {
  return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]);
}
DL_INLINE float max_lane(Vec a) {
  float x = a.v[0] > a.v[2] ? a.v[0] : a.v[2], y = a.v[1] > a.v[3] ? a.v[1] : a.v[3];
  return x > y ? x : y;
}

#undef DL_EACH
#undef DL_LANES
#undef DL_BINARY
#undef DL_COMPARE
#undef DL_CHOOSE

}  // namespace dl::DL_ISA_NAMESPACE
