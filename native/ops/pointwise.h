// A 1x1 convolution, of groups or not, of pixels that are in a cache, for ops that do more than that with
// them: y = act(x · w + bias + residual).
#pragma once
#include <algorithm>
#include <vector>

#include "base/carve.h"
#include "kernels/kernels.h"
#include "ops/conv2d_geometry.h"
#include "ops/fused_activation.h"

namespace dl {

/// Pixels that follow each other, `..._stride` floats apart.
struct PointwisePixels {
  /// Channel `channel` of the first pixel; the products of `channels` channels are summed: all where there
  /// are groups.
  const float* x;
  int64_t x_stride;
  int64_t channel, channels;
  /// Column `column` of the first pixel, a multiple of the panel; `columns` are computed: all where there are
  /// groups.
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
  /// Pixels of x behind these that are wanted next, and come from memory: then pixels have no gaps.
  int64_t next = 0;
};

class Pointwise {
 public:
  /// Channels and columns are divisible by the groups. The weights want channels that were shuffled in
  /// `shuffle` groups (channel_shuffle.h), which divide them; x has them as they lay before. Of a group's
  /// channels each shuffled group then has a run, and runs are read like the taps of a kernel: all are as
  /// long as the longest, with weights 0 for what is none of the group's.
  Pointwise(const Kernels& kernels, int64_t channels, int64_t columns, int64_t groups = 1,
            int64_t shuffle = 1)
      : kernels_(kernels),
        groups_(groups),
        shuffle_(shuffle),
        channels_(channels / groups),
        columns_(columns / groups),
        panel_(kernels.gemm.panel),
        width_(round_up(columns_, kernels.lanes)),
        run_(ceil_div(channels_, shuffle)) {
    // A run that is too long by one reads a channel of another group or run, never behind the pixel: the last
    // channel of all ends a run that is not.
    for (int64_t group = 0; group < groups; group++)
      for (int64_t s = 0; s < shuffle; s++) {
        const int64_t first = ceil_div(std::max<int64_t>(0, group * channels_ - s), shuffle);
        runs_.push_back(s * (channels / shuffle) + first);
      }
  }

  /// Of packed weights, each group's with its bias behind them.
  int64_t floats() const { return groups_ * group_floats(); }
  /// Packs w [channels / groups][columns] and a bias, which may be null.
  void pack(const float* weights, const float* bias, float* to) const {
    for (int64_t group = 0; group < groups_; group++, to += group_floats()) {
      for (int64_t column = 0; column < columns_; column += panel_)
        for (int64_t s = 0; s < shuffle_; s++) pack_run(weights, group, column, s, to);
      float* packed = to + bias_at();
      std::fill_n(packed, width_, 0.0f);
      if (bias) std::copy_n(bias + group * columns_, columns_, packed);
    }
  }

  /// For the addresses of the pixels that are computed at a time.
  struct Rows {
    const float* x[kPixelsAtOnce];
    float* y[kPixelsAtOnce];
  };
  void multiply(const PointwisePixels& p, const float* packed, Rows& rows) const {
    const int64_t pieces = ceil_div(p.pixels, kPixelsAtOnce);
    for (int64_t i = 0; i < pieces; i++) {
      const Range pixels{cut(p.pixels, pieces, i), cut(p.pixels, pieces, i + 1)};
      for (int64_t pixel = pixels.begin; pixel < pixels.end; pixel++) {
        rows.x[pixel - pixels.begin] = p.x + pixel * p.x_stride;
        rows.y[pixel - pixels.begin] = p.y + pixel * p.y_stride;
      }
      multiply_piece(p, packed, rows, pixels);
    }
  }

 private:
  /// Of a group.
  int64_t bias_at() const { return round_up(shuffle_ * run_ * width_, kLine); }
  int64_t group_floats() const { return bias_at() + width_; }

