// Elementary functions on the vector type. Our own, not libm's: the same bits on every machine with the same
// vectors. Coefficients are weighted minimax fits (Lawson's iteration) of the stated terms over the stated
// ranges. Errors are the largest over all floats, subnormals included, as measured with AVX2 and AVX-512
// (tests/math_test.cc). Infinities, zeros and NaN give what C's functions give.
#pragma once
#include "simd/simd.h"

namespace dl::DL_ISA_NAMESPACE {

// A float beside a vector means that float in every lane, so that formulas read like formulas.
DL_INLINE Vec operator+(float a, Vec b) {
  return broadcast(a) + b;
}
DL_INLINE Vec operator+(Vec a, float b) {
  return a + broadcast(b);
}
DL_INLINE Vec operator-(float a, Vec b) {
  return broadcast(a) - b;
}
DL_INLINE Vec operator-(Vec a, float b) {
  return a - broadcast(b);
}
DL_INLINE Vec operator*(float a, Vec b) {
  return broadcast(a) * b;
}
DL_INLINE Vec operator*(Vec a, float b) {
  return a * broadcast(b);
}
DL_INLINE Vec operator/(float a, Vec b) {
  return broadcast(a) / b;
}
DL_INLINE Vec operator/(Vec a, float b) {
  return a / broadcast(b);
}
DL_INLINE Mask operator<(Vec a, float b) {
  return a < broadcast(b);
}
DL_INLINE Mask operator<=(Vec a, float b) {
  return a <= broadcast(b);
}
DL_INLINE Mask operator>(Vec a, float b) {
  return broadcast(b) < a;
}
DL_INLINE Mask operator>=(Vec a, float b) {
  return broadcast(b) <= a;
}
DL_INLINE Vec max(float a, Vec b) {
  return max(broadcast(a), b);
}
DL_INLINE Vec min(float a, Vec b) {
  return min(broadcast(a), b);
}
DL_INLINE Vec select(Mask m, float a, Vec b) {
  return select(m, broadcast(a), b);
}
DL_INLINE Vec select(Mask m, Vec a, float b) {
  return select(m, a, broadcast(b));
}
DL_INLINE Vec select(Mask m, float a, float b) {
  return select(m, broadcast(a), broadcast(b));
}

/// c[0] + c[1]·x + c[2]·x² + ...
template <int N>
DL_INLINE Vec polynomial(Vec x, const float (&c)[N]) {
  Vec y = broadcast(c[N - 1]);
  DL_UNROLL for (int i = N - 2; i >= 0; i--) y = fma(y, x, broadcast(c[i]));
  return y;
}

/// magnitude with the sign of `sign`
DL_INLINE Vec with_sign(Vec magnitude, Vec sign) {
  return from_bits(bits(abs(magnitude)) | (bits(sign) & broadcast(int32_t{INT32_MIN})));
}

// ln 2 in two parts; the first has so few bits that its product with an exponent is exact.
constexpr float kLn2High = 0.693145751953125f;
constexpr float kLn2Low = 1.42860677e-6f;

/// exp(x), < 1.0 ulp. x = n·ln 2 + r, |r| <= ln 2 / 2; 2^n in two factors, so that results may be subnormal.
DL_INLINE Vec exp(Vec x) {
  // Beyond these bounds the result is 0 or infinity; min and max keep the NaN of their second argument.
  x = max(-105.0f, min(89.0f, x));
  Vec n = round(x * 1.44269504f);
  Vec r = fnma(n, broadcast(kLn2Low), fnma(n, broadcast(kLn2High), x));
  // (exp(r) - 1 - r) / r²
  constexpr float c[] = {0.49999994f, 0.166665211f, 0.041668389f, 0.00836873613f, 0.0013814558f};
  Vec y = 1.0f + fma(polynomial(r, c), r * r, r);
  IVec exponent = to_int(n), half = shift_right_signed<1>(exponent);
  auto power = [](IVec e) { return from_bits(shift_left<23>(e + broadcast(int32_t{127}))); };
  return y * power(half) * power(exponent - half);
}

/// ln(x), < 0.9 ulp. x = 2^e·(1 + f), 1 + f in [√½, √2).
DL_INLINE Vec log(Vec x) {
  const Mask tiny = x < 1.17549435e-38f;
  IVec i = bits(select(tiny, x * 33554432.0f, x));  // 2^25
  const IVec root_half = broadcast(int32_t{0x3f3504f3});
  IVec offset = i - root_half;
  Vec e = to_float(shift_right_signed<23>(offset)) - select(tiny, 25.0f, 0.0f);
  Vec f = from_bits((offset & broadcast(int32_t{0x7fffff})) + root_half) - 1.0f;
  // (ln(1 + f) - f + f²/2) / f³
  constexpr float c[] = {0.333333135f,  -0.250000089f, 0.200021192f,  -0.166679963f, 0.142195508f,
                         -0.124055915f, 0.118881747f,  -0.116756409f, 0.0674660131f};
  Vec square = f * f;
  Vec low = fma(polynomial(f, c), f * square, e * kLn2Low);
  Vec y = fma(e, broadcast(kLn2High), f + fma(square, broadcast(-0.5f), low));
  const Vec infinity = from_bits(broadcast(int32_t{0x7f800000}));
  y = select(x < infinity, y, x);  // infinity and NaN
  y = select(x == zero(), -infinity, y);
  return select(x < 0.0f, from_bits(broadcast(int32_t{0x7fc00000})), y);
}

/// ln(1 + x) for x in [0, 1], < 1.2 ulp: ln(u) of the rounded u = 1 + x, and what the rounding lost.
DL_INLINE Vec log1p(Vec x) {
  Vec u = 1.0f + x;
  return log(u) + (x - (u - 1.0f)) / u;
}

/// tanh(x), < 1.4 ulp
DL_INLINE Vec tanh(Vec x) {
  Vec a = abs(x), square = x * x;
  // (tanh(x)/x - 1) / x², |x| < 0.625
  constexpr float c[] = {-0.333332807f, 0.133314416f, -0.0537397116f, 0.0206390787f, -0.00570497848f};
  Vec small = fma(polynomial(square, c), square * x, x);
  Vec large = 1.0f - 2.0f / (exp(a + a) + 1.0f);
  return select(a < 0.625f, small, with_sign(large, x));
}

/// 1 / (1 + exp(-x)), < 2.4 ulp, without overflow
DL_INLINE Vec sigmoid(Vec x) {
  Vec e = exp(-abs(x));
  return select(x >= 0.0f, broadcast(1.0f), e) / (1.0f + e);
}

/// erf(x), < 1.2 ulp
DL_INLINE Vec erf(Vec x) {
  Vec a = abs(x), square = x * x;
  // erf(x)/x - 1, |x| < 0.92
  constexpr float c[] = {0.128379151f,   -0.376124978f,  0.112818457f,
                         -0.0267677195f, 0.00499483012f, -0.000599940366f};
  Vec small = fma(polynomial(square, c), x, x);
  // ln(1 - erf(x)) / x, 0.92 <= x <= 4; beyond, erf rounds to 1
  constexpr float d[] = {-1.12864852f,    -0.635151327f,   -0.10623689f,    0.0237620752f,
                         -0.00364246499f, 0.000322805397f, -1.12314656e-05f};
  Vec t = min(4.0f, a);
  Vec large = 1.0f - exp(polynomial(t, d) * t);
  return select(a < 0.92f, small, with_sign(large, x));
}

}  // namespace dl::DL_ISA_NAMESPACE
