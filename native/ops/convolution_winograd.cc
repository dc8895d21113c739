// Winograd convolution (kernels/winograd/winograd.h): 3x3, stride 1, forward and as input gradient, which is
// the convolution of dy with the flipped weights.
//
// A block is some rows of tiles, which may belong to several images. Its source is copied with the padding
// and transformed; each of the 36 planes is multiplied with that of the weights; the products are transformed
// into outputs. In which order depends on what is larger:
//   few weights    They are transformed ahead. An item is a block of tiles that passes by all of them, in the
//                  second-level cache.
//   many weights   An item is a panel of output channels: its weights are transformed where they are used,
//                  for a block of many tiles that all items share.
#include <algorithm>

#include "kernels/kernels.h"
#include "ops/convolution.h"
#include "ops/winograd_source.h"

namespace dl {
namespace {

/// Of all transformed weights: above it they would come from memory for every block.
constexpr int64_t kWeightBytes = 4 << 20;
/// Of the planes of a block, before and behind the products.
constexpr int64_t kPlaneBytes = 768 << 10;
/// Fewer tiles use the weights, which are read again for each block, too little.
constexpr int64_t kLeastTiles = 24, kMostTiles = 96;
/// The same where panels are the items, which all pass by the same tiles.
constexpr int64_t kSharedTiles = 280;
/// Panels of an item there. Each item reads all tiles, from the third-level cache: with two, and the next
/// plane fetched meanwhile, 256 channels of 8x8 took half the time (AVX2, one thread).
constexpr int64_t kPanelsAtOnce = 2;
/// Source channels whose weights are multiplied at a time there.
constexpr int64_t kChannelsAtOnce = 128;
/// Source channels whose weights are transformed at a time.
constexpr int64_t kChannelsPacked = 16;
constexpr int64_t kTaps = 9;

class WinogradConvolution final : public Convolution {
 public:
  explicit WinogradConvolution(const ConvolutionSpec& spec)
      : spec_(spec),
        kernels_(spec.kernels),
        groups_(spec.shape.attributes.groups),
        channels_(spec.source_channels() / groups_),
        columns_(spec.destination_channels() / groups_),
        panel_(kernels_.gemm.panel),
        panels_(ceil_div(columns_, panel_)),
        width_(round_up(columns_, kernels_.lanes)),
        source_{spec.backward ? spec.shape.oh : spec.shape.ih, spec.backward ? spec.shape.ow : spec.shape.iw},
        destination_{spec.backward ? spec.shape.ih : spec.shape.oh,
                     spec.backward ? spec.shape.iw : spec.shape.ow},
        pad_{spec.backward ? 2 - spec.shape.attributes.pad[0] : spec.shape.attributes.pad[0],
             spec.backward ? 2 - spec.shape.attributes.pad[2] : spec.shape.attributes.pad[2]},
        tile_rows_(ceil_div(destination_.h, kWinogradTile)),
        tile_columns_(ceil_div(destination_.w, kWinogradTile)),
        by_panel_(kWinogradPlanes * channels_ * width_ * int64_t{sizeof(float)} > kWeightBytes),
        input_(kernels_, source_, pad_, tile_columns_, channels_, spec.prologue),
        tile_in_(copied_stride(round_up(channels_, kernels_.lanes))),
        tile_out_(by_panel_ ? std::min(kPanelsAtOnce * panel_, width_) : copied_stride(width_)) {
    const int64_t tile_bytes = kWinogradPlanes * (tile_in_ + tile_out_) * int64_t{sizeof(float)};
    int64_t tiles = kSharedTiles;
    if (!by_panel_) {
      // Whole register tiles waste nothing.
      const int64_t whole = kernels_.gemm.tile_rows;
      tiles = std::clamp(kPlaneBytes / tile_bytes, kLeastTiles, kMostTiles);
      tiles = std::max(tiles / whole, ceil_div(kLeastTiles, whole)) * whole;
    }
    most_rows_ = std::clamp<int64_t>(tiles / tile_columns_, 1, spec.shape.n * tile_rows_);
    // Planes begin in different sets of the cache.
    plane_in_ = most_tiles() * tile_in_ + kLine;
    plane_out_ = most_tiles() * tile_out_ + kLine;
  }

