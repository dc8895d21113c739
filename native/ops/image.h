// What ops on images share: the view of a batch, and how work is cut.
#pragma once
#include <algorithm>
#include <cstring>
#include <string>

#include "ops/operands.h"

namespace dl {

/// A batch of images [n, h, w, c] as planned.
struct Image {
  int64_t n, h, w, c, stride;
  int count;

  /// Throws E_PLAN unless `spec` has four dimensions and this type.
  static Image of(const TensorSpec& spec, DType dtype = DType::f32) {
    require(spec.shape.rank == 4, "expected images [n,h,w,c], got shape " + to_string(spec.shape));
    require_type(spec, dtype);
    const Shape& s = spec.shape;
    return {s[0], s[1], s[2], s[3], spec.stride, spec.count};
  }
};

/// Throws E_PLAN unless both have the same rows.
inline void require_same_rows(const TensorSpec& a, const TensorSpec& b) {
  require(a.shape.rank > 0 && b.shape.rank > 0 && a.shape[0] == b.shape[0] && a.count == b.count,
          "expected as many rows in " + to_string(a.shape) + " as in " + to_string(b.shape));
}

/// The operands of an op on images, for what is made before it checks all of them. Throws E_PLAN when there
/// is none.
inline const TensorSpec& first_image(const std::vector<TensorSpec>& operands) {
  require(!operands.empty(), "an operand is missing");
  const Shape& shape = operands[0].shape;
  require(shape.rank == 4 && shape.elements() > 0,
          "expected images [n,h,w,c], got shape " + to_string(shape));
  return operands[0];
}
inline const TensorSpec& first_input(const StepSpec& spec) {
  return first_image(spec.inputs);
}
inline const TensorSpec& first_output(const StepSpec& spec) {
  return first_image(spec.outputs);
}

/// How many units of `work` elements each make an item of about 50 µs, for passes that move memory.
inline int64_t grain_of(int64_t work) {
  return std::max<int64_t>(1, (int64_t{1} << 16) / std::max<int64_t>(1, work));
}

/// Copies `pixels` pixels of `bytes` bytes each; steps in bytes.
inline void copy_pixels(std::byte* to, int64_t to_step, const std::byte* from, int64_t from_step,
                        int64_t bytes, int64_t pixels) {
  if (to_step == bytes && from_step == bytes) {
    std::memcpy(to, from, static_cast<size_t>(bytes * pixels));
    return;
  }
  for (int64_t p = 0; p < pixels; p++)
    std::memcpy(to + p * to_step, from + p * from_step, static_cast<size_t>(bytes));
}

inline std::byte* bytes_of(const Tensor& tensor) {
  return static_cast<std::byte*>(tensor.data);
}

}  // namespace dl
