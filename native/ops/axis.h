// Which inputs each output position along one axis is made from, and with what weight: the tables behind
// pooling and resizing. The same table, transposed, is the gradient's.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace dl {

/// Lists of links, one an output position, in order: output o has the links k with start[o] <= k < start[o +
/// 1].
struct Axis {
  int64_t inputs = 0;
  std::vector<int32_t> start{0};
  std::vector<int32_t> index;
  std::vector<float> weight;
  /// Number of the tap within the window.
  std::vector<int32_t> tap;

  int64_t outputs() const { return static_cast<int64_t>(start.size()) - 1; }
  int64_t count(int64_t o) const { return start[static_cast<size_t>(o) + 1] - start[static_cast<size_t>(o)]; }
  /// Adds a link to the list of the next output, which close() ends.
  void link(int64_t input, double weight, int64_t tap = 0);
  void close() { start.push_back(static_cast<int32_t>(index.size())); }
  /// For each input the outputs that it has a part in, in order.
  Axis transposed() const;
};

/// A sliding window; taps outside of the input are left out.
Axis window_axis(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation);

/// Averages over a sliding window by PyTorch's rule: the divisor counts padding on either side when
/// `count_include_pad`, but never what a window of ceil mode has beyond the padding.
Axis average_axis(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t pad_before,
                  int64_t pad_after, bool count_include_pad);

/// PyTorch's adaptive bins: floor(o · in / out) up to ceil((o + 1) · in / out). Weights average; taps are
/// positions.
Axis adaptive_axis(int64_t in, int64_t out);

/// Bilinear resizing, PyTorch's rule. With `antialias` the triangle is as wide as the reduction, as in PIL.
Axis bilinear_axis(int64_t in, int64_t out, bool align_corners, bool antialias);

/// Nearest neighbour, PyTorch's rule 'nearest': input floor(o · in / out).
Axis nearest_axis(int64_t in, int64_t out);

}  // namespace dl
