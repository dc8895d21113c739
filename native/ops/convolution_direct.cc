// Direct convolution: an indirect GEMM over the taps, for any kernel, stride, dilation and groups, forward
// and as input gradient.
//
// For a block of output pixels: copy the source with its padding (nothing is copied where there is no
// padding), then for each panel of output channels multiply the pixels' rows with the packed weights, and
// finish the outputs while they are in cache. Weights are packed, per phase, group and slice of source
// channels, in panels [panel][taps][channels of the slice][width].
#include <algorithm>

#include "kernels/kernels.h"
#include "ops/convolution.h"
#include "ops/fused_activation.h"

namespace dl {
namespace {

/// Of source that stays in the second-level cache while the panels pass over it.
constexpr int64_t kSourceBytes = 256 << 10;
/// Of one packed panel of one slice, which each register tile reads from the second-level cache.
constexpr int64_t kPanelBytes = 320 << 10;
/// Panels that are packed side by side where weights are packed late: a row of them is read in one go.
constexpr int64_t kLatePanels = 8;
/// Rows of weights that are packed at a time then.
constexpr int64_t kLateRows = 16;
/// Pixels that use a panel of weights enough, once it is in the cache: whole register tiles.
constexpr int64_t kLeastPixels = 96;
/// Least lines of a row of weights that a thread has to itself.
constexpr int64_t kLeastLines = 8;
/// Of all packed panels, where every piece of pixels passes by all of them.
constexpr int64_t kStreamedBytes = 256 << 10;
/// Most pixels of a block: above it nothing is gained, and pointers are kept for each.
constexpr int64_t kMostPixels = 1024;
/// The same where nothing of a block but a piece need stay in a cache.
constexpr int64_t kMostStreamed = 4096;
/// Of a work item at least.
constexpr double kLeastFlops = 5e5;

class DirectConvolution final : public Convolution {
 public:
  explicit DirectConvolution(const ConvolutionSpec& spec)
      : spec_(spec),
        kernels_(spec.kernels),
        sliding_(spec.backward ? sliding_backward(spec.shape) : sliding_forward(spec.shape)),
        groups_(spec.shape.attributes.groups),
        channels_(spec.source_channels() / groups_),
        columns_(spec.destination_channels() / groups_),
        panel_(kernels_.gemm.panel),
        panels_(ceil_div(columns_, panel_)),
        width_(round_up(columns_, kernels_.lanes)),
        packs_late_(spec.shape.kh * spec.shape.kw == 1 &&
                    spec.shape.n * sliding_.grid_pixels() <= kPixelsAtOnce && sliding_.grid_pixels() == 1),
        slices_(ceil_div(channels_, slice_limit())),
        normalizes_pieces_(spec.prologue >= 0 && may_stream() && spec.shape.kh * spec.shape.kw == 1 &&
                           sliding_.step[0] * sliding_.step[1] == 1 && !sliding_.padded()),
        window_(sliding_, spec.source_stride, ceil_div(channels_, slices_), aliased() && !normalizes_pieces_,
                normalizes_pieces_ ? -1 : spec.prologue),
        bounds_(spec.epilogue.activation),
        finishes_(bounds_.is_all && (spec.epilogue.residual ||
                                     spec.epilogue.activation != static_cast<int>(FusedActivation::none))),
        streams_(normalizes_pieces_ ||
                 (may_stream() && !window_.copied() && spec.source_stride == spec.source_channels() &&
                  window_.point_stride() == spec.source_channels())) {
    int64_t at = 0;
    for (const Phase& phase : sliding_.phases) {
      phases_.push_back({window_.pieces(phase, slices_ == 1 ? channels_ : -1), at});
      at += groups_ * channels_ * width_ * static_cast<int64_t>(phase.taps.size());
    }
    packed_floats_ = at;
    const int64_t pixel_bytes = ceil_div(channels_, slices_) * 4 * sliding_.step[0] * sliding_.step[1];
    most_pixels_ =
        streams_ ? kMostStreamed : std::clamp<int64_t>(kSourceBytes / pixel_bytes, 56, kMostPixels);
    largest_ = GridBlocks::largest(spec.shape.n, sliding_.rows, sliding_.columns, most_pixels_);
  }

