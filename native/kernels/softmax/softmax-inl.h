// See softmax.h.
#include "kernels/rows-inl.h"
#include "kernels/softmax/softmax.h"
#include "simd/math-inl.h"

namespace dl::DL_ISA_NAMESPACE {

/// The largest of c elements; what a NaN does to it does not matter, for it reaches the sums as well.
DL_INLINE Vec row_max(const float* x, int64_t c) {
  constexpr float lowest = -3.402823466e38f;
  Vec largest = broadcast(lowest);
  each_vector(c,
              [&](int64_t i, auto lanes) { largest = max(largest, lanes.fill(lanes.load(x + i), lowest)); });
  return broadcast(max_lane(largest));
}

/// Σ term(i, lanes) over a row. Lanes beyond the end must give 0.
template <class Term>
DL_INLINE Vec row_sum(int64_t c, const Term& term) {
  Vec total = zero();
  each_vector(c, [&](int64_t i, auto lanes) { total += term(i, lanes); });
  return broadcast(sum(total));
}

inline void softmax(In x, Out y, int64_t rows, int64_t c) {
  for (int64_t r = 0; r < rows; r++) {
    const float* from = at(x, r);
    float* to = at(y, r);
    const Vec largest = row_max(from, c);
    const Vec total = row_sum(c, [&](int64_t i, auto lanes) {
      Vec e = lanes.fill(exp(lanes.load(from + i) - largest), 0.0f);
      lanes.store(to + i, e);
      return e;
    });
    const Vec inverse = 1.0f / total;
    each_vector(c, [&](int64_t i, auto lanes) { lanes.store(to + i, lanes.load(to + i) * inverse); });
  }
}

inline void softmax_gradient(In dy, In y, Out dx, int64_t rows, int64_t c) {
  for (int64_t r = 0; r < rows; r++) {
    const float *slope = at(dy, r), *p = at(y, r);
    float* to = at(dx, r);
    const Vec dot =
        row_sum(c, [&](int64_t i, auto lanes) { return lanes.load(slope + i) * lanes.load(p + i); });
    each_vector(c, [&](int64_t i, auto lanes) {
      lanes.store(to + i, lanes.load(p + i) * (lanes.load(slope + i) - dot));
    });
  }
}

DL_INLINE Vec log_sum_exp(const float* x, int64_t c, Vec largest) {
  return log(
      row_sum(c, [&](int64_t i, auto lanes) { return lanes.fill(exp(lanes.load(x + i) - largest), 0.0f); }));
}

inline void log_softmax(In x, Out y, int64_t rows, int64_t c) {
  for (int64_t r = 0; r < rows; r++) {
    const float* from = at(x, r);
    float* to = at(y, r);
    const Vec largest = row_max(from, c), log_sum = log_sum_exp(from, c, largest);
    each_vector(
        c, [&](int64_t i, auto lanes) { lanes.store(to + i, (lanes.load(from + i) - largest) - log_sum); });
  }
}

inline void log_softmax_gradient(In dy, In y, Out dx, int64_t rows, int64_t c) {
  for (int64_t r = 0; r < rows; r++) {
    const float *slope = at(dy, r), *log_p = at(y, r);
    float* to = at(dx, r);
    const Vec total = row_sum(c, [&](int64_t i, auto lanes) { return lanes.load(slope + i); });
    each_vector(c, [&](int64_t i, auto lanes) {
      lanes.store(to + i, fnma(exp(lanes.load(log_p + i)), total, lanes.load(slope + i)));
    });
  }
}

inline void cross_entropy(In x, In t, float weight, float* loss, Out dx, int64_t rows, int64_t c) {
  const Vec w = broadcast(weight);
  for (int64_t r = 0; r < rows; r++) {
    const float *from = at(x, r), *target = at(t, r);
    float* to = at(dx, r);
    const Vec largest = row_max(from, c);
    Vec exp_sum = zero(), target_sum = zero();
    each_vector(c, [&](int64_t i, auto lanes) {
      exp_sum += lanes.fill(exp(lanes.load(from + i) - largest), 0.0f);
      target_sum += lanes.load(target + i);
    });
    const Vec total = broadcast(sum(exp_sum)), log_sum = log(total);
    const Vec share = broadcast(sum(target_sum)) / total;
    Vec terms = zero();
    each_vector(c, [&](int64_t i, auto lanes) {
      Vec centred = lanes.load(from + i) - largest, wanted = lanes.load(target + i);
      terms += select(wanted == zero(), 0.0f, wanted * (log_sum - centred));
      lanes.store(to + i, (exp(centred) * share - wanted) * w);
    });
    loss[r] = sum(terms);
  }
}

inline constexpr SoftmaxKernels softmax_kernels{
    .softmax = softmax,
    .softmax_gradient = softmax_gradient,
    .log_softmax = log_softmax,
    .log_softmax_gradient = log_softmax_gradient,
    .cross_entropy = cross_entropy,
};

}  // namespace dl::DL_ISA_NAMESPACE
