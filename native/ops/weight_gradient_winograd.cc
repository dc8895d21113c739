// Winograd weight gradient (kernels/winograd/winograd.h): 3x3, stride 1.
//
// Tiles are cut into slabs, by shape; within a slab, the groups and some rows of the 6x6 places are work
// items of their own. An item walks over its slab: a block of tiles of x and dy is transformed, and for each
// place the outer products of the tiles are added to [ic][oc] sums. In the end the slabs are joined in their
// order and transformed into dw. Few slabs are made where the sums are large; then the places are shared out,
// and the output channels are taken some at a time: sums need four times the memory of dw.
#include <algorithm>

#include "base/checked.h"
#include "kernels/kernels.h"
#include "ops/convolution.h"
#include "ops/winograd_source.h"

namespace dl {
namespace {

/// Of the planes of a block.
constexpr int64_t kPlaneBytes = 768 << 10;
constexpr int64_t kLeastTiles = 24, kMostTiles = 192;
/// Of an item's sums, which are swept once a block.
constexpr int64_t kSumBytes = 1280 << 10;
constexpr int64_t kLeastItems = 6;
constexpr int64_t kMostSlabs = 8;
/// Of all slabs' sums together.
constexpr int64_t kSlabBytes = 8 << 20;
/// Of the sums of a round. Each transforms x again.
constexpr int64_t kRoundBytes = 10 << 20;

class WinogradWeightGradientOp final : public WeightGradient {
 public:
  explicit WinogradWeightGradientOp(const WeightGradientSpec& spec)
      : spec_(spec),
        kernels_(spec.kernels),
        groups_(spec.shape.attributes.groups),
        channels_(spec.shape.ic_per_group()),
        columns_(spec.shape.oc_per_group()),
        width_(round_width()),
        tile_rows_(ceil_div(spec.shape.oh, kWinogradTile)),
        tile_columns_(ceil_div(spec.shape.ow, kWinogradTile)),
        x_(kernels_, {spec.shape.ih, spec.shape.iw},
           {spec.shape.attributes.pad[0], spec.shape.attributes.pad[2]}, tile_columns_, channels_,
           spec.prologue),
        pixel_dy_(copied_stride(width_)),
        tile_x_(copied_stride(round_up(channels_, kernels_.lanes))),
        tile_dy_(copied_stride(round_up(width_, kernels_.lanes))),
        whole_(spec.shape.oh % kWinogradTile == 0 && spec.shape.ow % kWinogradTile == 0) {
    const int64_t all = groups_ * sum_bytes(columns_), tiles = tile_rows_ * tile_columns_;
    most_slabs_ = std::clamp<int64_t>(kSlabBytes / all, 1,
                                      std::min(kMostSlabs, ceil_div(spec.shape.n * tiles, kLeastTiles)));
    parts_ = kWinogradWindow;
    for (const int64_t parts : {3, 2, 1}) {
      if (sum_bytes(width_) / parts > kSumBytes || most_slabs_ * groups_ * parts < kLeastItems) break;
      parts_ = parts;
    }
    const int64_t tile_bytes = kWinogradPlanes / parts_ * (tile_x_ + tile_dy_) * int64_t{sizeof(float)};
    target_ = std::clamp(kPlaneBytes / tile_bytes, kLeastTiles, kMostTiles);
    largest_ = GridBlocks::largest(spec.shape.n, tile_rows_, tile_columns_, target_);
    plane_x_ = most_tiles() * tile_x_ + kLine;
    plane_dy_ = most_tiles() * tile_dy_ + kLine;
  }

  Needs needs() const override {
    return {.scratch = scratch(nullptr).bytes, .workspace = workspace(nullptr, slabs(spec_.shape.n)).bytes};
  }

  void run(const Run& run, const Tensor& x, const NormVectors& prologue, const Tensor& dy, float* dw,
           float* db) const override {
    const GridBlocks blocks = this->blocks(x.shape[0]);
    const int64_t slabs = this->slabs(x.shape[0]);
    const Workspace sums = workspace(run.workspace, slabs);
    for (int64_t column = 0; column < columns_; column += width_) {
      const Range columns{column, std::min(column + width_, columns_)};
      add(run, blocks, slabs, x, prologue, dy, columns, sums);
      join(run, slabs, sums.places, columns, dw);
    }
    if (spec_.bias) join_bias(sums.bias, slabs, spec_.shape.oc, db);
  }

