// What the ops that call the depthwise kernels share: the taps as those want them.
#pragma once
#include <vector>

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

}  // namespace dl
