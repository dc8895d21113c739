// How ops that treat each sample by itself cut their work: some samples an item, by shape alone. Sums over
// the pixels of a sample are taken in blocks, in float, and added up in double.
#pragma once
#include <cstring>

#include "base/checked.h"
#include "ops/blocks.h"

namespace dl {

class Samples {
 public:
  /// Of a tensor [n, ..., c].
  explicit Samples(const TensorSpec& x)
      : c_(x.shape.channels()),
        pixels_(x.shape.rank > 1 && x.shape[0] > 0 ? x.shape.pixels() / x.shape[0] : 1),
        grain_(std::max<int64_t>(1, kBlockElements / std::max<int64_t>(1, pixels_ * c_))) {}

  int64_t channels() const { return c_; }
  int64_t pixels() const { return pixels_; }

  /// body(sample, thread)
  template <class Body>
  void run(const Run& run, int64_t samples, Body&& body) const {
    run.parallel_blocks(samples, grain_, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t s = begin; s < end; s++) body(s, thread);
    });
  }
  /// The pixels [begin, begin + rows) of sample s as rows for a kernel.
  Block block(int64_t s, int64_t begin, int64_t rows) const { return {s * pixels_ + begin, rows, c_, false}; }
  Block all(int64_t s) const { return block(s, 0, pixels_); }

  int64_t stride() const { return round_up(c_, 16); }
  /// Bytes that `sum` needs for K sums.
  int64_t sum_bytes(int sums) const { return sums * stride() * int64_t{sizeof(float) + sizeof(double)}; }
  /// Σ over the pixels of sample s: `body(block, sums)` adds to sums[k * stride() + channel], which start at
  /// 0. Returns totals[k * stride() + channel], in `memory`.
  template <class Body>
  const double* sum(int64_t s, int sums, std::byte* memory, Body&& body) const {
    double* totals = reinterpret_cast<double*>(memory);
    float* part = reinterpret_cast<float*>(memory + sums * stride() * int64_t{sizeof(double)});
    const int64_t grain = std::max<int64_t>(1, kBlockElements / c_);
    std::fill(totals, totals + sums * stride(), 0.0);
    for (int64_t begin = 0; begin < pixels_; begin += grain) {
      std::memset(part, 0, static_cast<size_t>(sums * stride()) * sizeof(float));
      body(block(s, begin, std::min(grain, pixels_ - begin)), part);
      for (int64_t i = 0; i < sums * stride(); i++) totals[i] += static_cast<double>(part[i]);
    }
    return totals;
  }

 private:
  int64_t c_, pixels_, grain_;
};

}  // namespace dl
