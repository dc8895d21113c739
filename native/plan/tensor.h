// Strided, typed views: what plans describe and ops compute on.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "base/checked.h"

namespace dl {

enum class DType : uint8_t { f32, i32, u8 };

inline int64_t size_of(DType dtype) {
  return dtype == DType::u8 ? 1 : 4;
}

constexpr int kMaxRank = 6;

/// Dimensions, slowest first. Images are [n, h, w, c] (channels last), matrices [rows, columns].
struct Shape {
  int rank = 0;
  std::array<int64_t, kMaxRank> dims{};

  int64_t operator[](int i) const { return dims[static_cast<size_t>(i)]; }
  int64_t& operator[](int i) { return dims[static_cast<size_t>(i)]; }
  int64_t elements() const {
    int64_t product = 1;
    for (int i = 0; i < rank; i++) product *= dims[static_cast<size_t>(i)];
    return product;
  }
  /// The last dimension: the number of channels (1 for a scalar).
  int64_t channels() const { return rank == 0 ? 1 : dims[static_cast<size_t>(rank - 1)]; }
  /// All other dimensions multiplied: the number of pixels.
  int64_t pixels() const { return rank == 0 || channels() == 0 ? 1 : elements() / channels(); }
};

/// What is known of a tensor when a plan is compiled. `shape` is the largest it can have.
struct TensorSpec {
  DType dtype = DType::f32;
  Shape shape;
  /// Index of the run-time count that dims[0] follows (0 is the batch), or -1 when the shape is fixed.
  int count = -1;
  /// Elements from one pixel to the next, at least shape.channels(): larger in a slice of a concatenation.
  int64_t stride = 0;
};

/// A tensor in a run: dims[0] is the present count, data is valid for the run.
/// Element (pixel p, channel c) lies at data[p * stride + c].
struct Tensor {
  DType dtype = DType::f32;
  Shape shape;
  int64_t stride = 0;
  void* data = nullptr;

  float* f32() const { return static_cast<float*>(data); }
  int32_t* i32() const { return static_cast<int32_t*>(data); }
  uint8_t* u8() const { return static_cast<uint8_t*>(data); }
  int64_t pixels() const { return shape.pixels(); }
  int64_t channels() const { return shape.channels(); }
  int64_t elements() const { return shape.elements(); }
  bool dense() const { return stride == shape.channels(); }
};

}  // namespace dl
