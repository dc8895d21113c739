// See norm.h.
#include "kernels/norm/norm.h"
#include "kernels/rows-inl.h"
#include "simd/math-inl.h"

namespace dl::DL_ISA_NAMESPACE {

inline void norm_moments(In x, const float* shift, int64_t rows, int64_t c, float* sum, float* square) {
  sum_rows<2>(rows, c, {sum, square}, [&](int64_t r, int64_t i, auto lanes, Vec(&t)[2]) {
    t[0] = lanes.load(at(x, r) + i) - lanes.load(shift + i);
    t[1] = t[0] * t[0];
  });
}

inline void norm_sum(In x, int64_t rows, int64_t c, float* sum) {
  sum_rows<1>(rows, c, {sum},
              [&](int64_t r, int64_t i, auto lanes, Vec(&t)[1]) { t[0] = lanes.load(at(x, r) + i); });
}

template <class F, bool kResidual>
DL_INLINE void normalize_rows(In x, In residual, Out y, const NormVectors& v, int64_t rows, int64_t c) {
  const F f;
  for (int64_t r = 0; r < rows; r++) {
    const float *from = at(x, r), *added = kResidual ? at(residual, r) : nullptr;
    float* to = at(y, r);
    each_vector(c, [&](int64_t i, auto lanes) {
      Vec z =
          fma(lanes.load(from + i) - lanes.load(v.mean + i), lanes.load(v.scale + i), lanes.load(v.bias + i));
      if constexpr (kResidual) z += lanes.load(added + i);
      lanes.store(to + i, f.value(z));
    });
  }
}

template <class F>
void normalize(In x, In residual, Out y, const NormVectors& v, int64_t rows, int64_t c) {
  if (residual.data) {
    normalize_rows<F, true>(x, residual, y, v, rows, c);
  } else {
    normalize_rows<F, false>(x, residual, y, v, rows, c);
  }
}

/// What f' of a fused activation needs is computed from z again.
template <class F>
DL_INLINE Vec gradient_from_z(F f, Vec dy, Vec z) {
  if constexpr (F::kSaves == Saves::y) return f.gradient(dy, f.value(z));
  return f.gradient(dy, z);
}

template <class F>
constexpr bool kIsIdentity = false;
template <>
inline constexpr bool kIsIdentity<functions::Identity> = true;

template <class F, bool kFromOutput, bool kWrites>
DL_INLINE void gradient_sums_rows(const NormGradient& g, const NormVectors& v, int64_t rows, int64_t c,
                                  float* sum, float* product) {
  const F f;
  sum_rows<2>(rows, c, {sum, product}, [&](int64_t r, int64_t i, auto lanes, Vec(&t)[2]) {
    Vec centred = lanes.load(at(g.x, r) + i) - lanes.load(v.mean + i);
    Vec dz = lanes.load(at(g.dy, r) + i);
    if constexpr (kFromOutput) {
      dz = f.gradient(dz, lanes.load(at(g.y, r) + i));
    } else if constexpr (!kIsIdentity<F>) {
      dz = gradient_from_z(f, dz, fma(centred, lanes.load(v.scale + i), lanes.load(v.bias + i)));
    }
    if constexpr (kWrites) {
      if (g.dz.data) lanes.store(at(g.dz, r) + i, dz);
      if (g.dx.data) lanes.store(at(g.dx, r) + i, lanes.load(v.scale + i) * dz);
    }
    t[0] = dz;
    t[1] = dz * centred;
  });
}

template <class F>
void gradient_sums(const NormGradient& g, const NormVectors& v, int64_t rows, int64_t c, float* sum,
                   float* product) {
  const bool writes = g.dz.data || g.dx.data;
  if constexpr (F::kSaves == Saves::y) {
    if (g.y.data) {
      return writes ? gradient_sums_rows<F, true, true>(g, v, rows, c, sum, product)
                    : gradient_sums_rows<F, true, false>(g, v, rows, c, sum, product);
    }
  }
  writes ? gradient_sums_rows<F, false, true>(g, v, rows, c, sum, product)
         : gradient_sums_rows<F, false, false>(g, v, rows, c, sum, product);
}

template <class F>
void gradient_input(const NormGradient& g, const NormVectors& v, int64_t rows, int64_t c) {
  const F f;
  for (int64_t r = 0; r < rows; r++) {
    const float *from = at(g.dy, r), *x = at(g.x, r);
    float* to = at(g.dx, r);
    each_vector(c, [&](int64_t i, auto lanes) {
      Vec centred = lanes.load(x + i) - lanes.load(v.mean + i), scale = lanes.load(v.scale + i);
      Vec dz = lanes.load(from + i);
      if constexpr (!kIsIdentity<F>) dz = gradient_from_z(f, dz, fma(centred, scale, lanes.load(v.bias + i)));
      lanes.store(to + i, fma(scale, dz, fma(lanes.load(v.slope + i), centred, lanes.load(v.offset + i))));
    });
  }
}

#define DL_NORMALIZE(name, Function) normalize<functions::Function>,
#define DL_SUMS(name, Function) gradient_sums<functions::Function>,
#define DL_INPUT(name, Function) gradient_input<functions::Function>,
inline constexpr NormKernels norm_kernels{
    .moments = norm_moments,
    .sum = norm_sum,
    .normalize = {DL_FUSED_ACTIVATIONS(DL_NORMALIZE)},
    .gradient_sums = {DL_FUSED_ACTIVATIONS(DL_SUMS)},
    .gradient_input = {DL_FUSED_ACTIVATIONS(DL_INPUT)},
};
#undef DL_NORMALIZE
#undef DL_SUMS
#undef DL_INPUT

}  // namespace dl::DL_ISA_NAMESPACE