  Needs needs() const override {
    Needs needs;
    needs.scratch = scratch(nullptr).bytes;
    if (spec_.epilogue.has_parts()) needs.workspace = most_parts() * 2 * spec_.destination_channels() * 4;
    needs.derived = derived(nullptr).bytes;
    return needs;
  }

  bool reads_weights() const override { return packs_late_; }

  void run(const Run& run, const ConvolutionOperands& o) const override {
    const Derived packed = derived(run.derived);
    if (!run.derived_fresh) pack(run, o, packed);
    const int64_t n = o.source.shape[0];
    if (reads_in_place(n)) return multiply_in_place(run, o, packed);
    const GridBlocks blocks = this->blocks(n);
    const int64_t splits = this->splits(n, blocks);
    float* sums = reinterpret_cast<float*>(run.workspace);
    run.parallel_for(blocks.count() * splits, [&](int64_t item, int thread) {
      const int64_t block = item / splits, split = item % splits;
      const int64_t all = groups_ * panels_;
      const GridBlock range = blocks.at(block);
      compute({o, packed, scratch(run.scratch<std::byte>(thread)), range, sums + sums_at(block, range)},
              cut(all, splits, split), cut(all, splits, split + 1));
    });
    if (spec_.epilogue.has_parts()) combine(run, o, blocks, sums);
  }

 private:
  struct PhasePlan {
    Window::Pieces pieces;
    /// Of its packed weights.
    int64_t offset;
  };
  struct Derived {
    float* weights;
    /// Padded to whole vectors in each group; unused without a bias.
    float* bias;
    int64_t bytes;
  };
  struct Scratch {
    const float** source;
    float** destination;
    float* copy;
    /// The pixels of a piece behind the prologue, where pieces are normalised one by one.
    const float** piece;
    float* weights;
    int64_t bytes;
  };
  struct Job {
    const ConvolutionOperands& operands;
    const Derived& packed;
    Scratch scratch;
    GridBlock block;
    float* sums;
  };

  int64_t slice_limit() const {
    int64_t taps = 1;
    for (const Phase& phase : sliding_.phases)
      taps = std::max<int64_t>(taps, static_cast<int64_t>(phase.taps.size()));
    return std::max<int64_t>(16, kPanelBytes / (taps * (packs_late_ ? kLatePanels : 1) * panel_ * 4));
  }
  /// Whether all weights are so few that every piece of pixels may pass by them.
  bool may_stream() const {
    return !packs_late_ && sliding_.phases.size() == 1 && slices_ == 1 &&
           groups_ * channels_ * width_ * 4 <= kStreamedBytes;
  }
  /// Pixels 4 KB apart, read in place, would meet in one set of the first-level cache: more rows than it has
  /// ways.
  bool aliased() const { return kernels_.gemm.tile_rows > 8 && spec_.source_stride % 1024 == 0; }

  Scratch scratch(std::byte* base) const {
    Carve carve(base);
    Scratch s;
    const int64_t pixels = largest_.images * largest_.rows * sliding_.columns;
    s.source = carve.take<const float*>(pixels);
    s.destination = carve.take<float*>(pixels);
    const int64_t pieces = normalizes_pieces_ ? kPixelsAtOnce : 0;
    s.copy =
        carve.take<float>(window_.copy_floats(largest_) + pieces * copied_stride(spec_.source_channels()));
    s.piece = carve.take<const float*>(pieces);
    s.weights = carve.take<float>(packs_late_ ? kLatePanels * late_panel() : 0);
    s.bytes = carve.used();
    return s;
  }
  /// Floats of a panel of one slice.
  int64_t late_panel() const { return ceil_div(channels_, slices_) * panel_; }
  Derived derived(std::byte* base) const {
    Carve carve(base);
    Derived d;
    d.weights = carve.take<float>(packs_late_ ? 0 : packed_floats_);
    d.bias = carve.take<float>(spec_.epilogue.bias ? groups_ * width_ : 0);
    d.bytes = carve.used();
    return d;
  }

