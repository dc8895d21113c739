// The geometry that the forward convolution and both gradients share: which source pixels meet under which
// kernel elements, and how the outputs are cut into blocks. All of it follows from shapes alone.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "base/carve.h"
#include "kernels/norm/norm.h"
#include "plan/op.h"

namespace dl {

/// Attributes of every convolution op. pad = top, bottom, left, right; the others are [h, w].
struct Conv2dAttributes {
  std::array<int64_t, 2> stride{1, 1};
  std::array<int64_t, 4> pad{};
  std::array<int64_t, 2> dilation{1, 1};
  int64_t groups = 1;
  /// Products are summed as they are, without Winograd's transforms.
  bool exact = false;

  template <class V>
  void visit(V&& v) {
    v("stride", stride);
    v("pad", pad);
    v("dilation", dilation);
    v("groups", groups);
    v("exact", exact);
  }
};

/// x [n, ih, iw, ic], w [kh, kw, ic / groups, oc], y [n, oh, ow, oc].
struct Conv2dShape {
  Conv2dAttributes attributes;
  int64_t n, ih, iw, ic, oh, ow, oc, kh, kw;

  int64_t ic_per_group() const { return ic / attributes.groups; }
  int64_t oc_per_group() const { return oc / attributes.groups; }
  int64_t weights() const { return kh * kw * ic_per_group() * oc; }
};

/// Checks the three against each other. Throws E_PLAN.
Conv2dShape conv2d_shape(const Conv2dAttributes& attributes, const TensorSpec& x, const TensorSpec& w,
                         const TensorSpec& y);

/// One kernel element as seen from a grid point: the source pixel at (dh, dw) from it, and its weights.
struct Tap {
  int64_t dh, dw;
  /// kh_index · kw + kw_index
  int64_t weight;
};

/// Destination pixels that meet the same taps: (origin + q·spread) for q in [0, rows) x [0, columns).
struct Phase {
  int64_t origin_h, origin_w;
  int64_t rows, columns;
  /// In the order of source memory.
  std::vector<Tap> taps;
};

/// A sum over taps slid over a source image:
///   destination[origin + q·spread] = Σ_taps source[q·step + (dh, dw)] · w[tap]
/// Forward: one phase, source x, step = stride. Input gradient: source dy, step 1, spread = stride, one phase
/// for each position modulo the stride, each with the taps that reach it: no inserted zeros are multiplied.
struct Sliding {
  int64_t source_h, source_w;
  int64_t destination_h, destination_w;
  std::array<int64_t, 2> step;
  std::array<int64_t, 2> spread;
  std::vector<Phase> phases;
  /// Of the grid that covers all phases.
  int64_t rows = 0, columns = 0;
  /// Of dh and dw over all phases.
  int64_t dh_min = 0, dh_max = 0, dw_min = 0, dw_max = 0;

  int64_t grid_pixels() const { return rows * columns; }
  /// Source rows under so many rows of the grid.
  int64_t window_rows(int64_t grid_rows) const { return (grid_rows - 1) * step[0] + dh_max - dh_min + 1; }
  /// Whether some tap of some grid point lies outside the source.
  bool padded() const;
};

Sliding sliding_forward(const Conv2dShape& shape);
Sliding sliding_backward(const Conv2dShape& shape);

/// Some whole images, or some rows of one.
struct GridBlock {
  int64_t image_begin, image_end;
  int64_t row_begin, row_end;
};

/// Cuts n images of rows x columns grid points into blocks of about `target` points: at most that, plus part
/// of a row. Balanced, so that threads get equal shares.
class GridBlocks {
 public:
  GridBlocks(int64_t n, int64_t rows, int64_t columns, int64_t target);

  int64_t count() const { return image_blocks_ * row_blocks_; }
  GridBlock at(int64_t index) const;
  int64_t max_rows() const { return ceil_div(rows_, row_blocks_); }

  /// Images, and rows of each.
  struct Extent {
    int64_t images, rows;
  };
  /// Of the largest block that some number of images up to n is cut into.
  static Extent largest(int64_t n, int64_t rows, int64_t columns, int64_t target);

 private:
  int64_t n_, rows_;
  int64_t image_blocks_ = 1;
  int64_t row_blocks_ = 1;
};

/// Floats from a copied pixel to the next. Pixels a multiple of 512 bytes apart would leave an inner loop
/// over pixels few sets of the first-level cache: one line more (weight gradients of 128 channels and more:
/// 72 to 80 % of the peak).
inline int64_t copied_stride(int64_t channels) {
  return channels + (channels % 128 == 0 ? kLine : 0);
}

/// The source of a block as the matrix products read it: either in place, or a copy with its padding. In that
/// the taps lie at the same offsets from every grid point.
class Window {
 public:
  /// `source_stride`: floats between source pixels. `channels`: of the slice that is copied at a time.
  /// `copied`: copy even where no padding asks for it. `activation`: of a prologue, or -1.
  Window(const Sliding& sliding, int64_t source_stride, int64_t channels, bool copied, int activation);

  bool copied() const { return copied_; }
  /// Floats of the copy for blocks of up to this size; 0 when the source is read in place.
  int64_t copy_floats(GridBlocks::Extent block) const;
  /// Copies channels [channel, channel + channels) of the block, if copied at all, into `copy`. `norm`: of
  /// the prologue.
  void fill(const Kernels& kernels, const float* source, const NormVectors& norm, const GridBlock& block,
            int64_t channel, int64_t channels, float* copy) const;
  /// Writes the addresses of the block's grid points, as far as the phase has them: each at tap (dh_min,
  /// dw_min), first channel of the slice. Returns their number.
  int64_t address(const float* source, const GridBlock& block, const Phase& phase, int64_t channel,
                  const float* copy, const float** to) const;
  /// Floats from a grid point to the next in its row.
  int64_t point_stride() const { return sliding_.step[1] * pixel_; }
  /// Pieces of consecutive floats under the kernel: neighbouring taps whose channels lie side by side are
  /// one. Offsets are from the address of a grid point.
  struct Pieces {
    std::vector<int64_t> offsets;
    /// The weight index of each piece's first tap.
    std::vector<int64_t> weights;
    int64_t taps_per_piece = 1;
  };
  Pieces pieces(const Phase& phase, int64_t channels) const;

 private:
  const float* origin(const float* source, const GridBlock& block, int64_t channel, const float* copy) const;
  /// Floats from an image of the block to the next.
  int64_t image_stride(const GridBlock& block) const;

  const Sliding& sliding_;
  bool copied_;
  int activation_;
  int64_t source_stride_;
  /// Floats from a pixel to the next, pixels from a row to the next.
  int64_t pixel_, width_;
};

/// Pixels of a block of outputs that is finished (residual, activation, moments) while it is in the
/// first-level cache: 224 pixels of a panel of 32 columns are 28 KB.
constexpr int64_t kPixelsAtOnce = 224;

/// [begin, end)
struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

/// An equal cut of [0, total) into `count` ranges: the i-th begins here.
inline int64_t cut(int64_t total, int64_t count, int64_t i) {
  return total * i / count;
}

}  // namespace dl
