// moments: x → mean, variance (biased), unbiased per channel, over all pixels of all rows. (A convolution
// that computes those of its outputs has means of small pieces at hand, not sums about a shift:
// join_moments.)
#include <algorithm>

#include "kernels/kernels.h"
#include "ops/channel_sums.h"
#include "ops/operands.h"

namespace dl {
namespace {

class Moments : public Op {
 public:
  using Attributes = NoAttributes;
  Moments(const Attributes&, const StepSpec& spec)
      : sums_(spec.inputs.at(0), 3), kernel_(spec.kernels.norm.moments) {
    require_operands(spec, 1, 3);
    require_type(spec.inputs[0], DType::f32);
    for (const TensorSpec& output : spec.outputs) require_dense(output, spec.inputs[0].shape.channels());
  }
  Needs needs() const override { return {.workspace = sums_.workspace()}; }
  void run(const Run& run) const override {
    const Tensor& x = run.inputs[0];
    const int64_t c = x.channels(), stride = sums_.stride();
    sums_.accumulate(run, run.workspace, x.pixels(), [&](const Block& b, float* sums) {
      In rows = b.in(x);
      // The first pixel is the shift: near enough to the mean, and exact where a channel is constant.
      std::copy(rows.data, rows.data + c, sums + 2 * stride);
      kernel_(rows, sums + 2 * stride, b.rows, c, sums, sums + stride);
    });
    combine(run, x.pixels(), c);
  }

 private:
  /// Combines the blocks in double, in order. Block b holds n_b pixels' Σ_b = Σ (x - shift_b) and
  /// Σ²_b = Σ (x - shift_b)²:
  ///   mean = Σ_b (n_b·shift_b + Σ_b) / m
  ///   m·variance = Σ_b (Σ²_b - (Σ_b)²/n_b + n_b·(mean_b - mean)²)
  ///   unbiased = variance·m/(m - 1), or the variance itself when m is 1
  void combine(const Run& run, int64_t pixels, int64_t c) const {
    const int64_t stride = sums_.stride();
    double *m1 = sums_.total(run.workspace), *m2 = m1 + c;
    const double m = static_cast<double>(pixels);
    auto each_block = [&](auto&& body) {
      const float* sum = sums_.partial(run.workspace);
      for (int64_t begin = 0; begin < pixels; begin += sums_.grain(), sum += 3 * stride) {
        double n = static_cast<double>(std::min(sums_.grain(), pixels - begin));
        body(sum, sum + stride, sum + 2 * stride, n);
      }
    };
    std::fill(m1, m1 + 2 * c, 0.0);
    each_block([&](const float* sum, const float*, const float* shift, double n) {
      for (int64_t i = 0; i < c; i++)
        m1[i] += n * static_cast<double>(shift[i]) + static_cast<double>(sum[i]);
    });
    for (int64_t i = 0; i < c; i++) m1[i] /= m;
    each_block([&](const float* sum, const float* square, const float* shift, double n) {
      const double inverse = 1 / n;
      for (int64_t i = 0; i < c; i++) {
        double s = static_cast<double>(sum[i]);
        double distance = static_cast<double>(shift[i]) + s * inverse - m1[i];
        m2[i] += static_cast<double>(square[i]) - s * s * inverse + n * (distance * distance);
      }
    });
    const double bessel = pixels > 1 ? m / (m - 1) : 1;
    float *mean = run.outputs[0].f32(), *variance = run.outputs[1].f32(), *unbiased = run.outputs[2].f32();
    for (int64_t i = 0; i < c; i++) {
      // Rounding may leave a variance of zero a little below it; NaN stays.
      double v = m2[i] < 0 ? 0 : m2[i] / m;
      mean[i] = static_cast<float>(m1[i]);
      variance[i] = static_cast<float>(v);
      unbiased[i] = static_cast<float>(v * bessel);
    }
  }

  ChannelSums sums_;
  void (*kernel_)(In, const float*, int64_t, int64_t, float*, float*);
};

}  // namespace

DL_DEFINE_OP(moments, Moments)

}  // namespace dl
