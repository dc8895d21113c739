// Random numbers by counter: word = f(key, counter), so that any part of a stream can be had at any time, by
// any thread, in the same bits on every processor. Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel
// random numbers: as easy as 1, 2, 3", SC 2011), tested against the authors' known answers.
#pragma once
#include <cstdint>

namespace dl {

/// One stream of 2^34 words.
struct RandomStream {
  /// The seed.
  uint32_t key[2];
  /// The upper three words of the counter; the lowest counts within the stream.
  uint32_t counter[3];
};

struct RandomKernels {
  /// Words [64·group, 64·(group + groups)) of the stream. Word 64·g + 16·j + l is output j of counter 16·g +
  /// l: an order that suits vectors of 4, 8 and 16 lanes.
  void (*words)(const RandomStream& stream, uint32_t group, int64_t groups, uint32_t* out);
  /// The same words as factors of dropout: u = (word >> 8)·2^-24 in [0, 1); factor = u < rate ? 0 : scale.
  void (*dropout)(const RandomStream& stream, uint32_t group, int64_t groups, float rate, float scale,
                  float* out);
};

}  // namespace dl