  GridBlocks blocks(int64_t n) const {
    const int64_t pixels = n * sliding_.grid_pixels();
    // Items that share pixels read them again, items that share weights read those.
    const bool more_weights = packed_floats_ > pixels * spec_.source_channels();
    const int64_t least = more_weights || spec_.epilogue.has_parts() ? kPixelsAtOnce : kLeastPixels;
    const int64_t share = std::max(least, pixels / kItems);
    return GridBlocks(n, sliding_.rows, sliding_.columns, std::min(most_pixels_, share));
  }
  int64_t splits(int64_t n, const GridBlocks& blocks) const {
    double flops = 0;
    for (const Phase& phase : sliding_.phases) {
      flops += 2.0 * static_cast<double>(n * phase.rows * phase.columns) *
               static_cast<double>(phase.taps.size()) * static_cast<double>(channels_ * columns_ * groups_);
    }
    int64_t splits = std::clamp<int64_t>(ceil_div(kItems, blocks.count()), 1, groups_ * panels_);
    while (splits > 1 && flops / static_cast<double>(blocks.count() * splits) < kLeastFlops) splits--;
    return splits;
  }

  // ---- packed weights

  int64_t packed_at(size_t phase, int64_t group, int64_t slice, int64_t panel) const {
    const auto taps = static_cast<int64_t>(sliding_.phases[phase].taps.size());
    const int64_t begin = cut(channels_, slices_, slice), end = cut(channels_, slices_, slice + 1);
    return phases_[phase].offset +
           taps * ((group * channels_ + begin) * width_ + panel * panel_ * (end - begin));
  }

  void pack(const Run& run, const ConvolutionOperands& o, const Derived& packed) const {
    if (spec_.epilogue.bias) {
      for (int64_t g = 0; g < groups_; g++) {
        float* to = packed.bias + g * width_;
        std::fill(std::copy_n(o.bias + g * columns_, columns_, to), to + width_, 0.0f);
      }
    }
    if (packs_late_) return;
    const int64_t units = groups_ * slices_ * panels_;
    run.parallel_for(units * static_cast<int64_t>(sliding_.phases.size()), [&](int64_t item, int) {
      const auto phase = static_cast<size_t>(item / units);
      const int64_t group = item % units / (slices_ * panels_), slice = item / panels_ % slices_,
                    panel = item % panels_;
      const Range channels{cut(channels_, slices_, slice), cut(channels_, slices_, slice + 1)};
      pack_panel(o.weights, phase, group, panel, channels,
                 packed.weights + packed_at(phase, group, slice, panel));
    });
  }

  void pack_panel(const float* weights, size_t phase, int64_t group, int64_t panel, Range channels,
                  float* to) const {
    const int64_t column = panel * panel_, columns = std::min<int64_t>(panel_, columns_ - column);
    const int64_t ic = spec_.shape.ic_per_group(), oc = spec_.shape.oc;
    for (const Tap& tap : sliding_.phases[phase].taps) {
      const float* w = weights + tap.weight * ic * oc;
      if (spec_.backward) {
        kernels_.gemm.pack(w + column * oc + group * channels_ + channels.begin, 1, oc, channels.size(),
                           columns, to);
      } else {
        kernels_.gemm.pack(w + channels.begin * oc + group * columns_ + column, oc, 1, channels.size(),
                           columns, to);
      }
      to += channels.size() * round_up(columns, kernels_.lanes);
    }
  }

