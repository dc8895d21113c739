// Direct weight gradient:
//   dw[tap][ic][oc] = Σ_pixels x[pixel + tap][ic] · dy[pixel][oc]     db[oc] = Σ_pixels dy[pixel][oc]
//
// Pixels are cut into slabs, by shape; within a slab, parts of dw (a group, a slice of input channels, some
// panels of output channels) are work items of their own. An item walks over its slab: a block of x with its
// padding is copied, a few pixels of a panel of dy are packed, and small tiles of dw are summed in registers
// over those pixels. The sums of the slabs are added in their order. Few slabs are made where dw is large.
#include <algorithm>

#include "kernels/kernels.h"
#include "ops/convolution.h"

namespace dl {
namespace {

/// Of the copy of x, in the second-level cache.
constexpr int64_t kCopyBytes = 256 << 10;
/// Input channels of a slice: the part of dw that one panel sweeps stays in the second-level cache.
constexpr int64_t kSliceChannels = 128;
/// The same of 1x1 kernels, whose dw is small: dy is packed less often.
constexpr int64_t kPointwiseSlice = 256;
constexpr int64_t kMostPixels = 512;
/// Pixels that a tile of dw is summed over at a time: their panel of dy and their piece of x stay in the
/// first-level cache, and the tile is loaded and stored once in as many multiply-adds.
constexpr int64_t kPixelsSummed = 160;
/// Panels of dy that are packed in one pass.
constexpr int64_t kPanelsPacked = 8;
constexpr int64_t kMostSlabs = 16;
/// Of all slabs' sums together.
constexpr int64_t kSlabBytes = 8 << 20;

bool is_pointwise(const Conv2dShape& shape) {
  return shape.kh * shape.kw == 1;
}

class DirectWeightGradient final : public WeightGradient {
 public:
  explicit DirectWeightGradient(const WeightGradientSpec& spec)
      : spec_(spec),
        kernels_(spec.kernels),
        sliding_(sliding_forward(spec.shape)),
        groups_(spec.shape.attributes.groups),
        channels_(spec.shape.ic_per_group()),
        columns_(spec.shape.oc_per_group()),
        panel_(kernels_.gemm.panel),
        panels_(ceil_div(columns_, panel_)),
        slices_(ceil_div(channels_, is_pointwise(spec.shape) ? kPointwiseSlice : kSliceChannels)),
        // Copied even without padding: read in place, x misses the cache once a tile (dense layers of 1024:
        // 50 to 64 %).
        window_(sliding_, spec.x_stride, ceil_div(channels_, slices_), true, spec.prologue),
        pieces_(window_.pieces(sliding_.phases[0], slices_ == 1 ? channels_ : -1)),
        streams_(is_pointwise(spec.shape) && sliding_.step[0] * sliding_.step[1] == 1) {
    const int64_t pixel_bytes = ceil_div(channels_, slices_) * 4 * sliding_.step[0] * sliding_.step[1];
    most_pixels_ = std::clamp<int64_t>(kCopyBytes / pixel_bytes, kPixelsSummed, kMostPixels);
    largest_ = GridBlocks::largest(spec.shape.n, sliding_.rows, sliding_.columns, most_pixels_);
  }

  Needs needs() const override {
    Needs needs;
    needs.scratch = scratch(nullptr).bytes;
    needs.workspace = workspace(nullptr, planned_slabs()).bytes;
    return needs;
  }

  void run(const Run& run, const Tensor& x, const NormVectors& prologue, const Tensor& dy, float* dw,
           float* db) const override {
    const int64_t n = x.shape[0], weights = spec_.shape.weights(), oc = spec_.shape.oc;
    const GridBlocks blocks = this->blocks(n);
    const int64_t slabs = std::min(most_slabs(), blocks.count());
    const int64_t outer = groups_ * slices_;
    const int64_t splits = std::clamp<int64_t>(ceil_div(kItems, slabs * outer), 1, panels_);
    const Workspace sums = workspace(run.workspace, slabs);
    run.parallel_for(slabs * outer * splits, [&](int64_t item, int thread) {
      const int64_t split = item % splits, part = item / splits % outer, slab = item / splits / outer;
      Job job{x,
              prologue,
              dy,
              slabs > 1 ? sums.weights + slab * weights : dw,
              spec_.bias ? sums.bias + slab * oc : nullptr,
              scratch(run.scratch<std::byte>(thread)),
              part / slices_,
              part % slices_,
              cut(panels_, splits, split),
              cut(panels_, splits, split + 1)};
      const int64_t begin = cut(blocks.count(), slabs, slab), end = cut(blocks.count(), slabs, slab + 1);
      if (job.bias && job.slice == 0) clear_bias(job);
      for (int64_t b = begin; b < end; b++) add_block(job, blocks.at(b), b > begin);
    });
    if (slabs > 1) {
      constexpr int64_t kGrain = 16384;
      run.parallel_blocks(weights, kGrain, [&](int64_t begin, int64_t end, int) {
        kernels_.conv.add_parts(sums.weights + begin, weights, slabs, end - begin, dw + begin);
      });
    }
    if (spec_.bias) join_bias(sums.bias, slabs, oc, db);
  }

