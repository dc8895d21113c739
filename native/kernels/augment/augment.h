// Rows of pictures on their way from bytes to normalised floats.
#pragma once
#include <cstdint>

namespace dl {

/// Colour jitter by torchvision's formulas for float images (functional: adjust_brightness, _contrast,
/// _saturation, _hue), in this order; 1, 1, 1, 0 changes nothing. Values are clamped to [0, 1] after each of
/// the first three.
///   brightness: v·b      contrast: f·v + (1 - f)·mean      saturation: f·v + (1 - f)·grey
///   grey = 0.2989 r + 0.587 g + 0.114 b
///   hue: h + hue modulo 1 in HSV
struct ColorJitter {
  float brightness, contrast, saturation, hue;
  /// Of the grey picture, after brightness: what contrast is about.
  float mean;
};

struct AugmentKernels {
  /// to[i] = Σ_k weight[k] · rows[k][i]
  void (*combine)(const uint8_t* const* rows, const float* weight, int64_t count, int64_t length, float* to);
  /// to[o][c] = rest[o] · fill[c] + Σ_k weight[k] · from[index[k] + c]
  /// for start[o] <= k < start[o + 1], o < outputs.
  void (*resample)(const int32_t* start, const int32_t* index, const float* weight, int64_t outputs,
                   int64_t channels, const float* from, const float* rest, const float* fill, float* to);
  /// to[i] = from[i] · scale[i] + shift[i]
  void (*normalize_bytes)(const uint8_t* from, const float* scale, const float* shift, int64_t length,
                          float* to);
  void (*normalize)(const float* from, const float* scale, const float* shift, int64_t length, float* to);
  /// to[i] = to[i] · weight + from[i] · (1 - weight)
  void (*blend)(float weight, const float* from, int64_t length, float* to);
  /// planes: three of `length` floats each, red, green, blue in [0, 1].
  void (*jitter)(const ColorJitter& jitter, float* planes, int64_t length);
  /// Σ grey of clamp(brightness · v).
  double (*grey_sum)(float brightness, const float* planes, int64_t length);
};

}  // namespace dl
