// The source of Winograd's convolutions and weight gradients: images whose tiles of 6x6 pixels, padding
// included, are transformed into planes (kernels/winograd/winograd.h).
#pragma once
#include "kernels/kernels.h"
#include "ops/conv2d_geometry.h"
#include "ops/fused_norm.h"

namespace dl {

class WinogradSource {
 public:
  struct Size {
    int64_t h, w;
  };

  /// Images of `size` behind `pad` zeros, in rows of so many tiles; `channels` of a group. `activation`: of a
  /// prologue, or -1.
  WinogradSource(const Kernels& kernels, Size size, Size pad, int64_t tile_columns, int64_t channels,
                 int activation)
      : kernels_(kernels),
        size_(size),
        pad_(pad),
        tile_columns_(tile_columns),
        channels_(channels),
        activation_(activation),
        columns_(tile_columns * kWinogradTile + kOverlap),
        pixel_(copied_stride(channels)) {}

  /// Floats of the padded copy of so many rows of tiles.
  int64_t copy_floats(int64_t rows) const { return window_rows(rows) * columns_ * pixel_; }

  /// Which channels of which rows of tiles of an image, and which rows of their 6x6 places.
  struct Part {
    int64_t group, image;
    Range rows, places;
  };
  /// Transforms a part by way of a padded copy. `norm`: of the prologue; `to`: the first tile in the first
  /// plane.
  void transform(const Tensor& source, const NormVectors& norm, const Part& part, float* copy, float* to,
                 int64_t tile_stride, int64_t plane_stride) const {
    const int64_t channel = part.group * channels_;
    copy_padded(kernels_.conv,
                {
                    .from = source.f32() + part.image * size_.h * size_.w * source.stride + channel,
                    .from_stride = source.stride,
                    .height = size_.h,
                    .width = size_.w,
                    .top = part.rows.begin * kWinogradTile - pad_.h,
                    .left = -pad_.w,
                    .channels = channels_,
                    .to = copy,
                    .to_stride = pixel_,
                    .rows = window_rows(part.rows.size()),
                    .columns = columns_,
                },
                activation_, norm, channel);
    for (int64_t row = 0; row < part.rows.size(); row++) {
      kernels_.winograd.input({
          .from = copy + row * kWinogradTile * columns_ * pixel_,
          .row_stride = columns_ * pixel_,
          .pixel_stride = pixel_,
          .tiles = tile_columns_,
          .channels = channels_,
          .to = to + row * tile_columns_ * tile_stride,
          .tile_stride = tile_stride,
          .plane_stride = plane_stride,
          .first = part.places.begin,
          .last = part.places.end,
      });
    }
  }

 private:
  /// Pixels that neighbouring tiles have in common.
  static constexpr int64_t kOverlap = kWinogradWindow - kWinogradTile;
  static int64_t window_rows(int64_t rows) { return rows * kWinogradTile + kOverlap; }

  const Kernels& kernels_;
  const Size size_, pad_;
  const int64_t tile_columns_, channels_;
  const int activation_;
  /// Of the copy: pixels of a row, and floats from a pixel to the next.
  const int64_t columns_, pixel_;
};

}  // namespace dl