 private:
  struct Workspace {
    float* places;
    double* bias;
    int64_t bytes;
  };
  struct Scratch {
    float* copy;
    float* x;
    float* dy;
    const float** tiles;
    int64_t bytes;
  };
  /// Places in rows [first, last) of some columns of one group of a slab.
  struct Job {
    const Tensor& x;
    const NormVectors& prologue;
    const Tensor& dy;
    float* sums;
    double* bias;
    Scratch scratch;
    int64_t group;
    Range columns;
    int64_t first, last;
  };

  GridBlocks blocks(int64_t n) const { return GridBlocks(n, tile_rows_, tile_columns_, target_); }
  /// No more for a smaller n.
  int64_t slabs(int64_t n) const { return std::min(most_slabs_, blocks(n).count()); }
  int64_t most_tiles() const { return largest_.images * largest_.rows * tile_columns_; }
  /// Of a group's sums of so many columns.
  int64_t sum_bytes(int64_t columns) const {
    return kWinogradPlanes * channels_ * columns * int64_t{sizeof(float)};
  }
  /// Columns whose sums are made at a time: whole panels, or all.
  int64_t round_width() const {
    const int64_t rounds = ceil_div(checked_mul(sum_bytes(1), columns_), kRoundBytes);
    if (groups_ > 1 || rounds == 1) return columns_;
    return std::min(columns_, round_up(ceil_div(columns_, rounds), kernels_.gemm.panel));
  }
  /// Floats from the sums of an input channel to the next, and of a place to the next: those begin in
  /// different sets.
  int64_t row() const { return groups_ * width_; }
  int64_t plane() const { return round_up(channels_ * row(), kLine) + kLine; }

  Scratch scratch(std::byte* base) const {
    Carve carve(base);
    Scratch s;
    const int64_t copy_dy =
        whole_ ? 0 : largest_.rows * kWinogradTile * tile_columns_ * kWinogradTile * pixel_dy_;
    s.copy = carve.take<float>(std::max(x_.copy_floats(largest_.rows), copy_dy));
    s.x = carve.take<float>(kWinogradPlanes / parts_ * plane_x_);
    s.dy = carve.take<float>(kWinogradPlanes / parts_ * plane_dy_);
    s.tiles = carve.take<const float*>(most_tiles());
    s.bytes = carve.used();
    return s;
  }
  Workspace workspace(std::byte* base, int64_t slabs) const {
    Carve carve(base);
    Workspace w;
    w.places = carve.take<float>(slabs * kWinogradPlanes * plane());
    w.bias = carve.take<double>(spec_.bias ? slabs * spec_.shape.oc : 0);
    w.bytes = carve.used();
    return w;
  }

  /// The sums of each slab.
  void add(const Run& run, const GridBlocks& blocks, int64_t slabs, const Tensor& x,
           const NormVectors& prologue, const Tensor& dy, Range columns, const Workspace& sums) const {
    run.parallel_for(slabs * groups_ * parts_, [&](int64_t item, int thread) {
      const int64_t part = item % parts_, group = item / parts_ % groups_, slab = item / parts_ / groups_;
      const int64_t first = slab * spec_.shape.oc + group * columns_ + columns.begin;
      Job job{x,
              prologue,
              dy,
              sums.places + slab * kWinogradPlanes * plane() + group * width_,
              spec_.bias && part == 0 ? sums.bias + first : nullptr,
              scratch(run.scratch<std::byte>(thread)),
              group,
              columns,
              cut(kWinogradWindow, parts_, part),
              cut(kWinogradWindow, parts_, part + 1)};
      const int64_t begin = cut(blocks.count(), slabs, slab), end = cut(blocks.count(), slabs, slab + 1);
      if (job.bias) std::fill_n(job.bias, columns.size(), 0.0);
      for (int64_t b = begin; b < end; b++) add_block(job, blocks.at(b), b > begin);
    });
  }

  void join(const Run& run, int64_t slabs, const float* places, Range columns, float* dw) const {
    constexpr int64_t kGrain = 2048;
    const int64_t oc = spec_.shape.oc, count = groups_ * columns.size();
    run.parallel_blocks(channels_, ceil_div(kGrain, count), [&](int64_t begin, int64_t end, int) {
      for (int64_t channel = begin; channel < end; channel++) {
        kernels_.winograd.weight_gradient({
            .from = places + channel * row(),
            .plane_stride = plane(),
            .slabs = slabs,
            .slab_stride = kWinogradPlanes * plane(),
            .count = count,
            .to = dw + channel * oc + columns.begin,
            .tap_stride = channels_ * oc,
        });
      }
    });
  }

