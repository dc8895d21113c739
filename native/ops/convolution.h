// The algorithms behind conv2d and its input gradient: both slide taps over a source image
// (conv2d_geometry.h), so an algorithm is written once for the two. Also the choice between them.
#pragma once
#include <algorithm>
#include <memory>

#include "kernels/conv/conv.h"
#include "ops/conv2d_geometry.h"
#include "ops/prologue.h"

namespace dl {

/// What is done to the sums before they are stored: y = act(sum + bias + residual), and moments of y.
struct Epilogue {
  bool bias = false;
  bool residual = false;
  bool moments = false;
  /// Index of the activation in tables by FusedActivation.
  int activation = 0;
};

/// What a convolution is chosen and prepared from.
struct ConvolutionSpec {
  Conv2dShape shape;
  /// The input gradient: source dy, destination dx.
  bool backward;
  int64_t source_stride;
  /// The activation of the source's prologue, or -1 without one.
  int prologue;
  Epilogue epilogue;
  const Kernels& kernels;

  int64_t source_channels() const { return backward ? shape.oc : shape.ic; }
  int64_t destination_channels() const { return backward ? shape.ic : shape.oc; }
};

struct ConvolutionOperands {
  Tensor source;
  NormVectors prologue;
  const float* weights;
  const float* bias;
  Tensor residual;
  Tensor destination;
  float* mean;
  float* variance;
  float* unbiased;
};

class Convolution {
 public:
  virtual ~Convolution() = default;
  virtual Needs needs() const = 0;
  /// Whether the weights themselves are read in every run, not only while what is derived from them is stale.
  virtual bool reads_weights() const = 0;
  virtual void run(const Run& run, const ConvolutionOperands& operands) const = 0;
};

/// Joins the moments of pieces of the destination in double. `each_piece(visit)` calls visit(mean, m2,
/// pixels) for one after the other, in the order of the pixels: means and sums of squared differences from
/// them, by channel (Chan, Golub and LeVeque, 1979).
template <class EachPiece>
void join_moments(const Run& run, const ConvolutionOperands& o, int64_t channels,
                  const EachPiece& each_piece) {
  constexpr int64_t kChannels = 32;
  run.parallel_blocks(channels, kChannels, [&](int64_t begin, int64_t end, int) {
    double mean[kChannels] = {}, m2[kChannels] = {}, seen = 0;
    each_piece([&](const float* piece_mean, const float* piece_m2, int64_t pixels) {
      const auto more = static_cast<double>(pixels);
      const double total = seen + more;
      for (int64_t c = begin; c < end; c++) {
        const double delta = static_cast<double>(piece_mean[c]) - mean[c - begin];
        mean[c - begin] += delta * (more / total);
        m2[c - begin] += static_cast<double>(piece_m2[c]) + delta * delta * (seen * more / total);
      }
      seen = total;
    });
    for (int64_t c = begin; c < end; c++) {
      o.mean[c] = static_cast<float>(mean[c - begin]);
      o.variance[c] = static_cast<float>(m2[c - begin] / seen);
      o.unbiased[c] = static_cast<float>(m2[c - begin] / std::max(seen - 1, 1.0));
    }
  });
}

/// Chooses the algorithm, from the planned shape and the instruction set alone.
std::unique_ptr<Convolution> make_convolution(const ConvolutionSpec& spec);

std::unique_ptr<Convolution> make_direct_convolution(const ConvolutionSpec& spec);

/// Whether Winograd's tiles serve: 3x3, stride 1, no dilation, padding of at most 2.
bool has_winograd_form(const Conv2dShape& shape);
/// Only for shapes that have that form.
std::unique_ptr<Convolution> make_winograd_convolution(const ConvolutionSpec& spec);

/// Whether the groups have 1, 4 or 8 channels in and as many out: what the depthwise kernels are written for.
inline bool has_small_groups(const Conv2dShape& shape) {
  const int64_t group = shape.ic_per_group();
  return shape.attributes.groups > 1 && group == shape.oc_per_group() &&
         (group == 1 || group == 4 || group == 8);
}
/// Only for shapes with small groups.
std::unique_ptr<Convolution> make_depthwise_convolution(const ConvolutionSpec& spec);

/// dw [kh, kw, ic / groups, oc] and optionally db [oc].
class WeightGradient {
 public:
  virtual ~WeightGradient() = default;
  virtual Needs needs() const = 0;
  /// `db` may be null when it was not asked for.
  virtual void run(const Run& run, const Tensor& x, const NormVectors& prologue, const Tensor& dy, float* dw,
                   float* db) const = 0;
};

struct WeightGradientSpec {
  Conv2dShape shape;
  int64_t x_stride;
  /// The activation of x's prologue, or -1 without one.
  int prologue;
  bool bias;
  const Kernels& kernels;
};

std::unique_ptr<WeightGradient> make_weight_gradient(const WeightGradientSpec& spec);

std::unique_ptr<WeightGradient> make_direct_weight_gradient(const WeightGradientSpec& spec);
/// Only for shapes that have Winograd's form.
std::unique_ptr<WeightGradient> make_winograd_weight_gradient(const WeightGradientSpec& spec);
/// Only for shapes with small groups.
std::unique_ptr<WeightGradient> make_depthwise_weight_gradient(const WeightGradientSpec& spec);

}  // namespace dl
