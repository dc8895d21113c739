// Depthwise convolution and groups of four or eight channels, forward and as input gradient: a block of
// output rows at a time, straight from the source (kernels/depthwise).
#include <algorithm>

#include "kernels/kernels.h"
#include "ops/convolution.h"
#include "ops/depthwise_rows.h"
#include "ops/fused_activation.h"

namespace dl {
namespace {

/// Elements of a block of outputs: it stays in the second-level cache with its source, and its rows share
/// theirs.
constexpr int64_t kBlock = int64_t{64} << 10;
/// Elements of the smallest block, where few images would leave threads without work.
constexpr int64_t kLeastBlock = int64_t{8} << 10;
/// Elements that are finished at a time, while they are in the first-level cache.
constexpr int64_t kPiece = int64_t{6} << 10;

class DepthwiseConvolution final : public Convolution {
 public:
  explicit DepthwiseConvolution(const ConvolutionSpec& spec)
      : spec_(spec),
        kernels_(spec.kernels),
        group_(spec.shape.ic_per_group()),
        channels_(spec.shape.ic),
        kernel_(kernels_.depthwise.row[group_ / 4]),
        sliding_(spec.backward ? sliding_backward(spec.shape) : sliding_forward(spec.shape)),
        bounds_(spec.epilogue.residual ? static_cast<int>(FusedActivation::none) : spec.epilogue.activation),
        piece_(std::max<int64_t>(2, kPiece / (channels_ * sliding_.columns))) {
    for (const Phase& phase : sliding_.phases) {
      phases_.emplace_back(phase, group_ * channels_);
      most_tap_rows_ = std::max(most_tap_rows_, phases_.back().row_count());
    }
  }

  Needs needs() const override {
    Needs needs;
    needs.scratch = scratch(nullptr).bytes;
    if (spec_.epilogue.has_parts())
      needs.workspace = blocks(spec_.shape.n).count() * most_parts() * 2 * channels_ * 4;
    if (transposed()) needs.derived = spec_.shape.weights() * 4;
    return needs;
  }

  bool reads_weights() const override { return !transposed(); }

  void run(const Run& run, const ConvolutionOperands& o) const override {
    const float* weights = o.weights;
    if (transposed()) {
      auto* to = reinterpret_cast<float*>(run.derived);
      if (!run.derived_fresh) transpose(weights, to);
      weights = to;
    }
    const GridBlocks blocks = this->blocks(o.source.shape[0]);
    auto* sums = reinterpret_cast<float*>(run.workspace);
    run.parallel_for(blocks.count(), [&](int64_t index, int thread) {
      const GridBlock block = blocks.at(index);
      const Scratch memory = scratch(run.scratch<std::byte>(thread));
      std::fill_n(memory.zeros, channels_, 0.0f);
      float* block_sums = sums + index * most_parts() * 2 * channels_;
      for (size_t phase = 0; phase < phases_.size(); phase++)
        compute(o, weights, block, phase, memory, block_sums);
    });
    if (spec_.epilogue.has_parts()) combine(run, o, blocks, sums);
  }

 private:
  struct Scratch {
    /// A row of the source for each row of taps.
    const float** lines;
    float* zeros;
    /// The rows of a block's image that its outputs read, behind the prologue.
    float* copy;
    int64_t bytes;
  };
  Scratch scratch(std::byte* base) const {
    Carve carve(base);
    Scratch s{};
    s.lines = carve.take<const float*>(most_tap_rows_ + 1);
    s.zeros = carve.take<float>(channels_);
    if (spec_.prologue >= 0)
      s.copy = carve.take<float>(sliding_.window_rows(blocks(spec_.shape.n).max_rows()) * sliding_.source_w *
                                 channels_);
    s.bytes = carve.used();
    return s;
  }

  int64_t elements() const {
    const int64_t pixels =
        sliding_.source_h * sliding_.source_w + sliding_.destination_h * sliding_.destination_w;
    return spec_.shape.n * channels_ * pixels;
  }
  bool transposed() const { return spec_.backward && group_ > 1; }

  /// Within each group, weights from source channel j to destination channel i, instead of from i to j.
  void transpose(const float* from, float* to) const {
    const int64_t taps = spec_.shape.kh * spec_.shape.kw;
    for (int64_t t = 0; t < taps; t++, from += group_ * channels_, to += group_ * channels_)
      for (int64_t first = 0; first < channels_; first += group_)
        for (int64_t i = 0; i < group_; i++)
          for (int64_t j = 0; j < group_; j++)
            to[j * channels_ + first + i] = from[i * channels_ + first + j];
  }

  GridBlocks blocks(int64_t n) const {
    // Of the plan's batch, so that a smaller one has no more blocks.
    const int64_t share = spec_.shape.n * sliding_.grid_pixels() * channels_ / kItems;
    return GridBlocks(n, sliding_.rows, sliding_.columns,
                      std::max<int64_t>(1, std::clamp(share, kLeastBlock, kBlock) / channels_));
  }
  static int64_t lines(const GridBlock& b) {
    return (b.image_end - b.image_begin) * (b.row_end - b.row_begin);
  }
  int64_t most_parts() const { return ceil_div(kBlock / channels_ / sliding_.columns + 1, piece_); }

