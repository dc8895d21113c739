// Winograd convolution (kernels/winograd/winograd.h): 3x3, stride 1, forward and as input gradient, which is
// the convolution of dy with the turned weights.
//
// A block of tiles of the source is copied with its padding into a strip and transformed; each of the 36
// planes is multiplied with that of the weights; the products are transformed into outputs. In which order
// depends on what is larger:
//   few weights    They are transformed ahead. An item is a block of tiles that passes by all of them, in the
//                  second-level cache.
//   many weights   An item is a panel of output channels: its weights are transformed where they are used,
//                  for a block of many tiles that all items share.
#include <algorithm>

#include "kernels/kernels.h"
#include "ops/convolution.h"

namespace dl {
namespace {

/// Of all transformed weights: above it they would come from memory for every block.
constexpr int64_t kWeightBytes = 4 << 20;
/// Of the planes of a block, before and behind the products.
constexpr int64_t kPlaneBytes = 768 << 10;
/// Fewer tiles use the weights, which are read again for each block, too little.
constexpr int64_t kLeastTiles = 24, kMostTiles = 96;
/// The same where panels are the items: the planes of one stay in the second-level cache.
constexpr int64_t kSharedTiles = 256;
/// Source channels whose weights are multiplied at a time there.
constexpr int64_t kChannelsAtOnce = 128;
/// Source channels whose weights are transformed at a time.
constexpr int64_t kChannelsPacked = 16;
/// Work items that a convolution should have.
constexpr int64_t kItems = 16;
constexpr int64_t kTaps = 9;
constexpr int64_t kLine = 16;

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
        pixel_(apart(channels_)),
        tile_in_(apart(round_up(channels_, kernels_.lanes))),
        tile_out_(by_panel_ ? panel_ : apart(width_)) {
    const int64_t tile_bytes = kWinogradPlanes * (tile_in_ + tile_out_) * int64_t{sizeof(float)};
    target_ = by_panel_ ? kSharedTiles : std::clamp(kPlaneBytes / tile_bytes, kLeastTiles, kMostTiles);
    const int64_t tiles = tile_rows_ * tile_columns_;
    most_images_ = std::clamp<int64_t>(target_ / tiles, 1, spec.shape.n);
    most_rows_ = tiles <= target_ ? tile_rows_ : GridBlocks(1, tile_rows_, tile_columns_, target_).max_rows();
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
      const GridBlocks blocks(n, tile_rows_, tile_columns_, target_);
      for (int64_t b = 0; b < blocks.count(); b++) run_panels(run, o, shared, blocks.at(b));
    } else {
      float* weights = reinterpret_cast<float*>(run.derived);
      if (!run.derived_fresh) transform_all_weights(run, o, weights);
      run_tiles(run, o, shared, weights);
    }
    if (spec_.epilogue.moments) combine(run, o, shared.sums);
  }

 private:
  struct Size {
    int64_t h, w;
  };
  struct Workspace {
    /// For each row of tiles mean[oc] and m2[oc].
    float* sums;
    /// By panel: the transformed tiles that all items share.
    float* in;
    int64_t bytes;
  };
  struct Scratch {
    float* strip;
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
  /// A block of tiles of one group, in planes before and behind the products.
  struct Job {
    const ConvolutionOperands& operands;
    GridBlock block;
    int64_t group;
    Scratch scratch;
    float* in;

    int64_t images() const { return block.image_end - block.image_begin; }
    int64_t rows() const { return block.row_end - block.row_begin; }
  };

  /// Pixels a multiple of 512 bytes apart would meet in few sets of the first-level cache.
  static int64_t apart(int64_t channels) { return channels + (channels % 128 == 0 ? kLine : 0); }
  int64_t most_tiles() const { return most_images_ * most_rows_ * tile_columns_; }
  static int64_t window_rows(int64_t tile_rows) { return tile_rows * kWinogradTile + 2; }
  int64_t window_columns() const { return tile_columns_ * kWinogradTile + 2; }

