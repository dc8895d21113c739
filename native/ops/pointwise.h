// A 1x1 convolution of pixels that are in a cache, for ops that do more than that with them:
// y = act(x · w + bias + residual).
#pragma once
#include <algorithm>

#include "base/carve.h"
#include "kernels/kernels.h"
#include "ops/conv2d_geometry.h"
#include "ops/fused_activation.h"

namespace dl {

/// Pixels that follow each other, `..._stride` floats apart.
struct PointwisePixels {
  /// Channel `channel` of the first pixel; the products of `channels` channels are summed.
  const float* x;
  int64_t x_stride;
  int64_t channel, channels;
  /// Column `column` of the first pixel, a multiple of the panel; `columns` are computed.
  float* y;
  int64_t y_stride;
  int64_t column, columns;
  int64_t pixels;
  /// Whether the sums begin with the bias.
  bool bias;
  /// Like y, or null.
  const float* residual;
  int64_t residual_stride;
  /// Index in tables by FusedActivation.
  int activation;
  /// Whether y is in a cache, like x.
  bool cached;
};

class Pointwise {
 public:
  Pointwise(const Kernels& kernels, int64_t channels, int64_t columns)
      : kernels_(kernels),
        channels_(channels),
        columns_(columns),
        panel_(kernels.gemm.panel),
        width_(round_up(columns, kernels.lanes)) {}

  int64_t panels() const { return ceil_div(columns_, panel_); }
  /// Of packed weights, and of the bias behind them.
  int64_t floats() const { return round_up(channels_ * width_, kLine) + width_; }
  /// Packs w [channels][columns] and a bias, which may be null.
  void pack(const float* weights, const float* bias, float* to) const {
    for (int64_t column = 0; column < columns_; column += panel_)
      kernels_.gemm.pack(weights + column, columns_, 1, channels_, std::min(panel_, columns_ - column),
                         to + column * channels_);
    float* packed = to + bias_at();
    std::fill_n(packed, width_, 0.0f);
    if (bias) std::copy_n(bias, columns_, packed);
  }

  /// For the addresses of the pixels that are computed at a time.
  struct Rows {
    const float* x[kPixelsAtOnce];
    float* y[kPixelsAtOnce];
  };
  void multiply(const PointwisePixels& p, const float* packed, Rows& rows) const {
    const int64_t pieces = ceil_div(p.pixels, kPixelsAtOnce);
    for (int64_t i = 0; i < pieces; i++) {
      const int64_t begin = cut(p.pixels, pieces, i), end = cut(p.pixels, pieces, i + 1);
      for (int64_t pixel = begin; pixel < end; pixel++) {
        rows.x[pixel - begin] = p.x + pixel * p.x_stride;
        rows.y[pixel - begin] = p.y + pixel * p.y_stride;
      }
      for (int64_t column = 0; column < p.columns; column += panel_)
        multiply_panel(p, packed, rows, begin, end - begin, column);
    }
  }

 private:
  static constexpr int64_t kLine = 16;
  int64_t bias_at() const { return round_up(channels_ * width_, kLine); }

  void multiply_panel(const PointwisePixels& p, const float* packed, const Rows& rows, int64_t first,
                      int64_t pixels, int64_t at) const {
    constexpr int64_t kInPlace[] = {0};
    const int64_t column = p.column + at, columns = std::min(panel_, p.columns - at);
    const int64_t width = std::min(panel_, width_ - column);
    const float* residual = p.residual ? p.residual + first * p.residual_stride + at : nullptr;
    const Bounds bounds(p.activation);
    const bool changes = residual || p.activation != static_cast<int>(FusedActivation::none);
    const GemmFinish ending{residual, p.residual_stride, bounds.low, bounds.high};
    kernels_.gemm.block({
        .a = rows.x,
        .a_offset = 0,
        .c = rows.y,
        .c_offset = at,
        .rows = pixels,
        .taps = kInPlace,
        .tap_count = 1,
        .k = p.channels,
        .b = packed + column * channels_ + p.channel * width,
        .columns = columns,
        .bias = p.bias ? packed + bias_at() + column : nullptr,
        .accumulate = false,
        .finish = changes && bounds.is_all ? &ending : nullptr,
        .cached = p.cached,
        .beside = residual,
        .beside_stride = p.residual_stride,
    });
    if (!changes || bounds.is_all) return;
    kernels_.conv.finish[p.activation]({
        .y = p.y + first * p.y_stride + at,
        .y_stride = p.y_stride,
        .residual = residual,
        .residual_stride = p.residual_stride,
        .pixels = pixels,
        .columns = columns,
    });
  }

  const Kernels& kernels_;
  int64_t channels_, columns_, panel_;
  /// Packed columns.
  int64_t width_;
};

}  // namespace dl
