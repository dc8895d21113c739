// See lrn.h.
#include "kernels/lrn/lrn.h"
#include "kernels/rows-inl.h"
#include "simd/math-inl.h"

namespace dl::DL_ISA_NAMESPACE {

/// Σ p[i .. i + size) for the vector of channels i; p holds whole vectors beyond the end.
DL_INLINE Vec window_sum(const float* p, int64_t size) {
  Vec total = load(p);
  for (int64_t j = 1; j < size; j++) total += load(p + j);
  return total;
}

DL_INLINE void clear(float* p, int64_t n) {
  for (int64_t i = 0; i < n; i++) p[i] = 0;
}

/// A row of channels with zeros around: `before` of them ahead of the first, enough for windows after the
/// last.
DL_INLINE float* padded(float* buffer, int64_t before, int64_t c, int64_t size) {
  clear(buffer, c + size + 32);
  return buffer + before;
}

/// d_i for channels i.. of a row whose squares start at squares - size/2.
DL_INLINE Vec lrn_divisor(const LrnShape& s, const float* squares, int64_t i) {
  return fma(broadcast(s.alpha), window_sum(squares + i - s.size / 2, s.size), broadcast(s.k));
}

DL_INLINE Vec power(Vec x, float exponent) {
  return exp(exponent * log(x));
}

inline void lrn_value(const LrnShape& s, In x, Out y, int64_t rows, int64_t c, float* scratch) {
  float* squares = padded(scratch, s.size / 2, c, s.size);
  for (int64_t r = 0; r < rows; r++) {
    const float* from = at(x, r);
    float* to = at(y, r);
    each_vector(c, [&](int64_t i, auto lanes) {
      Vec v = lanes.load(from + i);
      lanes.store(squares + i, v * v);
    });
    each_vector(c, [&](int64_t i, auto lanes) {
      lanes.store(to + i, lanes.load(from + i) * power(lrn_divisor(s, squares, i), -s.beta));
    });
  }
}

inline void lrn_gradient(const LrnShape& s, In dy, In x, In y, Out dx, int64_t rows, int64_t c,
                         float* scratch) {
  const int64_t room = c + s.size + 32;
  float* squares = padded(scratch, s.size / 2, c, s.size);
  // The windows that hold channel j belong to the channels j - (size-1)/2 .. j + size/2.
  const int64_t before = (s.size - 1) / 2;
  float* ratios = padded(scratch + room, before, c, s.size);
  float* powers = scratch + 2 * room;
  const float factor = 2 * s.alpha * s.beta;
  for (int64_t r = 0; r < rows; r++) {
    const float *slope = at(dy, r), *from = at(x, r), *value = at(y, r);
    float* to = at(dx, r);
    each_vector(c, [&](int64_t i, auto lanes) {
      Vec v = lanes.load(from + i);
      lanes.store(squares + i, v * v);
    });
    each_vector(c, [&](int64_t i, auto lanes) {
      Vec d = lrn_divisor(s, squares, i);
      lanes.store(powers + i, power(d, -s.beta));
      lanes.store(ratios + i, lanes.load(slope + i) * lanes.load(value + i) / d);
    });
    each_vector(c, [&](int64_t i, auto lanes) {
      Vec spread = window_sum(ratios + i - before, s.size) * factor;
      lanes.store(to + i, fnma(spread, lanes.load(from + i), lanes.load(slope + i) * lanes.load(powers + i)));
    });
  }
}

inline constexpr LrnKernels lrn_kernels{.value = lrn_value, .gradient = lrn_gradient};

}  // namespace dl::DL_ISA_NAMESPACE