  /// The weights of one panel that meet the run of shuffled group s; `to`: of the group.
  void pack_run(const float* weights, int64_t group, int64_t column, int64_t s, float* to) const {
    const int64_t columns = std::min(panel_, columns_ - column), width = std::min(panel_, width_ - column);
    const int64_t first =
        runs_[static_cast<size_t>(group * shuffle_ + s)] - s * (groups_ * channels_ / shuffle_);
    /// The channel of the group that the run's first one is, shuffled.
    const int64_t channel = first * shuffle_ + s - group * channels_;
    const int64_t rows = std::clamp<int64_t>(ceil_div(channels_ - channel, shuffle_), 0, run_);
    float* packed = to + column * shuffle_ * run_ + s * run_ * width;
    std::fill_n(packed, run_ * width, 0.0f);
    const int64_t row = groups_ * columns_;
    kernels_.gemm.pack(weights + channel * row + group * columns_ + column, shuffle_ * row, 1, rows, columns,
                       packed);
  }

  /// Fetches as many pixels behind these meanwhile, where they are wanted.
  void multiply_piece(const PointwisePixels& p, const float* packed, const Rows& rows, Range pixels) const {
    const int64_t columns = groups_ == 1 ? p.columns : columns_;
    const int64_t parts = groups_ * ceil_div(columns, panel_);
    const int64_t more = p.next > 0 ? std::min(pixels.size(), p.pixels + p.next - pixels.end) : 0;
    int64_t part = 0;
    for (int64_t group = 0; group < groups_; group++, packed += group_floats())
      for (int64_t column = 0; column < columns; column += panel_, part++) {
        const Range next{pixels.end + cut(more, parts, part), pixels.end + cut(more, parts, part + 1)};
        const Prefetch prefetch{p.x + next.begin * p.x_stride, next.size() * p.x_stride / kLine};
        multiply_panel(p, packed, rows, pixels, group, column, prefetch);
      }
  }

  /// `packed`: of the group; `from`: among those of its columns that are computed.
  void multiply_panel(const PointwisePixels& p, const float* packed, const Rows& rows, Range pixels,
                      int64_t group, int64_t from, const Prefetch& prefetch) const {
    const int64_t column = p.column + from;
    const int64_t columns = std::min(panel_, (groups_ == 1 ? p.columns : columns_) - from);
    const int64_t width = std::min(panel_, width_ - column), at = group * columns_ + from;
    const bool slice = p.channels < groups_ * channels_;
    const float* residual = p.residual ? p.residual + pixels.begin * p.residual_stride + at : nullptr;
    const Bounds bounds(p.activation);
    const bool changes = residual || p.activation != static_cast<int>(FusedActivation::none);
    const GemmFinish ending{residual, p.residual_stride, bounds.low, bounds.high};
    kernels_.gemm.block({
        .a = rows.x,
        .a_offset = 0,
        .c = rows.y,
        .c_offset = at,
        .rows = pixels.size(),
        .taps = &runs_[static_cast<size_t>(group * shuffle_)],
        .tap_count = shuffle_,
        .k = slice ? p.channels : run_,
        .b = packed + column * shuffle_ * run_ + p.channel * width,
        .columns = columns,
        .bias = p.bias ? packed + bias_at() + column : nullptr,
        .accumulate = false,
        .finish = changes && bounds.is_all ? &ending : nullptr,
        .cached = p.cached,
        .prefetch = {prefetch},
        .prefetch_rows = residual,
        .prefetch_stride = p.residual_stride,
    });
    if (!changes || bounds.is_all) return;
    kernels_.conv.finish[p.activation]({
        .y = p.y + pixels.begin * p.y_stride + at,
        .y_stride = p.y_stride,
        .residual = residual,
        .residual_stride = p.residual_stride,
        .pixels = pixels.size(),
        .columns = columns,
    });
  }

  const Kernels& kernels_;
  int64_t groups_, shuffle_;
  /// Of a group.
  int64_t channels_, columns_;
  int64_t panel_;
  /// Packed columns of a group.
  int64_t width_;
  /// Channels of a run.
  int64_t run_;
  /// [group][shuffled group], where the run begins.
  std::vector<int64_t> runs_;
};

}  // namespace dl