  Scratch scratch(std::byte* base) const {
    Carve carve(base);
    Scratch s;
    s.strip = carve.take<float>(window_rows(by_panel_ ? 1 : most_rows_) * window_columns() * pixel_);
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
    w.sums = carve.take<float>(spec_.epilogue.moments ? spec_.shape.n * tile_rows_ * 2 * spec_.shape.oc : 0);
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
    const int64_t n = o.source.shape[0];
    const int64_t share = std::max(kLeastTiles, n * tile_rows_ * tile_columns_ / kItems);
    const GridBlocks blocks(n, tile_rows_, tile_columns_, std::min(target_, share));
    run.parallel_for(blocks.count() * groups_, [&](int64_t item, int thread) {
      const Scratch own = scratch(run.scratch<std::byte>(thread));
      const Job job{o, blocks.at(item / groups_), item % groups_, own, own.in};
      for (int64_t i = 0; i < job.images(); i++) transform_source(job, i, 0, job.rows());
      const int64_t tiles = address(job);
      for (int64_t panel = 0; panel < panels_; panel++) {
        multiply(job, tiles, panel, panel * panel_, 0, channels_, weights + weights_at(job.group, panel),
                 weight_plane());
      }
      for (int64_t i = 0; i < job.images(); i++)
        for (int64_t row = 0; row < job.rows(); row++) write_outputs(job, i, row, 0, columns_, shared.sums);
    });
  }

  // ---- a panel of weights meets a block of tiles

  /// Floats of a plane of the weights of some channels.
  int64_t chunk_plane() const { return std::min(kChannelsAtOnce, channels_) * panel_ + kLine; }

  void run_panels(const Run& run, const ConvolutionOperands& o, const Workspace& shared,
                  const GridBlock& block) const {
    const auto job = [&](int64_t group, int thread) {
      return Job{o, block, group, scratch(run.scratch<std::byte>(thread)),
                 shared.in + group * kWinogradPlanes * plane_in_};
    };
    const int64_t rows = block.row_end - block.row_begin, images = block.image_end - block.image_begin;
    run.parallel_for(groups_ * images * rows, [&](int64_t item, int thread) {
      transform_source(job(item / (images * rows), thread), item / rows % images, item % rows,
                       item % rows + 1);
    });
    run.parallel_for(groups_ * panels_, [&](int64_t item, int thread) {
      const Job j = job(item / panels_, thread);
      const int64_t panel = item % panels_, tiles = address(j);
      for (int64_t begin = 0; begin < channels_; begin += kChannelsAtOnce) {
        const int64_t end = std::min(begin + kChannelsAtOnce, channels_);
        transform_weights(o, j.group, panel, begin, end, j.scratch.taps, j.scratch.weights, chunk_plane());
        multiply(j, tiles, panel, 0, begin, end, j.scratch.weights, chunk_plane());
      }
      const int64_t column = panel * panel_, columns = std::min<int64_t>(panel_, columns_ - column);
      for (int64_t i = 0; i < images; i++)
        for (int64_t row = 0; row < rows; row++) write_outputs(j, i, row, column, columns, shared.sums);
    });
  }

  // ---- the three stages

  /// Tiles of rows [first, last) of the block in one image, by way of a strip.
  void transform_source(const Job& job, int64_t image, int64_t first, int64_t last) const {
    const Tensor& source = job.operands.source;
    const int64_t columns = window_columns();
    kernels_.conv.strip({
        .from = source.f32() + (job.block.image_begin + image) * source_.h * source_.w * source.stride +
                job.group * channels_,
        .from_stride = source.stride,
        .height = source_.h,
        .width = source_.w,
        .top = (job.block.row_begin + first) * kWinogradTile - pad_.h,
        .left = -pad_.w,
        .channels = channels_,
        .to = job.scratch.strip,
        .to_stride = pixel_,
        .rows = window_rows(last - first),
        .columns = columns,
    });
    for (int64_t row = first; row < last; row++) {
      kernels_.winograd.input({
          .from = job.scratch.strip + (row - first) * kWinogradTile * columns * pixel_,
          .row_stride = columns * pixel_,
          .pixel_stride = pixel_,
          .tiles = tile_columns_,
          .channels = channels_,
          .to = job.in + (image * job.rows() + row) * tile_columns_ * tile_in_,
          .tile_stride = tile_in_,
          .plane_stride = plane_in_,
          .first = 0,
          .last = kWinogradWindow,
      });
    }
  }