  /// Panels of one slice into scratch memory, some rows of all of them at a time: weights are read as they
  /// lie.
  void pack_late(const Job& job, int64_t group, int64_t slice, Range panels) const {
    const int64_t begin = cut(channels_, slices_, slice), end = cut(channels_, slices_, slice + 1);
    // Backward a row of weights is a column of the panel: short pieces would read each line again.
    const int64_t step = spec_.backward ? end - begin : kLateRows;
    for (int64_t row = begin; row < end; row += step) {
      for (int64_t panel = panels.begin; panel < panels.end; panel++) {
        const int64_t width = round_up(std::min<int64_t>(panel_, columns_ - panel * panel_), kernels_.lanes);
        pack_panel(job.operands.weights, 0, group, panel, {row, std::min(row + step, end)},
                   late_weights(job, panel) + (row - begin) * width);
      }
    }
  }
  float* late_weights(const Job& job, int64_t panel) const {
    return job.scratch.weights + panel % kLatePanels * late_panel();
  }

  // ---- one block of pixels, panels [first, last) of all groups

  void compute(const Job& job, int64_t first, int64_t last) const {
    if (streams_) return stream(job, {first, last});
    for (int64_t group = first / panels_; group * panels_ < last; group++) {
      const int64_t begin = std::max(first - group * panels_, int64_t{0});
      const int64_t end = std::min(last - group * panels_, panels_);
      const int64_t step = packs_late_ ? kLatePanels : end - begin;
      for (int64_t panel = begin; panel < end; panel += step) {
        compute_panels(job, group, {panel, std::min(panel + step, end)});
      }
    }
  }

  void compute_panels(const Job& job, int64_t group, Range panels) const {
    for (int64_t slice = 0; slice < slices_; slice++) {
      const int64_t channel = group * channels_ + cut(channels_, slices_, slice);
      const int64_t channels = cut(channels_, slices_, slice + 1) - cut(channels_, slices_, slice);
      if (packs_late_) pack_late(job, group, slice, panels);
      window_.fill(kernels_, job.operands.source.f32(), job.operands.prologue, job.block, channel, channels,
                   job.scratch.copy);
      for (size_t phase = 0; phase < phases_.size(); phase++) {
        const int64_t pixels = address(job, sliding_.phases[phase], channel);
        multiply(job, phase, group, slice, panels, pixels);
      }
    }
  }

  /// One row takes the weights as they lie: reading them is all that there is to do. The sums are those of
  /// packed weights, to the bit.
  bool reads_in_place(int64_t n) const {
    return packs_late_ && n == 1 && !spec_.backward && spec_.prologue < 0 && !spec_.epilogue.has_parts();
  }

  /// Each thread has pieces of rows as long as they can be: memory is read fastest in long runs.
  void multiply_in_place(const Run& run, const ConvolutionOperands& o, const Derived& packed) const {
    const Job job{o, packed, {}, blocks(1).at(0), nullptr};
    const int64_t lines = ceil_div(columns_, kLine);
    const int64_t pieces = std::clamp<int64_t>(lines / kLeastLines, 1, ceil_div(run.threads, groups_));
    run.parallel_for(groups_ * pieces, [&](int64_t item, int) {
      const int64_t group = item / pieces, begin = cut(lines, pieces, item % pieces) * kLine;
      const int64_t columns = std::min(cut(lines, pieces, item % pieces + 1) * kLine, columns_) - begin;
      const int64_t column = group * columns_ + begin;
      float* y = o.destination.f32() + column;
      if (spec_.epilogue.bias) {
        std::copy_n(packed.bias + group * width_ + begin, columns, y);
      } else {
        std::fill_n(y, columns, 0.0f);
      }
      kernels_.gemm.row({
          .a = o.source.f32() + group * channels_,
          .k = channels_,
          .b = o.weights + column,
          .b_stride = spec_.shape.oc,
          .c = y,
          .columns = columns,
      });
      finish(job, column, columns, 0, 0, 1, false);
    });
  }

