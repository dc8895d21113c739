// See optim.h.
#include "kernels/optim/optim.h"
#include "kernels/rows-inl.h"
#include "simd/math-inl.h"

namespace dl::DL_ISA_NAMESPACE {

inline void sgd(const SgdStep& s, float* p, const float* g, float* m, int64_t n) {
  const Vec lr = broadcast(s.lr), decay = broadcast(s.decay), momentum = broadcast(s.momentum),
            keep = broadcast(s.keep);
  if (s.momentum == 0) {
    each_vector(n, [&](int64_t i, auto lanes) {
      Vec w = lanes.load(p + i);
      lanes.store(p + i, fnma(lr, fma(decay, w, lanes.load(g + i)), w));
    });
    return;
  }
  auto update = [&](auto nesterov) {
    each_vector(n, [&](int64_t i, auto lanes) {
      Vec w = lanes.load(p + i), slope = fma(decay, w, lanes.load(g + i));
      Vec velocity = fma(momentum, lanes.load(m + i), keep * slope);
      lanes.store(m + i, velocity);
      lanes.store(p + i, fnma(lr, nesterov ? fma(momentum, velocity, slope) : velocity, w));
    });
  };
  s.nesterov ? update(true) : update(false);
}

inline void adam(const AdamStep& s, float* p, const float* g, float* m, float* v, int64_t n) {
  const Vec decay = broadcast(s.decay), shrink = broadcast(s.shrink), rate1 = broadcast(s.one_minus_beta1),
            beta2 = broadcast(s.beta2), rate2 = broadcast(s.one_minus_beta2), step = broadcast(s.step),
            inverse_root = broadcast(1 / s.root), epsilon = broadcast(s.epsilon);
  each_vector(n, [&](int64_t i, auto lanes) {
    Vec w = lanes.load(p + i), slope = fma(decay, w, lanes.load(g + i));
    Vec first = lanes.load(m + i);
    first = fma(rate1, slope - first, first);
    Vec second = fma(beta2, lanes.load(v + i), rate2 * slope * slope);
    lanes.store(m + i, first);
    lanes.store(v + i, second);
    lanes.store(p + i, fnma(step, first / fma(sqrt(second), inverse_root, epsilon), w * shrink));
  });
}

inline void rmsprop(const RmspropStep& s, float* p, const float* g, float* v, float* b, float* a, int64_t n) {
  const Vec lr = broadcast(s.lr), decay = broadcast(s.decay), alpha = broadcast(s.alpha),
            rate = broadcast(s.one_minus_alpha), epsilon = broadcast(s.epsilon),
            momentum = broadcast(s.momentum);
  each_vector(n, [&](int64_t i, auto lanes) {
    Vec w = lanes.load(p + i), slope = fma(decay, w, lanes.load(g + i));
    Vec square = fma(alpha, lanes.load(v + i), rate * slope * slope);
    lanes.store(v + i, square);
    if (a) {
      Vec average = lanes.load(a + i);
      average = fma(rate, slope - average, average);
      lanes.store(a + i, average);
      // Rounding can take a variance of zero below it, where PyTorch's root is NaN.
      square = max(0.0f, fnma(average, average, square));
    }
    Vec change = slope / (sqrt(square) + epsilon);
    if (s.momentum != 0) {
      change = fma(momentum, lanes.load(b + i), change);
      lanes.store(b + i, change);
    }
    lanes.store(p + i, fnma(lr, change, w));
  });
}

inline void ema(float decay, float one_minus_decay, float* average, const float* value, int64_t n) {
  const Vec d = broadcast(decay), rate = broadcast(one_minus_decay);
  each_vector(n, [&](int64_t i, auto lanes) {
    lanes.store(average + i, fma(d, lanes.load(average + i), rate * lanes.load(value + i)));
  });
}

inline float square_sum(const float* x, int64_t n) {
  Vec total[4] = {zero(), zero(), zero(), zero()};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    DL_UNROLL for (int k = 0; k < 4; k++) {
      Vec v = load(x + i + k * kLanes);
      total[k] = fma(v, v, total[k]);
    }
  }
  each_vector(n - i, [&](int64_t j, auto lanes) {
    Vec v = lanes.load(x + i + j);
    total[0] = fma(v, v, total[0]);
  });
  return sum((total[0] + total[1]) + (total[2] + total[3]));
}

inline bool all_finite(const float* x, int64_t n) {
  Vec total = zero();
  // x - x is 0, or NaN where x is not finite.
  each_vector(n, [&](int64_t i, auto lanes) {
    Vec v = lanes.load(x + i);
    total += v - v;
  });
  float s = sum(total);
  return s == 0;
}

inline void sum_of(const float* const* x, int count, float s, float* out, int64_t n) {
  const Vec factor = broadcast(s);
  each_vector(n, [&](int64_t i, auto lanes) {
    Vec total = lanes.load(x[0] + i);
    for (int k = 1; k < count; k++) total += lanes.load(x[k] + i);
    lanes.store(out + i, total * factor);
  });
}

inline constexpr OptimKernels optim_kernels{
    .sgd = sgd,
    .adam = adam,
    .rmsprop = rmsprop,
    .ema = ema,
    .square_sum = square_sum,
    .all_finite = all_finite,
    .sum_of = sum_of,
};

}  // namespace dl::DL_ISA_NAMESPACE