  void add_block(const Job& job, const GridBlock& block, bool accumulate) const {
    const int64_t images = block.image_end - block.image_begin, rows = block.row_end - block.row_begin;
    for (int64_t i = 0; i < images; i++) {
      const WinogradSource::Part part{
          job.group, block.image_begin + i, {block.row_begin, block.row_end}, {job.first, job.last}};
      x_.transform(job.x, job.prologue, part, job.scratch.copy,
                   job.scratch.x + i * rows * tile_columns_ * tile_x_, tile_x_, plane_x_);
      transform_dy(job, block, i);
    }
    const int64_t tiles = images * rows * tile_columns_, columns = job.columns.size();
    for (int64_t t = 0; t < tiles; t++) job.scratch.tiles[t] = job.scratch.x + t * tile_x_;
    const int64_t panel = kernels_.gemm.panel;
    for (int64_t place = 0; place < (job.last - job.first) * kWinogradWindow; place++) {
      float* sums = job.sums + (job.first * kWinogradWindow + place) * plane();
      for (int64_t column = 0; column < columns; column += panel) {
        kernels_.gemm.outer({
            .a = job.scratch.tiles,
            .offset = place * plane_x_,
            .m = channels_,
            .b = job.scratch.dy + place * plane_dy_ + column,
            .b_stride = tile_dy_,
            .rows = tiles,
            .c = sums + column,
            .c_stride = row(),
            .columns = std::min<int64_t>(panel, columns - column),
            .accumulate = accumulate,
        });
      }
    }
  }

  /// In place where all tiles are whole, else from a padded copy.
  void transform_dy(const Job& job, const GridBlock& block, int64_t image) const {
    const Conv2dShape& s = spec_.shape;
    const int64_t rows = block.row_end - block.row_begin, top = block.row_begin * kWinogradTile;
    const int64_t columns = job.columns.size();
    const float* from = job.dy.f32() + (block.image_begin + image) * s.oh * s.ow * job.dy.stride +
                        job.group * columns_ + job.columns.begin;
    const int64_t below = std::min(rows * kWinogradTile, s.oh - top);
    if (job.bias) {
      kernels_.conv.add_sums(from + top * s.ow * job.dy.stride, job.dy.stride, below * s.ow, columns,
                             job.bias);
    }
    int64_t pixel = job.dy.stride, row = s.ow * pixel;
    if (whole_) {
      from += top * row;
    } else {
      kernels_.conv.copy({
          .from = from,
          .from_stride = pixel,
          .height = s.oh,
          .width = s.ow,
          .top = top,
          .left = 0,
          .channels = columns,
          .to = job.scratch.copy,
          .to_stride = pixel_dy_,
          .rows = rows * kWinogradTile,
          .columns = tile_columns_ * kWinogradTile,
      });
      from = job.scratch.copy;
      pixel = pixel_dy_;
      row = tile_columns_ * kWinogradTile * pixel;
    }
    for (int64_t r = 0; r < rows; r++) {
      kernels_.winograd.output_gradient({
          .from = from + r * kWinogradTile * row,
          .row_stride = row,
          .pixel_stride = pixel,
          .tiles = tile_columns_,
          .channels = columns,
          .to = job.scratch.dy + (image * rows + r) * tile_columns_ * tile_dy_,
          .tile_stride = tile_dy_,
          .plane_stride = plane_dy_,
          .first = job.first,
          .last = job.last,
      });
    }
  }

  const WeightGradientSpec spec_;
  const Kernels& kernels_;
  const int64_t groups_;
  /// Of x and dy, in a group.
  const int64_t channels_, columns_;
  /// Of a round.
  const int64_t width_;
  const int64_t tile_rows_, tile_columns_;
  const WinogradSource x_;
  /// Floats from a pixel of dy's copy to the next, and from a tile of a plane to the next.
  const int64_t pixel_dy_, tile_x_, tile_dy_;
  /// No tile hangs over the edge.
  const bool whole_;
  int64_t most_slabs_ = 1, parts_ = 1;
  /// Tiles of a block, and the largest one over all n.
  int64_t target_;
  GridBlocks::Extent largest_;
  int64_t plane_x_, plane_dy_;
};

}  // namespace

std::unique_ptr<WeightGradient> make_winograd_weight_gradient(const WeightGradientSpec& spec) {
  return std::make_unique<WinogradWeightGradientOp>(spec);
}

}  // namespace dl