  /// Writes the addresses of the block's pixels, source and destination. Returns their number.
  int64_t address(const Job& job, const Phase& phase, int64_t channel) const {
    const GridBlock& b = job.block;
    const Tensor& to = job.operands.destination;
    const int64_t row_end = std::min(b.row_end, phase.rows), spread = sliding_.spread[1] * to.stride;
    float** destination = job.scratch.destination;
    for (int64_t image = b.image_begin; image < b.image_end; image++) {
      for (int64_t row = b.row_begin; row < row_end; row++) {
        const int64_t line = image * sliding_.destination_h + phase.origin_h + row * sliding_.spread[0];
        float* first = to.f32() + (line * sliding_.destination_w + phase.origin_w) * to.stride;
        for (int64_t q = 0; q < phase.columns; q++) destination[q] = first + q * spread;
        destination += phase.columns;
      }
    }
    return window_.address(job.operands.source.f32(), b, phase, channel, job.scratch.copy,
                           job.scratch.source);
  }

  const float* weights(const Job& job, size_t phase, int64_t group, int64_t slice, int64_t panel) const {
    return packs_late_ ? late_weights(job, panel)
                       : job.packed.weights + packed_at(phase, group, slice, panel);
  }

  /// All pixels of the block, a piece at a time, by `panels`. A panel stays in the first-level cache while
  /// all pieces pass by it.
  void multiply(const Job& job, size_t phase, int64_t group, int64_t slice, Range panels,
                int64_t pixels) const {
    const int64_t count = ceil_div(pixels, kPixelsAtOnce);
    for (int64_t p = panels.begin; p < panels.end; p++) {
      GemmBlock g = gemm(job, phase, group, slice, p);
      for (int64_t i = 0; i < count; i++) multiply_piece(job, g, slice, i, piece(pixels, i));
    }
  }

  /// The i-th of the pieces of so many pixels.
  static Range piece(int64_t pixels, int64_t i) {
    const int64_t count = ceil_div(pixels, kPixelsAtOnce);
    return {cut(pixels, count, i), cut(pixels, count, i + 1)};
  }

  /// The same where pixels are read once, in place: a piece passes by all panels, here of all groups, and the
  /// next one is fetched meanwhile: else all memory is waited for at the first panel.
  void stream(const Job& job, Range panels) const {
    const int64_t pixels = address(job, sliding_.phases[0], 0), count = ceil_div(pixels, kPixelsAtOnce);
    for (int64_t i = 0; i < count; i++) {
      if (normalizes_pieces_) normalize(job, piece(pixels, i));
      for (int64_t p = panels.begin; p < panels.end; p++) {
        GemmBlock g = gemm(job, 0, p / panels_, 0, p % panels_);
        g.a_offset = p / panels_ * channels_;
        if (i + 1 < count) prefetch(job.scratch, piece(pixels, i + 1), p - panels.begin, panels.size(), g);
        multiply_piece(job, g, 0, i, piece(pixels, i));
      }
    }
  }

  /// Pixels of the block, which follow each other, by way of the prologue.
  void normalize(const Job& job, Range pixels) const {
    const int64_t channels = spec_.source_channels();
    const Scratch& to = job.scratch;
    copy_padded(kernels_.conv,
                {
                    .from = to.source[pixels.begin],
                    .from_stride = job.operands.source.stride,
                    .height = 1,
                    .width = pixels.size(),
                    .top = 0,
                    .left = 0,
                    .channels = channels,
                    .to = to.copy,
                    .to_stride = copied_stride(channels),
                    .rows = 1,
                    .columns = pixels.size(),
                },
                spec_.prologue, job.operands.prologue, 0);
    for (int64_t i = 0; i < pixels.size(); i++) to.piece[i] = to.copy + i * copied_stride(channels);
  }