 private:
  struct Workspace {
    float* weights;
    double* bias;
    int64_t bytes;
  };
  struct Scratch {
    const float** pixels;
    float* copy;
    float* panels;
    int64_t bytes;
  };
  /// Part of a slab: panels [first, last) of one group and slice.
  struct Job {
    const Tensor& x;
    const NormVectors& prologue;
    const Tensor& dy;
    float* weights;
    double* bias;
    Scratch scratch;
    int64_t group, slice;
    int64_t first, last;
  };

  Scratch scratch(std::byte* base) const {
    Carve carve(base);
    Scratch s;
    s.pixels = carve.take<const float*>(largest_.images * largest_.rows * sliding_.columns);
    s.copy = carve.take<float>(window_.copy_floats(largest_));
    s.panels = carve.take<float>(std::min(kPanelsPacked, panels_) * kPixelsSummed * panel_);
    s.bytes = carve.used();
    return s;
  }
  Workspace workspace(std::byte* base, int64_t slabs) const {
    Carve carve(base);
    Workspace w;
    w.weights = carve.take<float>(slabs > 1 ? slabs * spec_.shape.weights() : 0);
    w.bias = carve.take<double>(spec_.bias ? slabs * spec_.shape.oc : 0);
    w.bytes = carve.used();
    return w;
  }

  GridBlocks blocks(int64_t n) const {
    const int64_t share = std::max(kPixelsSummed, n * sliding_.grid_pixels() / kItems);
    return GridBlocks(n, sliding_.rows, sliding_.columns, std::min(most_pixels_, share));
  }
  int64_t most_slabs() const {
    return std::clamp<int64_t>(kSlabBytes / (spec_.shape.weights() * 4), 1, kMostSlabs);
  }

  /// As many as any n up to the planned one makes.
  int64_t planned_slabs() const {
    int64_t most = 0;
    for (int64_t n = 1; n <= spec_.shape.n && most < most_slabs(); n++)
      most = std::max(most, blocks(n).count());
    return std::min(most, most_slabs());
  }

  void clear_bias(const Job& job) const {
    const int64_t begin = job.first * panel_, end = std::min(job.last * panel_, columns_);
    std::fill_n(job.bias + job.group * columns_ + begin, end - begin, 0.0);
  }

  void add_block(const Job& job, const GridBlock& block, bool accumulate) const {
    const int64_t begin = cut(channels_, slices_, job.slice);
    const int64_t channels = cut(channels_, slices_, job.slice + 1) - begin;
    const int64_t channel = job.group * channels_ + begin;
    window_.fill(kernels_, job.x.f32(), job.prologue, block, channel, channels, job.scratch.copy);
    const int64_t pixels = window_.address(job.x.f32(), block, sliding_.phases[0], channel, job.scratch.copy,
                                           job.scratch.pixels);
    const int64_t first = (block.image_begin * sliding_.rows + block.row_begin) * sliding_.columns;
    const int64_t parts = ceil_div(pixels, kPixelsSummed);
    for (int64_t i = 0; i < parts; i++) {
      const int64_t from = cut(pixels, parts, i), to = cut(pixels, parts, i + 1);
      for (int64_t panel = job.first; panel < job.last; panel += kPanelsPacked) {
        const int64_t last = std::min(job.last, panel + kPanelsPacked);
        pack(job, panel, last, first + from, to - from);
        for (int64_t p = panel; p < last; p++) {
          // Fetched meanwhile: the panels of dy that are packed next, and x of the next block.
          const Share share{p - panel, last - panel}, of_all{p - job.first, job.last - job.first};
          const Prefetch dy = last < job.last
                                  ? prefetch_columns(job, last, first + from, to - from, share)
                                  : prefetch_columns(job, job.first, first + to, to - from, share);
          const Prefetch x = prefetch(job.x, channel, channels, first + pixels + from, to - from, of_all);
          add_panel(job, p, job.scratch.panels + (p - panel) * kPixelsSummed * panel_, begin, channels, from,
                    to, accumulate || i > 0, {x, dy});
        }
      }
    }
  }

