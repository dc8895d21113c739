// moments: x → mean, variance (biased), unbiased per channel, over all pixels of all rows; and what the
// epilogue of a convolution uses for the same (moments.h).
#include "ops/moments.h"

#include <algorithm>

#include "kernels/kernels.h"
#include "ops/channel_sums.h"
#include "ops/operands.h"

namespace dl {

void combine_moments(const MomentBlocks& blocks, int64_t c, double* scratch, float* mean, float* variance,
                     float* unbiased) {
  double *m1 = scratch, *m2 = scratch + c;
  const double m = static_cast<double>(blocks.pixels);
  auto each_block = [&](auto&& body) {
    const float* sum = blocks.sums;
    for (int64_t begin = 0; begin < blocks.pixels; begin += blocks.grain, sum += blocks.block_stride) {
      double n = static_cast<double>(std::min(blocks.grain, blocks.pixels - begin));
      body(sum, sum + blocks.row_stride, sum + 2 * blocks.row_stride, n);
    }
  };
  std::fill(scratch, scratch + 2 * c, 0.0);
  each_block([&](const float* sum, const float*, const float* shift, double n) {
    for (int64_t i = 0; i < c; i++) m1[i] += n * static_cast<double>(shift[i]) + static_cast<double>(sum[i]);
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
  const double bessel = blocks.pixels > 1 ? m / (m - 1) : 1;
  for (int64_t i = 0; i < c; i++) {
    // Rounding may leave a variance of zero a little below it; NaN stays.
    double v = m2[i] < 0 ? 0 : m2[i] / m;
    mean[i] = static_cast<float>(m1[i]);
    variance[i] = static_cast<float>(v);
    unbiased[i] = static_cast<float>(v * bessel);
  }
}

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
    combine_moments({sums_.partial(run.workspace), stride, 3 * stride, sums_.grain(), x.pixels()}, c,
                    sums_.total(run.workspace), run.outputs[0].f32(), run.outputs[1].f32(),
                    run.outputs[2].f32());
  }

 private:
  ChannelSums sums_;
  void (*kernel_)(In, const float*, int64_t, int64_t, float*, float*);
};

}  // namespace

DL_DEFINE_OP(moments, Moments)

}  // namespace dl
