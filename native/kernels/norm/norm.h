// Normalisation per channel over pixels (rows): batch norm, and group norm a sample at a time.
//
//   forward    z = (x - mean)·scale + bias (+ residual)     y = f(z)
//              where rstd = 1/√(variance + ε), scale = γ·rstd, bias = β
//   backward   dz = dy·f'(z)
//              dβ = Σ dz     dγ = rstd·Σ dz·(x - mean)      (the sums of `gradient_sums`)
//              dx = scale·(dz - dβ/m - (x - mean)·rstd·dγ/m)
//                 = scale·dz + slope·(x - mean) + offset    (`gradient_input`)
//              where slope = -scale·rstd·dγ/m, offset = -scale·dβ/m
// for m pixels. Where mean and variance are constants, dx = scale·dz.
// x - mean comes first, not a·x + b: nothing is lost where |mean| is far above the deviation.
#pragma once
#include "kernels/rows.h"
#include "kernels/unary/functions.h"

namespace dl {

/// Vectors of c elements.
struct NormVectors {
  const float* mean;
  const float* scale;
  const float* bias;
  /// gradient_input only.
  const float* slope = nullptr;
  const float* offset = nullptr;
};

/// Operands of a backward kernel; data is null where there is none.
struct NormGradient {
  In dy;
  In x;
  /// The output of the forward step. With a residual, f' is taken from it, else from z, computed again.
  In y{};
  Out dz{};
  Out dx{};
};

struct NormKernels {
  /// sum[i] += Σ (x - shift), square[i] += Σ (x - shift)² over rows.
  void (*moments)(In x, const float* shift, int64_t rows, int64_t c, float* sum, float* square);
  /// sum[i] += Σ x over rows.
  void (*sum)(In x, int64_t rows, int64_t c, float* sum);

  using Normalize = void (*)(In x, In residual, Out y, const NormVectors& v, int64_t rows, int64_t c);
  /// sum += Σ dz, product += Σ dz·(x - mean); writes dz, and dx = scale·dz, where they have data.
  using GradientSums = void (*)(const NormGradient& g, const NormVectors& v, int64_t rows, int64_t c,
                                float* sum, float* product);
  /// dx as above; dx may be dy.
  using GradientInput = void (*)(const NormGradient& g, const NormVectors& v, int64_t rows, int64_t c);
  /// By FusedActivation. `residual` and `y` may have no data.
  Normalize normalize[static_cast<int>(FusedActivation::count)];
  GradientSums gradient_sums[static_cast<int>(FusedActivation::count)];
  GradientInput gradient_input[static_cast<int>(FusedActivation::count)];
};

}  // namespace dl