  /// Packs panels [begin, end) of dy for `count` pixels, each kPixelsSummed · panel_ floats from the next,
  /// and adds them to the bias sums. A few rows at a time: dy comes from memory, and is read there in order.
  void pack(const Job& job, int64_t begin, int64_t end, int64_t pixel, int64_t count) const {
    constexpr int64_t kRows = 16;
    const float* dy = job.dy.f32() + pixel * job.dy.stride + job.group * columns_;
    for (int64_t row = 0; row < count; row += kRows) {
      const int64_t rows = std::min(kRows, count - row);
      for (int64_t panel = begin; panel < end; panel++) {
        const int64_t column = panel * panel_, columns = std::min<int64_t>(panel_, columns_ - column);
        kernels_.gemm.pack(dy + row * job.dy.stride + column, job.dy.stride, 1, rows, columns,
                           job.scratch.panels + (panel - begin) * kPixelsSummed * panel_ +
                               row * round_up(columns, kernels_.lanes));
      }
    }
    if (!job.bias || job.slice > 0) return;
    const int64_t column = begin * panel_, columns = std::min(end * panel_, columns_) - column;
    kernels_.conv.add_sums(dy + column, job.dy.stride, count, columns,
                           job.bias + job.group * columns_ + column);
  }

  /// One of so many equal shares.
  struct Share {
    int64_t index, count;
  };
  /// A share of some channels of the `count` pixels from `first`, to be fetched: only where all of them are
  /// read from memory for little work.
  Prefetch prefetch(const Tensor& t, int64_t channel, int64_t channels, int64_t first, int64_t count,
                    Share share) const {
    if (!streams_) return {};
    const int64_t left = t.shape[0] * sliding_.grid_pixels() - first;
    const int64_t pixels = std::clamp<int64_t>(left, 0, count);
    const int64_t begin = cut(pixels, share.count, share.index),
                  end = cut(pixels, share.count, share.index + 1);
    const int64_t run = ceil_div(channels, kLine);
    return {t.f32() + (first + begin) * t.stride + channel, (end - begin) * run, run, t.stride};
  }
  /// The panels of dy from `panel` on that are packed in one pass.
  Prefetch prefetch_columns(const Job& job, int64_t panel, int64_t first, int64_t count, Share share) const {
    const int64_t last = std::min(job.last, panel + kPanelsPacked);
    const int64_t begin = panel * panel_, end = std::min(last * panel_, columns_);
    return prefetch(job.dy, job.group * columns_ + begin, end - begin, first, count, share);
  }

  /// Adds the products of pixels [from, to) of the block and one packed panel to dw.
  void add_panel(const Job& job, int64_t panel, const float* packed, int64_t begin, int64_t channels,
                 int64_t from, int64_t to, bool accumulate, const Prefetch (&next)[2]) const {
    const int64_t column = panel * panel_, columns = std::min<int64_t>(panel_, columns_ - column);
    const int64_t oc = spec_.shape.oc;
    for (size_t t = 0; t < pieces_.offsets.size(); t++) {
      kernels_.gemm.outer({
          .a = job.scratch.pixels + from,
          .offset = pieces_.offsets[t],
          .m = channels * pieces_.taps_per_piece,
          .b = packed,
          .b_stride = round_up(columns, kernels_.lanes),
          .rows = to - from,
          .c = job.weights + (pieces_.weights[t] * channels_ + begin) * oc + job.group * columns_ + column,
          .c_stride = oc,
          .columns = columns,
          .accumulate = accumulate,
          .prefetch = {next[0], next[1]},
      });
    }
  }

  const WeightGradientSpec spec_;
  const Kernels& kernels_;
  const Sliding sliding_;
  const int64_t groups_;
  /// Of x and dy, in a group.
  const int64_t channels_, columns_;
  const int64_t panel_, panels_;
  const int64_t slices_;
  const Window window_;
  const Window::Pieces pieces_;
  /// Whether x and dy come from memory for one product each.
  const bool streams_;
  /// Of a block, over all n.
  int64_t most_pixels_;
  GridBlocks::Extent largest_;
};

}  // namespace

std::unique_ptr<WeightGradient> make_direct_weight_gradient(const WeightGradientSpec& spec) {
  return std::make_unique<DirectWeightGradient>(spec);
}

}  // namespace dl
