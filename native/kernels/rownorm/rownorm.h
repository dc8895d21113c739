// Normalisation of whole rows (layer norm), dense rows of c elements:
//   mean = Σ x / c     rstd = 1/√(Σ (x - mean)² / c + ε)     x̂ = (x - mean)·rstd     y = x̂·γ + β
//   dβ = Σ_rows dy     dγ = Σ_rows dy·x̂
//   dx = rstd·(q - Σ q / c - x̂·Σ(q·x̂) / c),   q = dy·γ
#pragma once
#include <cstdint>

namespace dl {

struct RownormKernels {
  /// gamma and beta are null together: then γ = 1, β = 0.
  void (*normalize)(const float* x, const float* gamma, const float* beta, float epsilon, float* y,
                    float* mean, float* rstd, int64_t rows, int64_t c);
  /// dgamma[i] and dbeta[i] are added to, unless null.
  void (*gradient)(const float* dy, const float* x, const float* mean, const float* rstd, const float* gamma,
                   float* dx, float* dgamma, float* dbeta, int64_t rows, int64_t c);
};

}  // namespace dl
