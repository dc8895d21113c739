// See unary.h.
#include "kernels/rows-inl.h"
#include "kernels/unary/unary.h"
#include "simd/math-inl.h"

namespace dl::DL_ISA_NAMESPACE {

template <class F>
void unary_value(const void* function, In x, Out y, int64_t rows, int64_t c) {
  const F f = *static_cast<const F*>(function);
  for (int64_t r = 0; r < rows; r++) {
    const float* from = at(x, r);
    float* to = at(y, r);
    each_vector(c, [&](int64_t i, auto lanes) { lanes.store(to + i, f.value(lanes.load(from + i))); });
  }
}

template <class F>
void unary_gradient(const void* function, In dy, In saved, Out dx, int64_t rows, int64_t c) {
  const F f = *static_cast<const F*>(function);
  for (int64_t r = 0; r < rows; r++) {
    const float *slope = at(dy, r), *s = at(saved, r);
    float* to = at(dx, r);
    each_vector(c, [&](int64_t i, auto lanes) {
      lanes.store(to + i, f.gradient(lanes.load(slope + i), lanes.load(s + i)));
    });
  }
}

#define DL_VALUE(name, Function) unary_value<functions::Function>,
#define DL_GRADIENT(name, Function) unary_gradient<functions::Function>,
inline constexpr UnaryKernels unary_kernels{
    .value = {DL_ACTIVATIONS(DL_VALUE)},
    .gradient = {DL_ACTIVATIONS(DL_GRADIENT)},
};
#undef DL_VALUE
#undef DL_GRADIENT

}  // namespace dl::DL_ISA_NAMESPACE
