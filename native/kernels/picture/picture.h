// Resampling of 8-bit pictures in one direction: every result is a mix of neighbours,
//
//   y = min(255, max(0, (2^21 + Σ_k weight[k] · x[first + k]) >> 22)),   0 <= k < count
//
// in 32-bit integers that do not overflow: exact, and the same on every machine. src/data/resize.ts makes the
// weights.
#pragma once
#include <cstdint>

namespace dl {

/// For each of `length` results: the first neighbour, how many, and their weights, `stride` apart.
struct PictureTaps {
  const int32_t* first;
  const int32_t* count;
  const int32_t* weights;
  int64_t stride;
  int64_t length;
};

struct PictureKernels {
  /// Mixes rows of `bytes` bytes that are `line` apart: to[y·bytes + i].
  void (*down)(const PictureTaps& taps, const uint8_t* from, int64_t line, int64_t bytes, uint8_t* to);
  /// Mixes the pixels of each of `rows` rows: to[(y·length + x)·channels + c], 1 or 3 channels.
  void (*across)(const PictureTaps& taps, const uint8_t* from, int64_t line, int64_t rows, int64_t channels,
                 uint8_t* to);
};

}  // namespace dl
