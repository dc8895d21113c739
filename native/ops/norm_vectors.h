// The vectors that kernels take for a norm, from its statistics and parameters.
#pragma once
#include <cmath>
#include <span>

#include "base/carve.h"
#include "kernels/norm/norm.h"
#include "plan/tensor.h"

namespace dl {

/// 1 / √(variance + ε)
inline double reciprocal_deviation(float variance, double epsilon) {
  return 1 / std::sqrt(static_cast<double>(variance) + epsilon);
}

/// scale = γ / √(variance + ε), bias = β of `channels` channels, written to `memory`: two vectors of whole
/// lines. `parameters` are mean, variance and, if affine, γ and β.
inline NormVectors norm_vectors(std::span<const Tensor> parameters, double epsilon, int64_t channels,
                                float* memory) {
  const bool affine = parameters.size() == 4;
  float *scale = memory, *bias = memory + round_up(channels, 16);
  for (int64_t i = 0; i < channels; i++) {
    const double gamma = affine ? static_cast<double>(parameters[2].f32()[i]) : 1;
    scale[i] = static_cast<float>(reciprocal_deviation(parameters[1].f32()[i], epsilon) * gamma);
    bias[i] = affine ? parameters[3].f32()[i] : 0;
  }
  return {.mean = parameters[0].f32(), .scale = scale, .bias = bias};
}
inline int64_t norm_vector_floats(int64_t channels) {
  return 2 * round_up(channels, 16);
}

}  // namespace dl
