// See loss.h.
#include "kernels/loss/loss.h"
#include "kernels/rows-inl.h"
#include "simd/math-inl.h"

namespace dl::DL_ISA_NAMESPACE {

inline void squared_loss(In x, In t, float weight, Out dx, int64_t rows, int64_t c, float* total) {
  const Vec w = broadcast(2 * weight);
  sum_rows<1>(rows, c, {total}, [&](int64_t r, int64_t i, auto lanes, Vec(&term)[1]) {
    Vec difference = lanes.load(at(x, r) + i) - lanes.load(at(t, r) + i);
    lanes.store(at(dx, r) + i, difference * w);
    term[0] = difference * difference;
  });
}

inline void binary_entropy(In x, In t, float weight, Out dx, int64_t rows, int64_t c, float* total) {
  const Vec w = broadcast(weight);
  sum_rows<1>(rows, c, {total}, [&](int64_t r, int64_t i, auto lanes, Vec(&term)[1]) {
    Vec logit = lanes.load(at(x, r) + i), target = lanes.load(at(t, r) + i);
    lanes.store(at(dx, r) + i, (sigmoid(logit) - target) * w);
    Vec loss = max(0.0f, logit) - logit * target + log1p(exp(-abs(logit)));
    term[0] = lanes.fill(loss, 0.0f);
  });
}

inline constexpr LossKernels loss_kernels{.squared = squared_loss, .binary_entropy = binary_entropy};

}  // namespace dl::DL_ISA_NAMESPACE
