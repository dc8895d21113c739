// Sizes from outside are multiplied and added here: an overflow is an error, never a small number.
#pragma once
#include <cstdint>
#include <limits>

#include "base/error.h"

namespace dl {

inline int64_t checked_mul(int64_t a, int64_t b) {
  require(a >= 0 && b >= 0, "negative size");
  require(b == 0 || a <= std::numeric_limits<int64_t>::max() / b, "size overflows 64 bits");
  return a * b;
}

inline int64_t checked_add(int64_t a, int64_t b) {
  require(a >= 0 && b >= 0, "negative size");
  require(a <= std::numeric_limits<int64_t>::max() - b, "size overflows 64 bits");
  return a + b;
}

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
constexpr int64_t round_up(int64_t a, int64_t b) {
  return ceil_div(a, b) * b;
}

}  // namespace dl