  Needs needs() const override {
    Needs needs;
    needs.scratch = scratch(nullptr).bytes;
    needs.workspace = workspace(nullptr).bytes;
    if (!by_panel_) needs.derived = kWinogradPlanes * weight_plane() * int64_t{sizeof(float)};
    return needs;
  }

  bool reads_weights() const override { return by_panel_; }

  void run(const Run& run, const ConvolutionOperands& o) const override {
    const Workspace shared = workspace(run.workspace);
    const int64_t n = o.source.shape[0];
    if (by_panel_) {
      for (int64_t row = 0; row < n * tile_rows_; row += most_rows_)
        run_panels(run, o, shared, {row, std::min(row + most_rows_, n * tile_rows_)});
    } else {
      float* weights = reinterpret_cast<float*>(run.derived);
      if (!run.derived_fresh) transform_all_weights(run, o, weights);
      run_tiles(run, o, shared, weights);
    }
    if (spec_.epilogue.has_parts()) combine(run, o, shared.sums);
  }

 private:
  using Size = WinogradSource::Size;
  struct Workspace {
    /// For each row of tiles two numbers a channel: moments or gradient sums.
    float* sums;
    /// By panel: the transformed tiles that all items share.
    float* in;
    int64_t bytes;
  };
  struct Scratch {
    float* copy;
    /// Transformed tiles, where an item has its own.
    float* in;
    float* out;
    const float** tiles_in;
    float** tiles_out;
    /// Weights on their way.
    float* taps;
    float* weights;
    int64_t bytes;
  };
  /// A block of one group, in planes before and behind the products. Rows of tiles are counted over all
  /// images.
  struct Job {
    const ConvolutionOperands& operands;
    Range rows;
    int64_t group;
    Scratch scratch;
    float* in;
    /// The rows that this thread gets next, as a rule.
    Range next;
  };

  int64_t most_tiles() const { return most_rows_ * tile_columns_; }

  Scratch scratch(std::byte* base) const {
    Carve carve(base);
    Scratch s;
    s.copy = carve.take<float>(input_.copy_floats(by_panel_ ? 1 : std::min(most_rows_, tile_rows_)));
    s.in = carve.take<float>(by_panel_ ? 0 : kWinogradPlanes * plane_in_);
    s.out = carve.take<float>(kWinogradPlanes * plane_out_);
    s.tiles_in = carve.take<const float*>(most_tiles());
    s.tiles_out = carve.take<float*>(most_tiles());
    s.taps = carve.take<float>(kTaps * kChannelsPacked * panel_);
    s.weights = carve.take<float>(by_panel_ ? kWinogradPlanes * chunk_plane() : 0);
    s.bytes = carve.used();
    return s;
  }
  Workspace workspace(std::byte* base) const {
    Carve carve(base);
    Workspace w;
    w.sums = carve.take<float>(
        spec_.epilogue.has_parts() ? spec_.shape.n * tile_rows_ * 2 * spec_.destination_channels() : 0);
    w.in = carve.take<float>(by_panel_ ? groups_ * kWinogradPlanes * plane_in_ : 0);
    w.bytes = carve.used();
    return w;
  }

  // ---- weights

  /// Places of channels [begin, end) and one panel: to[plane · stride + channel · width + column].
  void transform_weights(const ConvolutionOperands& o, int64_t group, int64_t panel, int64_t begin,
                         int64_t end, float* taps, float* to, int64_t stride) const {
    const int64_t ic = spec_.shape.ic_per_group(), oc = spec_.shape.oc;
    const int64_t column = panel * panel_, columns = std::min<int64_t>(panel_, columns_ - column);
    const int64_t width = round_up(columns, kernels_.lanes);
    for (int64_t first = begin; first < end; first += kChannelsPacked) {
      const int64_t rows = std::min(kChannelsPacked, end - first);
      for (int64_t tap = 0; tap < kTaps; tap++) {
        float* packed = taps + tap * rows * width;
        if (spec_.backward) {
          const float* w = o.weights + (kTaps - 1 - tap) * ic * oc;
          kernels_.gemm.pack(w + column * oc + group * channels_ + first, 1, oc, rows, columns, packed);
        } else {
          const float* w = o.weights + tap * ic * oc;
          kernels_.gemm.pack(w + first * oc + group * columns_ + column, oc, 1, rows, columns, packed);
        }
      }
      kernels_.winograd.weights(taps, rows * width, rows * width, to + (first - begin) * width, stride);
    }
  }

