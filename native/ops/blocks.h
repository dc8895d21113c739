// How memory-bound ops cut their work: by shape alone, in blocks of some 50 µs.
#pragma once
#include <algorithm>

#include "kernels/rows.h"
#include "plan/op.h"

namespace dl {

/// Elements of a block: half a megabyte an operand.
constexpr int64_t kBlockElements = int64_t{1} << 17;
/// More blocks than this have no use, and each costs a row of partial sums.
constexpr int64_t kMaxBlocks = 128;

/// Pixels of a block of a tensor; `spec` is its largest shape.
inline int64_t block_pixels(const TensorSpec& spec) {
  int64_t by_size = std::max<int64_t>(1, kBlockElements / std::max<int64_t>(1, spec.shape.channels()));
  return std::max(by_size, ceil_div(spec.shape.pixels(), kMaxBlocks));
}

/// A range of rows for a kernel: `rows` rows of `width` elements, the first of them pixel `begin`.
struct Block {
  int64_t begin, rows, width;
  /// All operands are dense: `begin` counts elements and there is one long row.
  bool flat;

  In in(const Tensor& tensor) const { return {tensor.f32() + offset(tensor), tensor.stride}; }
  Out out(const Tensor& tensor) const { return {tensor.f32() + offset(tensor), tensor.stride}; }
  int64_t offset(const Tensor& tensor) const { return begin * (flat ? 1 : tensor.stride); }
};

/// The loop of an op that computes each element by itself. The first tensor of a run says how many there are.
class Elementwise {
 public:
  explicit Elementwise(const StepSpec& spec) {
    auto dense = [](const TensorSpec& tensor) { return tensor.stride == tensor.shape.channels(); };
    flat_ = std::all_of(spec.inputs.begin(), spec.inputs.end(), dense) &&
            std::all_of(spec.outputs.begin(), spec.outputs.end(), dense);
  }

  template <class Body>
  void run(const Run& run, const Tensor& like, Body&& body) const {
    int64_t c = like.channels(), pixels = like.pixels();
    if (flat_) {
      run.parallel_blocks(pixels * c, kBlockElements, [&](int64_t begin, int64_t end, int) {
        body(Block{begin, 1, end - begin, true});
      });
    } else {
      run.parallel_blocks(pixels, std::max<int64_t>(1, kBlockElements / c),
                          [&](int64_t begin, int64_t end, int) {
                            body(Block{begin, end - begin, c, false});
                          });
    }
  }

 private:
  bool flat_;
};

}  // namespace dl