  /// @returns the number of tiles
  int64_t address(const Job& job) const {
    const int64_t tiles = job.images() * job.rows() * tile_columns_;
    for (int64_t t = 0; t < tiles; t++) {
      job.scratch.tiles_in[t] = job.in + t * tile_in_;
      job.scratch.tiles_out[t] = job.scratch.out + t * tile_out_;
    }
    return tiles;
  }

  /// Adds the products of source channels [begin, end) and one panel, whose sums go to columns from `to`.
  void multiply(const Job& job, int64_t tiles, int64_t panel, int64_t to, int64_t begin, int64_t end,
                const float* weights, int64_t weight_stride) const {
    constexpr int64_t kInPlace[] = {0};
    for (int64_t plane = 0; plane < kWinogradPlanes; plane++) {
      kernels_.gemm.block({
          .a = job.scratch.tiles_in,
          .a_offset = plane * plane_in_ + begin,
          .c = job.scratch.tiles_out,
          .c_offset = plane * plane_out_ + to,
          .rows = tiles,
          .taps = kInPlace,
          .tap_count = 1,
          .k = end - begin,
          .b = weights + plane * weight_stride,
          .columns = std::min<int64_t>(panel_, columns_ - panel * panel_),
          .bias = nullptr,
          .accumulate = begin > 0,
      });
    }
  }

  /// One row of tiles of the block's image, columns [column, column + columns) of the group.
  void write_outputs(const Job& job, int64_t i, int64_t r, int64_t column, int64_t columns,
                     float* sums) const {
    const ConvolutionOperands& o = job.operands;
    const Epilogue& e = spec_.epilogue;
    const int64_t first = job.group * columns_ + column;
    const int64_t image = job.block.image_begin + i, tile_row = job.block.row_begin + r;
    const int64_t row = tile_row * kWinogradTile, rows = std::min(kWinogradTile, destination_.h - row);
    const int64_t pixel = (image * destination_.h + row) * destination_.w;
    float* y = o.destination.f32() + pixel * o.destination.stride + first;
    kernels_.winograd.output[e.activation]({
        .from = job.scratch.out + (i * job.rows() + r) * tile_columns_ * tile_out_,
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
    if (!e.moments) return;
    float* mean = sums + (image * tile_rows_ + tile_row) * 2 * spec_.shape.oc + first;
    kernels_.conv.moments(y, o.destination.stride, rows * destination_.w, columns, mean,
                          mean + spec_.shape.oc);
  }

  void combine(const Run& run, const ConvolutionOperands& o, const float* sums) const {
    const int64_t oc = spec_.shape.oc;
    join_moments(run, o, oc, [&](auto visit) {
      for (int64_t i = 0; i < o.source.shape[0] * tile_rows_; i++) {
        const int64_t row = i % tile_rows_ * kWinogradTile;
        visit(sums + i * 2 * oc, sums + (i * 2 + 1) * oc,
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
  /// Floats from a pixel of the strip to the next, and from a tile of a plane to the next.
  const int64_t pixel_, tile_in_, tile_out_;
  int64_t target_, most_images_, most_rows_;
  int64_t plane_in_, plane_out_;
};

}  // namespace

std::unique_ptr<Convolution> make_winograd_convolution(const ConvolutionSpec& spec) {
  return std::make_unique<WinogradConvolution>(spec);
}

}  // namespace dl