  /// Of all groups and panels: [plane][group][panel][channels][width].
  int64_t weight_plane() const { return groups_ * channels_ * width_ + kLine; }
  int64_t weights_at(int64_t group, int64_t panel) const {
    return (group * width_ + panel * panel_) * channels_;
  }
  void transform_all_weights(const Run& run, const ConvolutionOperands& o, float* to) const {
    const int64_t chunks = ceil_div(channels_, kChannelsPacked);
    run.parallel_for(groups_ * panels_ * chunks, [&](int64_t item, int thread) {
      const int64_t group = item / (panels_ * chunks), panel = item / chunks % panels_;
      const int64_t begin = item % chunks * kChannelsPacked;
      const int64_t width = round_up(std::min<int64_t>(panel_, columns_ - panel * panel_), kernels_.lanes);
      transform_weights(o, group, panel, begin, std::min(begin + kChannelsPacked, channels_),
                        scratch(run.scratch<std::byte>(thread)).taps,
                        to + weights_at(group, panel) + begin * width, weight_plane());
    });
  }

  // ---- a block of tiles passes by all weights

  void run_tiles(const Run& run, const ConvolutionOperands& o, const Workspace& shared,
                 const float* weights) const {
    const int64_t total = o.source.shape[0] * tile_rows_;
    const int64_t least = ceil_div(kLeastTiles, tile_columns_);
    const int64_t rows = std::min(most_rows_, std::max(least, ceil_div(total, kItems)));
    const int64_t blocks = ceil_div(total, rows);
    const auto block = [&](int64_t b) { return Range{b * rows, std::min((b + 1) * rows, total)}; };
    run.parallel_for(blocks * groups_, [&](int64_t item, int thread) {
      const Scratch own = scratch(run.scratch<std::byte>(thread));
      const Job job{o,
                    block(item / groups_),
                    item % groups_,
                    own,
                    own.in,
                    block(std::min(item / groups_ + 1, blocks - 1))};
      transform_source(job, job.rows);
      multiply(job, {0, panels_}, {0, channels_}, weights + weights_at(job.group, 0), weight_plane());
      write_outputs(job, 0, columns_, shared.sums);
    });
  }

  // ---- a panel of weights meets a block of tiles

  /// Floats of a plane of the weights of some channels.
  int64_t chunk_plane() const {
    return std::min(kChannelsAtOnce, channels_) * std::min(kPanelsAtOnce * panel_, width_) + kLine;
  }

  void run_panels(const Run& run, const ConvolutionOperands& o, const Workspace& shared, Range rows) const {
    const auto job = [&](int64_t group, int thread) {
      float* in = shared.in + group * kWinogradPlanes * plane_in_;
      return Job{o, rows, group, scratch(run.scratch<std::byte>(thread)), in, {0, 0}};
    };
    run.parallel_for(groups_ * rows.size(), [&](int64_t item, int thread) {
      const int64_t row = rows.begin + item % rows.size();
      transform_source(job(item / rows.size(), thread), {row, row + 1});
    });
    const int64_t items = ceil_div(panels_, kPanelsAtOnce);
    run.parallel_for(groups_ * items, [&](int64_t item, int thread) {
      const Job j = job(item / items, thread);
      const int64_t first = item % items * kPanelsAtOnce;
      const Range panels{first, std::min(first + kPanelsAtOnce, panels_)};
      for (int64_t begin = 0; begin < channels_; begin += kChannelsAtOnce) {
        const int64_t end = std::min(begin + kChannelsAtOnce, channels_);
        for (int64_t panel = panels.begin; panel < panels.end; panel++)
          transform_weights(o, j.group, panel, begin, end, j.scratch.taps,
                            j.scratch.weights + (panel - first) * panel_ * (end - begin), chunk_plane());
        multiply(j, panels, {begin, end}, j.scratch.weights, chunk_plane());
      }
      const int64_t column = first * panel_;
      write_outputs(j, column, std::min(panels.size() * panel_, columns_ - column), shared.sums);
    });
  }

