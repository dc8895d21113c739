// What the ops that call the depthwise kernels share: the taps as those want them, and activations that come
// down to bounds.
#pragma once
#include <limits>
#include <vector>

#include "kernels/unary/functions.h"
#include "ops/conv2d_geometry.h"

namespace dl {

/// The taps of a phase as rows and columns.
struct TapGrid {
  std::vector<int64_t> rows;
  std::vector<int64_t> columns;
  /// [rows][columns], floats from the first weight.
  std::vector<int64_t> weights;

  TapGrid(const Phase& phase, int64_t weights_per_tap) {
    for (const Tap& tap : phase.taps) {
      if (rows.empty() || tap.dh != rows.back()) rows.push_back(tap.dh);
      if (tap.dh == rows[0]) columns.push_back(tap.dw);
      weights.push_back(tap.weight * weights_per_tap);
    }
  }
  int64_t row_count() const { return static_cast<int64_t>(rows.size()); }
};

/// What the kernels keep their sums in; `is_all` says whether that is the whole activation.
struct Bounds {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  bool is_all = false;

  /// `activation`: index in tables by FusedActivation.
  explicit Bounds(int activation) {
    const auto a = static_cast<FusedActivation>(activation);
    is_all = a == FusedActivation::none || a == FusedActivation::relu || a == FusedActivation::relu6;
    if (a == FusedActivation::relu || a == FusedActivation::relu6) low = 0;
    if (a == FusedActivation::relu6) high = 6;
  }
};

}  // namespace dl
