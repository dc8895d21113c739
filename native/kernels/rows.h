// Operands of kernels that go over pixels: element (row r, channel i) lies at data[r * stride + i].
#pragma once
#include <cstdint>

namespace dl {

struct In {
  const float* data = nullptr;
  int64_t stride = 0;
};

struct Out {
  float* data = nullptr;
  int64_t stride = 0;
};

}  // namespace dl