  // ---- the three stages

  /// Rows of tiles of a block, one image after the other.
  void transform_source(const Job& job, Range rows) const {
    for (int64_t begin = rows.begin, end = begin; begin < rows.end; begin = end) {
      const int64_t image = begin / tile_rows_, first = image * tile_rows_;
      end = std::min(rows.end, first + tile_rows_);
      input_.transform(job.operands.source, job.operands.prologue,
                       {job.group, image, {begin - first, end - first}, {0, kWinogradWindow}},
                       job.scratch.copy, job.in + (begin - job.rows.begin) * tile_columns_ * tile_in_,
                       tile_in_, plane_in_);
    }
  }

  /// Adds the products of some source channels and panels. Sums of the first panel begin the planes.
  void multiply(const Job& job, Range panels, Range channels, const float* weights,
                int64_t weight_stride) const {
    const int64_t tiles = job.rows.size() * tile_columns_;
    for (int64_t t = 0; t < tiles; t++) {
      job.scratch.tiles_in[t] = job.in + t * tile_in_;
      job.scratch.tiles_out[t] = job.scratch.out + t * tile_out_;
    }
    // What comes from memory later is fetched meanwhile: the next block's source, then this one's outputs;
    // where items share the tiles, which no second-level cache holds, those of the next plane.
    const Prefetch source =
        lines_of(job.operands.source, job.next, job.group * channels_, channels_, source_, -pad_.h);
    const Prefetch outputs =
        panels.size() < panels_
            ? Prefetch{}
            : lines_of(job.operands.destination, job.rows, job.group * columns_, columns_, destination_, 0);
    const int64_t steps = kWinogradPlanes / 2 * panels.size();
    const auto next_plane = [&](int64_t plane, int64_t panel) -> Prefetch {
      if (plane + 1 == kWinogradPlanes) return {};
      const int64_t lines = ceil_div(channels.size(), kLine);
      const Range part{cut(tiles, panels.size(), panel - panels.begin),
                       cut(tiles, panels.size(), panel - panels.begin + 1)};
      return {job.in + (plane + 1) * plane_in_ + part.begin * tile_in_ + channels.begin, part.size() * lines,
              lines, tile_in_};
    };
    constexpr int64_t kInPlace[] = {0};
    for (int64_t plane = 0; plane < kWinogradPlanes; plane++) {
      for (int64_t panel = panels.begin; panel < panels.end; panel++) {
        const int64_t columns = std::min<int64_t>(panel_, columns_ - panel * panel_);
        const int64_t at = (panel - panels.begin) * panel_,
                      size = channels.size() * round_up(columns, kernels_.lanes);
        const float* b = weights + plane * weight_stride + at * channels.size();
        const int64_t step = plane * panels.size() + panel - panels.begin;
        kernels_.gemm.block({
            .a = job.scratch.tiles_in,
            .a_offset = plane * plane_in_ + channels.begin,
            .c = job.scratch.tiles_out,
            .c_offset = plane * plane_out_ + at,
            .rows = tiles,
            .taps = kInPlace,
            .tap_count = 1,
            .k = channels.size(),
            .b = b,
            .columns = columns,
            .bias = nullptr,
            .accumulate = channels.begin > 0,
            .cached = true,
            .prefetch = {by_panel_      ? next_plane(plane, panel)
                         : step < steps ? share(source, steps, step)
                                        : share(outputs, steps, step - steps),
                         panel + 1 < panels.end ? Prefetch{b + size, size / kLine} : Prefetch{}},
        });
      }
    }
  }

