// Winograd's minimal filtering for 3x3 kernels of stride 1, in tiles of 4x4 outputs: 36 multiplications where
// the direct sum has 144 (Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015).
//
//   forward          Y  = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A     d 6x6 inputs, g 3x3 weights, Y 4x4 outputs
//   weight gradient  dg = Gᵀ Σ_tiles [(Bᵀ d B) ⊙ (A y Aᵀ)] G      y 4x4 output gradients
//
// at the points 0, ±√½, ±√2 and ∞, whose rounding errors are 2 to 4 times below those of 0, ±1, ±2, ∞ at the
// same number of operations:
//
//        1   0  -5/2   0   1  0             1    0    0             1  1   1    1    1   0
//        0 -√2   -2   √½   1  0           -2/3 -√2/3 -1/3       Aᵀ = 0  √½ -√½   √2  -√2  0
//   Bᵀ = 0  √2   -2  -√½   1  0       G = -2/3  √2/3 -1/3           0  ½   ½    2    2   0
//        0 -√½  -1/2  √2   1  0            1/6  √2/6  1/3           0  √⅛ -√⅛   √8  -√8  1
//        0  √½  -1/2 -√2   1  0            1/6 -√2/6  1/3
//        0   1    0  -5/2  0  1             0    0    1
//
// Each of the 36 places of a transformed tile has a plane of its own: plane [tiles][channels], so that ⊙ and
// the sum over channels or tiles are 36 matrix products.
#pragma once
#include <cstdint>

#include "kernels/unary/functions.h"

namespace dl {

/// Outputs of a tile along a side, inputs of a tile, and places.
constexpr int64_t kWinogradTile = 4;
constexpr int64_t kWinogradWindow = 6;
constexpr int64_t kWinogradPlanes = 36;

/// Transforms a row of tiles, each 4 pixels right of the one before it:
///   to[(6·(i - first) + j)·plane_stride + t·tile_stride + c],  first <= i < last, 0 <= j < 6, 0 <= t < tiles
/// Channels are rounded up to whole vectors; those beyond `channels` become 0.
struct WinogradTiles {
  const float* from;
  int64_t row_stride, pixel_stride;
  int64_t tiles;
  int64_t channels;
  float* to;
  int64_t tile_stride, plane_stride;
  /// Rows of the 6x6 places.
  int64_t first, last;
};

/// Y of a row of tiles:  to[r·row_stride + p·pixel_stride + c] = act(Y + bias[c] + residual),
/// 0 <= r < rows <= 4, 0 <= p < columns <= 4·tiles.
struct WinogradOutputs {
  const float* from;
  int64_t tile_stride, plane_stride;
  int64_t rows, columns;
  int64_t channels;
  float* to;
  int64_t row_stride, pixel_stride;
  /// [channels], or null.
  const float* bias;
  /// Or null.
  const float* residual;
  int64_t residual_row, residual_pixel;
};

/// dg of `count` weights that lie side by side, from the sums of several slabs of tiles, which are added in
/// their order:  to[(3·i + j)·tap_stride + k], 0 <= k < count, where slab s has place e of weight k at
/// from[s·slab_stride + e·plane_stride + k].
struct WinogradWeightGradient {
  const float* from;
  int64_t plane_stride;
  int64_t slabs, slab_stride;
  int64_t count;
  float* to;
  int64_t tap_stride;
};

struct WinogradKernels {
  /// Bᵀ d B
  void (*input)(const WinogradTiles&);
  /// A y Aᵀ
  void (*output_gradient)(const WinogradTiles&);
  /// By FusedActivation.
  void (*output[static_cast<int>(FusedActivation::count)])(const WinogradOutputs&);
  /// G g Gᵀ of `count` weights that lie side by side, a multiple of the vector: weight k has tap t at
  /// from[t·tap_stride + k] and place e at to[e·plane_stride + k].
  void (*weights)(const float* from, int64_t tap_stride, int64_t count, float* to, int64_t plane_stride);
  void (*weight_gradient)(const WinogradWeightGradient&);
};

}  // namespace dl
