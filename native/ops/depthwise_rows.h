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
  /// Calls body(i, row) for the source rows of one output row, or of two together: the first's and one more.
  template <class Body>
  void for_source_rows(int64_t first, int64_t output_rows, Body body) const {
    for (int64_t t = 0; t < row_count(); t++) body(t, first + rows[static_cast<size_t>(t)]);
    if (output_rows == 2) body(row_count(), first + rows.back() + 1);
  }
  /// Whether they are `side` neighbouring rows of as many neighbouring columns.
  bool is_square(int64_t side) const {
    auto neighbours = [side](const std::vector<int64_t>& at) {
      return static_cast<int64_t>(at.size()) == side && at.back() - at[0] == side - 1;
    };
    return neighbours(rows) && neighbours(columns);
  }
};

/// Output rows that are computed at once, for they share source rows: two, or one. `elements` of source and
/// destination: where they come from memory, twice as many streams cost more than the loads that are saved
/// (64 × 32×32×64: 10 % slower; 64 × 4×4×960: 15 % faster).
inline int64_t rows_together(const TapGrid& taps, const Sliding& sliding, int64_t group, int64_t columns,
                             int64_t elements) {
  constexpr int64_t kLeastColumns = 4, kMostElements = int64_t{2} << 20;
  if (elements > kMostElements) return 1;
  const bool unit_step = sliding.step[0] == 1 && sliding.step[1] == 1;
  return group == 1 && unit_step && columns >= kLeastColumns && taps.is_square(3) ? 2 : 1;
}

}  // namespace dl
