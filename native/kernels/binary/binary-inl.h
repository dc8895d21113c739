// See binary.h.
#include "kernels/binary/binary.h"
#include "kernels/rows-inl.h"
#include "simd/math-inl.h"

namespace dl::DL_ISA_NAMESPACE {

template <class F>
void add_operands(const In* x, int count, Out y, int64_t rows, int64_t c) {
  const F f;
  for (int64_t r = 0; r < rows; r++) {
    const float *a = at(x[0], r), *b = at(x[1], r);
    float* to = at(y, r);
    if (count == 2) {
      each_vector(c, [&](int64_t i, auto lanes) {
        lanes.store(to + i, f.value(lanes.load(a + i) + lanes.load(b + i)));
      });
    } else {
      each_vector(c, [&](int64_t i, auto lanes) {
        Vec z = lanes.load(a + i) + lanes.load(b + i);
        for (int k = 2; k < count; k++) z += lanes.load(at(x[k], r) + i);
        lanes.store(to + i, f.value(z));
      });
    }
  }
}

/// to[i] = body(i, lanes) for all rows.
template <class Body>
DL_INLINE void map_rows(Out y, int64_t rows, int64_t c, const Body& body) {
  for (int64_t r = 0; r < rows; r++) {
    float* to = at(y, r);
    each_vector(c, [&](int64_t i, auto lanes) { lanes.store(to + i, body(r, i, lanes)); });
  }
}

inline void multiply(In a, In b, Out y, int64_t rows, int64_t c) {
  map_rows(y, rows, c, [&](int64_t r, int64_t i, auto lanes) {
    return lanes.load(at(a, r) + i) * lanes.load(at(b, r) + i);
  });
}

inline void scale(In x, float s, Out y, int64_t rows, int64_t c) {
  const Vec factor = broadcast(s);
  map_rows(y, rows, c, [&](int64_t r, int64_t i, auto lanes) { return lanes.load(at(x, r) + i) * factor; });
}

inline void lerp(In a, In b, float w, Out y, int64_t rows, int64_t c) {
  const Vec weight = broadcast(w);
  map_rows(y, rows, c, [&](int64_t r, int64_t i, auto lanes) {
    Vec from = lanes.load(at(a, r) + i);
    return fma(weight, lanes.load(at(b, r) + i) - from, from);
  });
}

inline void scale_channels(In x, const float* s, Out y, int64_t rows, int64_t c) {
  map_rows(y, rows, c,
           [&](int64_t r, int64_t i, auto lanes) { return lanes.load(at(x, r) + i) * lanes.load(s + i); });
}

inline void scale_channels_gradient(In dy, In x, const float* s, Out dx, int64_t rows, int64_t c, float* ds) {
  sum_rows<1>(rows, c, {ds}, [&](int64_t r, int64_t i, auto lanes, Vec(&t)[1]) {
    Vec slope = lanes.load(at(dy, r) + i);
    t[0] = slope * lanes.load(at(x, r) + i);
    lanes.store(at(dx, r) + i, slope * lanes.load(s + i));
  });
}

inline void add_channels(In x, const float* b, Out y, int64_t rows, int64_t c) {
  map_rows(y, rows, c,
           [&](int64_t r, int64_t i, auto lanes) { return lanes.load(at(x, r) + i) + lanes.load(b + i); });
}

#define DL_ADD(name, Function) add_operands<functions::Function>,
inline constexpr BinaryKernels binary_kernels{
    .add = {DL_FUSED_ACTIVATIONS(DL_ADD)},
    .multiply = multiply,
    .scale = scale,
    .lerp = lerp,
    .scale_channels = scale_channels,
    .scale_channels_gradient = scale_channels_gradient,
    .add_channels = add_channels,
};
#undef DL_ADD

}  // namespace dl::DL_ISA_NAMESPACE
