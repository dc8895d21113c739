// y = f(x) and dx = dy·f'(x), element by element, for the functions of functions.h.
#pragma once
#include "kernels/rows.h"
#include "kernels/unary/functions.h"

namespace dl {

struct UnaryKernels {
  /// y = f(x) on `rows` rows of c elements; `function` points at the struct of the function. y may be x.
  using Value = void (*)(const void* function, In x, Out y, int64_t rows, int64_t c);
  /// dx = dy·f'; `saved` is x or y. dx may be dy or saved.
  using Gradient = void (*)(const void* function, In dy, In saved, Out dx, int64_t rows, int64_t c);
  /// By Unary and Activation.
  Value value[static_cast<int>(Unary::count)];
  Gradient gradient[static_cast<int>(Activation::count)];
};

}  // namespace dl