  static Prefetch share(const Prefetch& all, int64_t parts, int64_t part) {
    const int64_t begin = cut(all.lines, parts, part);
    return {all.from + begin * kLine, cut(all.lines, parts, part + 1) - begin};
  }
  /// The pixels of `channels` that rows of tiles read or write, where all of a pixel are theirs.
  Prefetch lines_of(const Tensor& tensor, Range rows, int64_t channel, int64_t channels, Size size,
                    int64_t shift) const {
    if (tensor.stride != channels || channel > 0 || rows.size() == 0) return {};
    const auto pixel = [&](int64_t row) {
      const int64_t h = std::clamp<int64_t>(row % tile_rows_ * kWinogradTile + shift, 0, size.h);
      return (row / tile_rows_ * size.h + h) * size.w;
    };
    const int64_t first = pixel(rows.begin), last = pixel(rows.end - 1) + kWinogradTile * size.w;
    const int64_t all = tensor.shape[0] * size.h * size.w;
    return {tensor.f32() + first * channels, (std::min(last, all) - first) * channels / kLine};
  }

  /// Columns [column, column + columns) of the group.
  void write_outputs(const Job& job, int64_t column, int64_t columns, float* sums) const {
    const ConvolutionOperands& o = job.operands;
    const Epilogue& e = spec_.epilogue;
    const int64_t first = job.group * columns_ + column;
    for (int64_t r = job.rows.begin; r < job.rows.end; r++) {
      const int64_t row = r % tile_rows_ * kWinogradTile,
                    rows = std::min(kWinogradTile, destination_.h - row);
      const int64_t pixel = (r / tile_rows_ * destination_.h + row) * destination_.w;
      float* y = o.destination.f32() + pixel * o.destination.stride + first;
      kernels_.winograd.output[e.activation]({
          .from = job.scratch.out + (r - job.rows.begin) * tile_columns_ * tile_out_,
          .tile_stride = tile_out_,
          .plane_stride = plane_out_,
          .rows = rows,
          .columns = destination_.w,
          .channels = columns,
          .to = y,
          .row_stride = destination_.w * o.destination.stride,
          .pixel_stride = o.destination.stride,
          .bias = e.bias ? o.bias + first : nullptr,
          .residual = e.residual ? o.residual.f32() + pixel * o.residual.stride + first : nullptr,
          .residual_row = destination_.w * o.residual.stride,
          .residual_pixel = o.residual.stride,
      });
      if (!e.has_parts()) continue;
      const int64_t all = spec_.destination_channels();
      float* part = sums + r * 2 * all + first;
      measure_part(kernels_, e, o, pixel, rows * destination_.w, first, columns, part, part + all);
    }
  }

  void combine(const Run& run, const ConvolutionOperands& o, const float* sums) const {
    const int64_t channels = spec_.destination_channels();
    join_parts(run, spec_.epilogue, o, channels, [&](auto visit) {
      for (int64_t i = 0; i < o.source.shape[0] * tile_rows_; i++) {
        const int64_t row = i % tile_rows_ * kWinogradTile;
        visit(sums + i * 2 * channels, sums + (i * 2 + 1) * channels,
              std::min(kWinogradTile, destination_.h - row) * destination_.w);
      }
    });
  }

  const ConvolutionSpec spec_;
  const Kernels& kernels_;
  const int64_t groups_;
  /// Of the source and the destination, in a group.
  const int64_t channels_, columns_;
  const int64_t panel_, panels_;
  /// Packed columns of all panels of a group.
  const int64_t width_;
  const Size source_, destination_, pad_;
  const int64_t tile_rows_, tile_columns_;
  const bool by_panel_;
  const WinogradSource input_;
  /// Floats from a tile of a plane to the next.
  const int64_t tile_in_, tile_out_;
  /// Rows of tiles of a block.
  int64_t most_rows_;
  int64_t plane_in_, plane_out_;
};

}  // namespace

std::unique_ptr<Convolution> make_winograd_convolution(const ConvolutionSpec& spec) {
  return std::make_unique<WinogradConvolution>(spec);
}

}  // namespace dl