  void compute(const ConvolutionOperands& o, const float* weights, const GridBlock& block, size_t index,
               const Scratch& scratch, float* sums) const {
    const Phase& phase = sliding_.phases[index];
    const TapGrid& taps = phases_[index];
    const Epilogue& e = spec_.epilogue;
    const bool copied = spec_.prologue >= 0;
    const int64_t stride = copied ? channels_ : o.source.stride, line = sliding_.source_w * stride;
    DepthwiseRow row{
        .source = scratch.lines,
        .tap_rows = taps.row_count(),
        .offset = taps.columns.data(),
        .tap_columns = static_cast<int64_t>(taps.columns.size()),
        .step = sliding_.step[1],
        .source_width = sliding_.source_w,
        .source_stride = stride,
        .weights = weights,
        .weight = taps.weights.data(),
        .channels = channels_,
        .y = nullptr,
        .y_stride = sliding_.spread[1] * o.destination.stride,
        .rows = 1,
        .y_row = sliding_.spread[0] * sliding_.destination_w * o.destination.stride,
        .columns = phase.columns,
        .bias = e.bias ? o.bias : nullptr,
        .low = bounds_.low,
        .high = bounds_.high,
        .prefetch = nullptr,
        .zeros = scratch.zeros,
    };
    const int64_t together = rows_together(taps, sliding_, group_, phase.columns, elements());
    int64_t done = 0;
    for (int64_t image = block.image_begin; image < block.image_end; image++) {
      const float* source = copied ? normalized(o, block, image, scratch.copy)
                                   : o.source.f32() + image * sliding_.source_h * line;
      const int64_t end = std::min(block.row_end, phase.rows);
      for (int64_t q = block.row_begin; q < end; q += row.rows) {
        row.rows = std::min({together, end - q, piece_ - done % piece_});
        const int64_t first = q * sliding_.step[0];
        taps.for_source_rows(first, row.rows, [&](int64_t i, int64_t at) {
          scratch.lines[i] = at >= 0 && at < sliding_.source_h ? source + at * line : nullptr;
        });
        // The last rows of an image fetch the first of the next, which lies behind it.
        row.prefetch = row.tap_rows && !copied
                           ? source + (first + taps.rows.back() + row.rows * sliding_.step[0]) * line
                           : nullptr;
        const int64_t to = image * sliding_.destination_h + phase.origin_h + q * sliding_.spread[0];
        row.y = o.destination.f32() + (to * sliding_.destination_w + phase.origin_w) * o.destination.stride;
        kernel_(row);
        done += row.rows;
        if (done % piece_ == 0 || done == lines(block)) {
          const int64_t part = (done - 1) / piece_, rows = done - part * piece_;
          finish(o, to + row.rows - rows, rows, sums + part * 2 * channels_);
        }
      }
    }
  }

  /// The source rows of one image of the block by way of the prologue.
  /// @returns where the image's row 0 would lie
  const float* normalized(const ConvolutionOperands& o, const GridBlock& block, int64_t image,
                          float* copy) const {
    const int64_t top = block.row_begin * sliding_.step[0] + sliding_.dh_min;
    return normalized_rows(kernels_.conv, o.source, image, top,
                           sliding_.window_rows(block.row_end - block.row_begin), spec_.prologue, o.prologue,
                           copy);
  }

  /// Residual, other activations and numbers of some rows, counted over all images, that are still in the
  /// cache. Only where rows follow each other: forward, and as input gradient of stride 1.
  void finish(const ConvolutionOperands& o, int64_t first, int64_t rows, float* sums) const {
    const Epilogue& e = spec_.epilogue;
    const bool active = e.residual || !bounds_.is_all;
    const int64_t pixel = first * sliding_.columns, pixels = rows * sliding_.columns;
    float* y = o.destination.f32() + pixel * o.destination.stride;
    if (active) {
      kernels_.conv.finish[e.activation]({
          .y = y,
          .y_stride = o.destination.stride,
          .residual = e.residual ? o.residual.f32() + pixel * o.residual.stride : nullptr,
          .residual_stride = o.residual.stride,
          .pixels = pixels,
          .columns = channels_,
      });
    }
    if (e.has_parts()) measure_part(kernels_, e, o, pixel, pixels, 0, channels_, sums, sums + channels_);
  }

  void combine(const Run& run, const ConvolutionOperands& o, const GridBlocks& blocks,
               const float* sums) const {
    join_parts(run, spec_.epilogue, o, channels_, [&](auto visit) {
      for (int64_t b = 0; b < blocks.count(); b++) {
        const int64_t lines = this->lines(blocks.at(b));
        for (int64_t i = 0; i * piece_ < lines; i++) {
          const float* part = sums + (b * most_parts() + i) * 2 * channels_;
          visit(part, part + channels_, std::min(piece_, lines - i * piece_) * sliding_.columns);
        }
      }
    });
  }

  const ConvolutionSpec spec_;
  const Kernels& kernels_;
  const int64_t group_, channels_;
  void (*const kernel_)(const DepthwiseRow&);
  const Sliding sliding_;
  /// Of the sums; a residual comes before them.
  const Bounds bounds_;
  /// Rows that are finished at a time.
  const int64_t piece_;
  std::vector<TapGrid> phases_;
  int64_t most_tap_rows_ = 1;
};

}  // namespace

std::unique_ptr<Convolution> make_depthwise_convolution(const ConvolutionSpec& spec) {
  return std::make_unique<DepthwiseConvolution>(spec);
}

}  // namespace dl