  void multiply_piece(const Job& job, GemmBlock& g, int64_t slice, int64_t part, Range pixels) const {
    g.a = normalizes_pieces_ ? job.scratch.piece : job.scratch.source + pixels.begin;
    g.c = job.scratch.destination + pixels.begin;
    g.rows = pixels.size();
    const bool last = slice == slices_ - 1;
    const GemmFinish ending = this->ending(job, pixels.begin, g.c_offset);
    if (last && finishes_) g.finish = &ending;
    if (last && spec_.epilogue.residual) {
      g.prefetch_rows = ending.residual;
      g.prefetch_stride = ending.residual_stride;
    }
    if (last && spec_.epilogue.sums >= 0) {
      g.prefetch_rows = pixel_of(job.operands.norm_input, job, pixels.begin) + g.c_offset;
      g.prefetch_stride = job.operands.norm_input.stride;
    }
    kernels_.gemm.block(g);
    if (last) finish(job, g.c_offset, g.columns, part, pixels.begin, pixels.end, finishes_);
  }

  /// A pixel of the block in a tensor like the destination, where pixels follow each other.
  const float* pixel_of(const Tensor& tensor, const Job& job, int64_t pixel) const {
    return tensor.f32() + (first_pixel(job.block) + pixel) * tensor.stride;
  }

  GemmFinish ending(const Job& job, int64_t pixel, int64_t column) const {
    GemmFinish ending{.low = bounds_.low, .high = bounds_.high};
    if (!spec_.epilogue.residual) return ending;
    ending.residual = pixel_of(job.operands.residual, job, pixel) + column;
    ending.residual_stride = job.operands.residual.stride;
    return ending;
  }

  /// One panel, all but the rows.
  GemmBlock gemm(const Job& job, size_t phase, int64_t group, int64_t slice, int64_t panel) const {
    const Window::Pieces& pieces = phases_[phase].pieces;
    const int64_t begin = cut(channels_, slices_, slice), end = cut(channels_, slices_, slice + 1);
    const int64_t column = panel * panel_;
    return {
        .a = nullptr,
        .a_offset = 0,
        .c = nullptr,
        .c_offset = group * columns_ + column,
        .rows = 0,
        .taps = pieces.offsets.data(),
        .tap_count = static_cast<int64_t>(pieces.offsets.size()),
        .k = (end - begin) * pieces.taps_per_piece,
        .b = weights(job, phase, group, slice, panel),
        .columns = std::min<int64_t>(panel_, columns_ - column),
        .bias = spec_.epilogue.bias ? job.packed.bias + group * width_ + column : nullptr,
        .accumulate = slice > 0,
    };
  }

  /// Has `g` fetch the part-th of `parts` shares of `pixels`, where they lie side by side in memory.
  void prefetch(const Scratch& scratch, Range pixels, int64_t part, int64_t parts, GemmBlock& g) const {
    const auto share = [&](const float* const* at, int64_t channels) {
      if (at[pixels.end - 1] - at[pixels.begin] != (pixels.size() - 1) * channels) return Prefetch{};
      const int64_t lines = pixels.size() * channels / kLine, first = cut(lines, parts, part);
      return Prefetch{at[pixels.begin] + first * kLine, cut(lines, parts, part + 1) - first};
    };
    g.prefetch[0] = share(scratch.source, spec_.source_channels());
    g.prefetch[1] = share(scratch.destination, spec_.destination_channels());
  }

