// The algorithms behind conv2d and its input gradient: both slide taps over a source image
// (conv2d_geometry.h), so an algorithm is written once for the two. Also the choice between them.
#pragma once
#include <memory>

#include "kernels/conv/conv.h"
#include "ops/conv2d_geometry.h"

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
  Epilogue epilogue;
  const Kernels& kernels;

  int64_t source_channels() const { return backward ? shape.oc : shape.ic; }
  int64_t destination_channels() const { return backward ? shape.ic : shape.oc; }
};

struct ConvolutionOperands {
  Tensor source;
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
  virtual void run(const Run& run, const ConvolutionOperands& operands) const = 0;
};

/// Chooses the algorithm, from the planned shape and the instruction set alone.
std::unique_ptr<Convolution> make_convolution(const ConvolutionSpec& spec);

std::unique_ptr<Convolution> make_direct_convolution(const ConvolutionSpec& spec);

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
  virtual void run(const Run& run, const Tensor& x, const Tensor& dy, float* dw, float* db) const = 0;
};

struct WeightGradientSpec {
  Conv2dShape shape;
  int64_t x_stride;
  bool bias;
  const Kernels& kernels;
};

std::unique_ptr<WeightGradient> make_weight_gradient(const WeightGradientSpec& spec);

std::unique_ptr<WeightGradient> make_direct_weight_gradient(const WeightGradientSpec& spec);
/// Only for shapes with small groups.
std::unique_ptr<WeightGradient> make_depthwise_weight_gradient(const WeightGradientSpec& spec);

}  // namespace dl
