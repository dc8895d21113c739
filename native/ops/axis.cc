// See axis.h.
#include "ops/axis.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "base/error.h"

namespace dl {

void Axis::link(int64_t input, double w, int64_t t) {
  index.push_back(static_cast<int32_t>(input));
  weight.push_back(static_cast<float>(w));
  tap.push_back(static_cast<int32_t>(t));
}

Axis Axis::transposed() const {
  Axis result;
  result.inputs = outputs();
  // Counting sort by input: stable, so outputs stay in order.
  std::vector<int32_t> place(static_cast<size_t>(inputs) + 1, 0);
  for (int32_t i : index) place[static_cast<size_t>(i) + 1]++;
  for (size_t i = 1; i < place.size(); i++) place[i] += place[i - 1];
  result.start = place;
  result.index.resize(index.size());
  result.weight.resize(index.size());
  result.tap.resize(index.size());
  for (int64_t o = 0; o < outputs(); o++)
    for (auto k = static_cast<size_t>(start[static_cast<size_t>(o)]);
         k < static_cast<size_t>(start[static_cast<size_t>(o) + 1]); k++) {
      auto to = static_cast<size_t>(place[static_cast<size_t>(index[k])]++);
      result.index[to] = static_cast<int32_t>(o);
      result.weight[to] = weight[k];
      result.tap[to] = tap[k];
    }
  return result;
}

namespace {

/// Sizes beyond this come from no network; products of two of them do not overflow.
void check_window(std::initializer_list<int64_t> sizes, std::initializer_list<int64_t> pads) {
  constexpr int64_t kLargest = int64_t{1} << 20;
  for (int64_t size : sizes) require(size >= 1 && size <= kLargest, "a window's size is out of range");
  for (int64_t pad : pads) require(pad >= 0 && pad <= kLargest, "a window's padding is out of range");
}

}  // namespace

Axis window_axis(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  check_window({kernel, stride, dilation}, {pad});
  Axis axis;
  axis.inputs = in;
  for (int64_t o = 0; o < out; o++) {
    for (int64_t k = 0; k < kernel; k++) {
      int64_t i = o * stride - pad + k * dilation;
      if (i >= 0 && i < in) axis.link(i, 1, k);
    }
    axis.close();
  }
  return axis;
}

Axis average_axis(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t pad_before,
                  int64_t pad_after, bool count_include_pad) {
  check_window({kernel, stride}, {pad_before, pad_after});
  Axis axis;
  axis.inputs = in;
  for (int64_t o = 0; o < out; o++) {
    int64_t first = o * stride - pad_before, last = std::min(first + kernel, in + pad_after);
    int64_t begin = std::max<int64_t>(first, 0), end = std::min(last, in);
    int64_t divisor = count_include_pad ? last - first : end - begin;
    for (int64_t i = begin; i < end; i++) axis.link(i, 1.0 / static_cast<double>(divisor));
    axis.close();
  }
  return axis;
}

Axis adaptive_axis(int64_t in, int64_t out) {
  Axis axis;
  axis.inputs = in;
  for (int64_t o = 0; o < out; o++) {
    int64_t begin = o * in / out, end = ((o + 1) * in + out - 1) / out;
    for (int64_t i = begin; i < end; i++) axis.link(i, 1.0 / static_cast<double>(end - begin), i);
    axis.close();
  }
  return axis;
}

Axis bilinear_axis(int64_t in, int64_t out, bool align_corners, bool antialias) {
  Axis axis;
  axis.inputs = in;
  double scale = static_cast<double>(in) / static_cast<double>(out);
  if (align_corners) scale = out > 1 ? static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0;
  for (int64_t o = 0; o < out; o++) {
    auto position = static_cast<double>(o);
    if (antialias) {
      const double support = std::max(scale, 1.0), center = scale * (position + 0.5);
      auto begin = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
      auto end = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), in);
      auto triangle = [&](int64_t i) {
        return std::max(0.0, 1 - std::abs((static_cast<double>(i) - center + 0.5) / support));
      };
      double total = 0;
      for (int64_t i = begin; i < end; i++) total += triangle(i);
      for (int64_t i = begin; i < end; i++)
        if (triangle(i) > 0) axis.link(i, triangle(i) / total);
    } else {
      const double source = align_corners ? scale * position : std::max(0.0, scale * (position + 0.5) - 0.5);
      auto low = std::min(static_cast<int64_t>(source), in - 1);
      int64_t high = std::min(low + 1, in - 1);
      double part = high == low ? 0 : source - static_cast<double>(low);
      axis.link(low, 1 - part);
      if (part > 0) axis.link(high, part);
    }
    axis.close();
  }
  return axis;
}

Axis nearest_axis(int64_t in, int64_t out) {
  Axis axis;
  axis.inputs = in;
  // In float, like PyTorch: which neighbour a position falls to can depend on the rounding of the scale.
  const float scale = static_cast<float>(in) / static_cast<float>(out);
  for (int64_t o = 0; o < out; o++) {
    axis.link(std::min(static_cast<int64_t>(std::floor(static_cast<float>(o) * scale)), in - 1), 1);
    axis.close();
  }
  return axis;
}

}  // namespace dl