  /// Residual and activation, if not `changed` by them already, and numbers of pixels [from, to) of the
  /// block, the part-th piece. Only where the pixels of a block follow each other: forward, and as input
  /// gradient of stride 1.
  void finish(const Job& job, int64_t column, int64_t columns, int64_t part, int64_t from, int64_t to,
              bool changed) const {
    const Epilogue& e = spec_.epilogue;
    const bool changes = !changed && (e.residual || e.activation != static_cast<int>(FusedActivation::none));
    if (!changes && !e.has_parts()) return;
    const Tensor& y = job.operands.destination;
    const Tensor& residual = job.operands.residual;
    const int64_t pixel = first_pixel(job.block) + from;
    if (changes) {
      kernels_.conv.finish[e.activation]({
          .y = y.f32() + pixel * y.stride + column,
          .y_stride = y.stride,
          .residual = e.residual ? residual.f32() + pixel * residual.stride + column : nullptr,
          .residual_stride = residual.stride,
          .pixels = to - from,
          .columns = columns,
      });
    }
    if (!e.has_parts()) return;
    const int64_t all = spec_.destination_channels();
    float* sums = job.sums + part * 2 * all + column;
    measure_part(kernels_, e, job.operands, pixel, to - from, column, columns, sums, sums + all);
  }

  // ---- numbers of each piece of each block, two a channel: moments or gradient sums

  /// The place of a block's first part, given its first pixel: at least as many places as parts before it.
  static int64_t first_part(int64_t block, int64_t pixel) { return pixel / kPixelsAtOnce + block; }
  int64_t first_pixel(const GridBlock& block) const {
    return (block.image_begin * sliding_.rows + block.row_begin) * sliding_.columns;
  }
  int64_t sums_at(int64_t index, const GridBlock& block) const {
    return first_part(index, first_pixel(block)) * 2 * spec_.destination_channels();
  }
  /// first_part() of what follows the last block, at most, for any n.
  int64_t most_parts() const {
    const int64_t n = spec_.shape.n, pixels = sliding_.grid_pixels();
    const int64_t least = std::min(kPixelsAtOnce, most_pixels_);
    const int64_t blocks = pixels > least ? n * ceil_div(pixels, least) : ceil_div(n, least / pixels);
    return first_part(blocks, n * pixels) + 1;
  }

  void combine(const Run& run, const ConvolutionOperands& o, const GridBlocks& blocks,
               const float* sums) const {
    const int64_t channels = spec_.destination_channels();
    join_parts(run, spec_.epilogue, o, channels, [&](auto visit) {
      for (int64_t b = 0; b < blocks.count(); b++) {
        const GridBlock block = blocks.at(b);
        const int64_t pixels =
            (block.image_end - block.image_begin) * (block.row_end - block.row_begin) * sliding_.columns;
        const int64_t parts = ceil_div(pixels, kPixelsAtOnce);
        for (int64_t i = 0; i < parts; i++) {
          const float* part = sums + sums_at(b, block) + i * 2 * channels;
          visit(part, part + channels, cut(pixels, parts, i + 1) - cut(pixels, parts, i));
        }
      }
    });
  }

  const ConvolutionSpec spec_;
  const Kernels& kernels_;
  const Sliding sliding_;
  const int64_t groups_;
  /// Of the source and the destination, in a group.
  const int64_t channels_, columns_;
  const int64_t panel_, panels_;
  /// Packed floats of all panels of a group, for one row of weights.
  const int64_t width_;
  /// A dense layer of few rows uses each weight once: packing all of them ahead would cost more than the
  /// product, and their size again in memory. An item packs panels when it comes to them.
  const bool packs_late_;
  /// Parts of the source channels, so that a panel of one, or all that are packed late, fit the cache.
  const int64_t slices_;
  /// A 1x1 convolution with a prologue: pieces of pixels are normalised just before they are multiplied.
  const bool normalizes_pieces_;
  const Window window_;
  const Bounds bounds_;
  /// Whether the products end with the residual and the activation.
  const bool finishes_;
  /// Whether pixels come from memory once and pass by all panels: see stream().
  const bool streams_;
  std::vector<PhasePlan> phases_;
  int64_t packed_floats_ = 0;
  /// Of a block, over all n.
  int64_t most_pixels_;
  GridBlocks::Extent largest_;
};

}  // namespace

std::unique_ptr<Convolution> make_direct_convolution(const ConvolutionSpec& spec) {
  return std::make_unique<DirectConvolution>(spec);
}

}  // namespace dl
