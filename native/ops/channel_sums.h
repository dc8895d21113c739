// Sums per channel over all pixels, for statistics and for the gradients of per-channel parameters: partial
// sums in float a block (cut by shape), added up in double in the order of the blocks.
#pragma once
#include <cstring>

#include "base/checked.h"
#include "base/line.h"
#include "ops/blocks.h"

namespace dl {

/// Lays out the partial sums of one op in its workspace.
class ChannelSums {
 public:
  /// `sums` different sums over the pixels of a tensor like `spec`.
  ChannelSums(const TensorSpec& spec, int sums)
      : sums_(sums),
        c_(spec.shape.channels()),
        stride_(round_up(c_, kLine)),
        grain_(block_pixels(spec)),
        max_blocks_(ceil_div(spec.shape.pixels(), grain_)) {}

  int64_t workspace() const {
    return sums_ * stride_ * (max_blocks_ * int64_t{sizeof(float)} + int64_t{sizeof(double)});
  }
  int64_t grain() const { return grain_; }
  /// Elements from one sum of a block to the next, and from one total to the next.
  int64_t stride() const { return stride_; }

  /// `body(block, sums)` for each block of pixels: adds to sums[k * stride() + channel], which start at 0.
  template <class Body>
  void accumulate(const Run& run, std::byte* workspace, int64_t pixels, Body&& body) const {
    float* all = partial(workspace);
    run.parallel_blocks(pixels, grain_, [&](int64_t begin, int64_t end, int) {
      float* sums = all + begin / grain_ * sums_ * stride_;
      std::memset(sums, 0, static_cast<size_t>(sums_ * stride_) * sizeof(float));
      body(Block{begin, end - begin, c_, false}, sums);
    });
  }

  /// Adds up the blocks: totals[k * stride() + channel].
  const double* totals(std::byte* workspace, int64_t pixels) const {
    double* total = reinterpret_cast<double*>(workspace);
    const float* sums = partial(workspace);
    std::fill(total, total + sums_ * stride_, 0.0);
    for (int64_t b = 0; b < ceil_div(pixels, grain_); b++, sums += sums_ * stride_)
      for (int64_t i = 0; i < sums_ * stride_; i++) total[i] += sums[i];
    return total;
  }

  float* partial(std::byte* workspace) const {
    return reinterpret_cast<float*>(workspace + sums_ * stride_ * int64_t{sizeof(double)});
  }
  double* total(std::byte* workspace) const { return reinterpret_cast<double*>(workspace); }

 private:
  int sums_;
  int64_t c_, stride_, grain_, max_blocks_;
};

}  // namespace dl
