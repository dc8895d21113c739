// See conv2d_geometry.h.
#include "ops/conv2d_geometry.h"

#include <algorithm>

#include "kernels/kernels.h"
#include "ops/fused_norm.h"

namespace dl {
namespace {

int64_t output_size(int64_t size, int64_t before, int64_t after, int64_t kernel, int64_t dilation,
                    int64_t stride) {
  return (size + before + after - (dilation * (kernel - 1) + 1)) / stride + 1;
}

int64_t modulo(int64_t a, int64_t b) {
  return ((a % b) + b) % b;
}

/// The taps of one axis that a phase of the input gradient meets, and the phase's place.
struct AxisPhase {
  int64_t origin, count;
  struct AxisTap {
    int64_t shift, index;
  };
  std::vector<AxisTap> taps;
};

/// Along one axis dx[i] = Σ_k dy[(i + pad - k·dilation) / stride] · w[k] over the k that divide. With
/// i + pad = q·stride + r the k are those with k·dilation ≡ r, and dy is read at q - (k·dilation - r) /
/// stride.
std::vector<AxisPhase> axis_phases(int64_t size, int64_t kernel, int64_t stride, int64_t pad,
                                   int64_t dilation) {
  std::vector<AxisPhase> phases;
  for (int64_t first = 0; first < std::min(stride, size); first++) {
    AxisPhase phase{first, ceil_div(size - first, stride), {}};
    int64_t r = modulo(first + pad, stride), q = (first + pad - r) / stride;
    for (int64_t k = kernel - 1; k >= 0; k--) {
      if (modulo(k * dilation - r, stride) == 0) phase.taps.push_back({q - (k * dilation - r) / stride, k});
    }
    phases.push_back(std::move(phase));
  }
  return phases;
}

void finish(Sliding& sliding) {
  bool first = true;
  for (const Phase& phase : sliding.phases) {
    sliding.rows = std::max(sliding.rows, phase.rows);
    sliding.columns = std::max(sliding.columns, phase.columns);
    for (const Tap& tap : phase.taps) {
      sliding.dh_min = first ? tap.dh : std::min(sliding.dh_min, tap.dh);
      sliding.dh_max = first ? tap.dh : std::max(sliding.dh_max, tap.dh);
      sliding.dw_min = first ? tap.dw : std::min(sliding.dw_min, tap.dw);
      sliding.dw_max = first ? tap.dw : std::max(sliding.dw_max, tap.dw);
      first = false;
    }
  }
}

}  // namespace

Conv2dShape conv2d_shape(const Conv2dAttributes& a, const TensorSpec& x, const TensorSpec& w,
                         const TensorSpec& y) {
  require(x.shape.rank == 4 && w.shape.rank == 4 && y.shape.rank == 4,
          "conv2d: images and weights need rank 4");
  Conv2dShape s{a,          x.shape[0], x.shape[1], x.shape[2], x.shape[3],
                y.shape[1], y.shape[2], y.shape[3], w.shape[0], w.shape[1]};
  for (int64_t d : {s.ih, s.iw, s.ic, s.oh, s.ow, s.oc, s.kh, s.kw, a.stride[0], a.stride[1], a.dilation[0],
                    a.dilation[1], a.groups}) {
    require(d >= 1 && d <= INT32_MAX, "conv2d: sizes must be positive and below 2^31");
  }
  for (int64_t p : a.pad) require(p >= 0 && p <= INT32_MAX, "conv2d: negative padding");
  require(s.ic % a.groups == 0 && s.oc % a.groups == 0, "conv2d: groups must divide the channels");
  require(w.shape[2] == s.ic_per_group() && w.shape[3] == s.oc, "conv2d: weights do not fit the channels");
  require(y.shape[0] == s.n, "conv2d: input and output differ in rows");
  require(s.oh == output_size(s.ih, a.pad[0], a.pad[1], s.kh, a.dilation[0], a.stride[0]) &&
              s.ow == output_size(s.iw, a.pad[2], a.pad[3], s.kw, a.dilation[1], a.stride[1]),
          "conv2d: the output size does not follow from the input, kernel, stride, padding and dilation");
  return s;
}

bool Sliding::padded() const {
  return dh_min < 0 || dw_min < 0 || (rows - 1) * step[0] + dh_max >= source_h ||
         (columns - 1) * step[1] + dw_max >= source_w;
}

Sliding sliding_forward(const Conv2dShape& s) {
  const auto& a = s.attributes;
  Sliding sliding{s.ih, s.iw, s.oh, s.ow, a.stride, {1, 1}, {}};
  Phase phase{0, 0, s.oh, s.ow, {}};
  for (int64_t kh = 0; kh < s.kh; kh++) {
    for (int64_t kw = 0; kw < s.kw; kw++) {
      phase.taps.push_back({kh * a.dilation[0] - a.pad[0], kw * a.dilation[1] - a.pad[2], kh * s.kw + kw});
    }
  }
  sliding.phases.push_back(std::move(phase));
  finish(sliding);
  return sliding;
}

Sliding sliding_backward(const Conv2dShape& s) {
  const auto& a = s.attributes;
  Sliding sliding{s.oh, s.ow, s.ih, s.iw, {1, 1}, a.stride, {}};
  const auto down = axis_phases(s.ih, s.kh, a.stride[0], a.pad[0], a.dilation[0]);
  const auto across = axis_phases(s.iw, s.kw, a.stride[1], a.pad[2], a.dilation[1]);
  for (const AxisPhase& h : down) {
    for (const AxisPhase& w : across) {
      Phase phase{h.origin, w.origin, h.count, w.count, {}};
      for (const auto& th : h.taps) {
        for (const auto& tw : w.taps) phase.taps.push_back({th.shift, tw.shift, th.index * s.kw + tw.index});
      }
      sliding.phases.push_back(std::move(phase));
    }
  }
  finish(sliding);
  return sliding;
}

GridBlocks::GridBlocks(int64_t n, int64_t rows, int64_t columns, int64_t target) : n_(n), rows_(rows) {
  const int64_t pixels = rows * columns;
  if (pixels > target) {
    image_blocks_ = n;
    row_blocks_ = std::min(rows, ceil_div(pixels, target));
  } else {
    image_blocks_ = ceil_div(n, std::max<int64_t>(1, target / pixels));
  }
}

GridBlock GridBlocks::at(int64_t index) const {
  const int64_t i = index / row_blocks_, r = index % row_blocks_;
  return {cut(n_, image_blocks_, i), cut(n_, image_blocks_, i + 1), cut(rows_, row_blocks_, r),
          cut(rows_, row_blocks_, r + 1)};
}

GridBlocks::Extent GridBlocks::largest(int64_t n, int64_t rows, int64_t columns, int64_t target) {
  return {std::clamp<int64_t>(target / (rows * columns), 1, n),
          GridBlocks(1, rows, columns, target).max_rows()};
}

Window::Window(const Sliding& sliding, int64_t source_stride, int64_t channels, bool copied, int activation)
    : sliding_(sliding),
      copied_(copied || activation >= 0 || sliding.padded()),
      activation_(activation),
      source_stride_(source_stride) {
  pixel_ = copied_ ? copied_stride(channels) : source_stride;
  width_ = copied_ ? (sliding.columns - 1) * sliding.step[1] + sliding.dw_max - sliding.dw_min + 1
                   : sliding.source_w;
}

int64_t Window::copy_floats(GridBlocks::Extent block) const {
  return copied_ ? block.images * sliding_.window_rows(block.rows) * width_ * pixel_ : 0;
}

int64_t Window::image_stride(const GridBlock& block) const {
  return (copied_ ? sliding_.window_rows(block.row_end - block.row_begin) : sliding_.source_h) * width_ *
         pixel_;
}

void Window::fill(const Kernels& kernels, const float* source, const NormVectors& norm,
                  const GridBlock& block, int64_t channel, int64_t channels, float* copy) const {
  if (!copied_) return;
  const int64_t image = sliding_.source_h * sliding_.source_w * source_stride_;
  for (int64_t i = block.image_begin; i < block.image_end; i++) {
    copy_padded(kernels.conv,
                {
                    .from = source + i * image + channel,
                    .from_stride = source_stride_,
                    .height = sliding_.source_h,
                    .width = sliding_.source_w,
                    .top = block.row_begin * sliding_.step[0] + sliding_.dh_min,
                    .left = sliding_.dw_min,
                    .channels = channels,
                    .to = copy + (i - block.image_begin) * image_stride(block),
                    .to_stride = pixel_,
                    .rows = sliding_.window_rows(block.row_end - block.row_begin),
                    .columns = width_,
                },
                activation_, norm, channel);
  }
}

const float* Window::origin(const float* source, const GridBlock& block, int64_t channel,
                            const float* copy) const {
  if (copied_) return copy;
  const int64_t row =
      block.image_begin * sliding_.source_h + block.row_begin * sliding_.step[0] + sliding_.dh_min;
  return source + (row * sliding_.source_w + sliding_.dw_min) * source_stride_ + channel;
}

int64_t Window::address(const float* source, const GridBlock& block, const Phase& phase, int64_t channel,
                        const float* copy, const float** to) const {
  const float* from = origin(source, block, channel, copy);
  const int64_t row_end = std::min(block.row_end, phase.rows), point = point_stride();
  const float** pixel = to;
  for (int64_t image = block.image_begin; image < block.image_end; image++) {
    for (int64_t row = block.row_begin; row < row_end; row++) {
      const float* first = from + (image - block.image_begin) * image_stride(block) +
                           (row - block.row_begin) * sliding_.step[0] * width_ * pixel_;
      for (int64_t q = 0; q < phase.columns; q++) pixel[q] = first + q * point;
      pixel += phase.columns;
    }
  }
  return pixel - to;
}

Window::Pieces Window::pieces(const Phase& phase, int64_t channels) const {
  Pieces pieces;
  auto offset = [&](const Tap& tap) {
    return ((tap.dh - sliding_.dh_min) * width_ + tap.dw - sliding_.dw_min) * pixel_;
  };
  // Taps of one kernel row make one piece when they are neighbours in memory and in the weights.
  size_t row = 0;
  while (row < phase.taps.size() && phase.taps[row].dh == phase.taps[0].dh) row++;
  bool joined = row > 1 && pixel_ == channels;
  for (size_t i = 1; i < row && joined; i++) joined = phase.taps[i].dw == phase.taps[i - 1].dw + 1;
  pieces.taps_per_piece = joined ? static_cast<int64_t>(row) : 1;
  for (size_t i = 0; i < phase.taps.size(); i += static_cast<size_t>(pieces.taps_per_piece)) {
    pieces.offsets.push_back(offset(phase.taps[i]));
    pieces.weights.push_back(phase.taps[i].weight);
  }
  return pieces;
}

}  // namespace dl
