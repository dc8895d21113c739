// The channels of a pixel, mixed (Zhang et al. 2018, arXiv:1707.01083).
#pragma once
#include <cstdint>

namespace dl {

/// Channel j · groups + i of `to` is channel i · (channels / groups) + j of `from`.
inline void shuffle_channels(const float* from, float* to, int64_t channels, int64_t groups) {
  const int64_t width = channels / groups;
  for (int64_t i = 0; i < groups; i++)
    for (int64_t j = 0; j < width; j++) to[j * groups + i] = from[i * width + j];
}

}  // namespace dl
