// What ops ask of their operands when they are made: a plan that breaks it is refused before anything runs.
#pragma once
#include <string>

#include "plan/op.h"

namespace dl {

inline std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank; i++) {
    if (i > 0) text += ',';
    text += std::to_string(shape[i]);
  }
  text += ']';
  return text;
}

inline bool same_shape(const Shape& a, const Shape& b) {
  return a.rank == b.rank && std::equal(a.dims.begin(), a.dims.begin() + a.rank, b.dims.begin());
}

inline void require_operands(const StepSpec& spec, size_t inputs, size_t outputs) {
  require(spec.inputs.size() == inputs && spec.outputs.size() == outputs,
          "expected " + std::to_string(inputs) + " inputs and " + std::to_string(outputs) + " outputs, got " +
              std::to_string(spec.inputs.size()) + " and " + std::to_string(spec.outputs.size()));
}

inline void require_type(const TensorSpec& tensor, DType dtype) {
  require(tensor.dtype == dtype, "an operand has the wrong element type");
}

/// f32, with this shape and run-time count; any pixel stride.
inline void require_like(const TensorSpec& tensor, const TensorSpec& like) {
  require_type(tensor, DType::f32);
  require(same_shape(tensor.shape, like.shape) && tensor.count == like.count,
          "expected shape " + to_string(like.shape) + ", got " + to_string(tensor.shape));
}

/// Dense, of this type, with this number of elements.
inline void require_dense(const TensorSpec& tensor, int64_t elements, DType dtype = DType::f32) {
  require_type(tensor, dtype);
  require(tensor.stride == tensor.shape.channels(), "an operand must be dense");
  require(tensor.shape.elements() == elements,
          "expected " + std::to_string(elements) + " elements, got shape " + to_string(tensor.shape));
}

inline void require_scalar(const TensorSpec& tensor, DType dtype = DType::f32) {
  require_dense(tensor, 1, dtype);
}

}  // namespace dl
