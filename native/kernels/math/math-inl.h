// See math.h.
#include "kernels/math/math.h"
#include "kernels/rows-inl.h"
#include "simd/math-inl.h"

namespace dl::DL_ISA_NAMESPACE {

template <Vec (*F)(Vec)>
void apply(const float* x, float* y, int64_t count) {
  each_vector(count, [&](int64_t i, auto lanes) { lanes.store(y + i, F(lanes.load(x + i))); });
}

// Functions of their own: an always-inline one has no address.
inline Vec exp_of(Vec x) {
  return exp(x);
}
inline Vec log_of(Vec x) {
  return log(x);
}
inline Vec log1p_of(Vec x) {
  return log1p(x);
}
inline Vec tanh_of(Vec x) {
  return tanh(x);
}
inline Vec sigmoid_of(Vec x) {
  return sigmoid(x);
}
inline Vec erf_of(Vec x) {
  return erf(x);
}

inline constexpr MathKernels math_kernels{
    .exp = apply<exp_of>,
    .log = apply<log_of>,
    .log1p = apply<log1p_of>,
    .tanh = apply<tanh_of>,
    .sigmoid = apply<sigmoid_of>,
    .erf = apply<erf_of>,
};

}  // namespace dl::DL_ISA_NAMESPACE
