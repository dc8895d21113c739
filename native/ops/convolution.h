// The algorithms behind conv2d and its input gradient: both slide taps over a source image
// (conv2d_geometry.h), so an algorithm is written once for the two. Also the choice between them.
#pragma once
#include <algorithm>
#include <memory>

#include "kernels/kernels.h"
#include "ops/conv2d_geometry.h"
#include "ops/fused_norm.h"

namespace dl {

/// Work items that a convolution or its weight gradient should have, to share them evenly among a few
/// threads, unless they get too small.
constexpr int64_t kItems = 16;

/// What is done to the sums before they are stored: y = act(sum + bias + residual), and moments of y; and for
/// an input gradient the gradient sums of the norm before the convolution.
struct Epilogue {
  bool bias = false;
  bool residual = false;
  bool moments = false;
  /// Index of the activation in tables by FusedActivation.
  int activation = 0;
  /// The activation of the norm whose gradient sums are wanted, or -1.
  int sums = -1;

  /// Whether numbers of each part of the destination are kept, and joined in the end: two a channel.
  bool has_parts() const { return moments || sums >= 0; }
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
  /// Of the norm whose gradient sums are wanted: its input, like the destination.
  Tensor norm_input;
  NormVectors norm;
  const float* norm_variance;
  double norm_epsilon;
  float* dbeta;
  float* dgamma;
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

/// The same for gradient sums: visit(Σ dz, Σ dz·(x - mean), pixels) of each piece.
template <class EachPiece>
void join_gradient_sums(const Run& run, const ConvolutionOperands& o, int64_t channels,
                        const EachPiece& each_piece) {
  constexpr int64_t kChannels = 32;
  run.parallel_blocks(channels, kChannels, [&](int64_t begin, int64_t end, int) {
    double dbeta[kChannels] = {}, dgamma[kChannels] = {};
    each_piece([&](const float* sum, const float* product, int64_t) {
      for (int64_t c = begin; c < end; c++) {
        dbeta[c - begin] += static_cast<double>(sum[c]);
        dgamma[c - begin] += static_cast<double>(product[c]);
      }
    });
    for (int64_t c = begin; c < end; c++) {
      o.dbeta[c] = static_cast<float>(dbeta[c - begin]);
      o.dgamma[c] =
          static_cast<float>(dgamma[c - begin] * reciprocal_deviation(o.norm_variance[c], o.norm_epsilon));
    }
  });
}

/// What an epilogue keeps of its parts, joined.
template <class EachPiece>
void join_parts(const Run& run, const Epilogue& epilogue, const ConvolutionOperands& o, int64_t channels,
                const EachPiece& each_piece) {
  if (epilogue.moments) join_moments(run, o, channels, each_piece);
  if (epilogue.sums >= 0) join_gradient_sums(run, o, channels, each_piece);
}

/// The numbers of a part of the destination that is still in the cache: `pixels` pixels from `pixel`, columns
/// [column, column + columns), written to first[columns] and second[columns].
inline void measure_part(const Kernels& kernels, const Epilogue& epilogue, const ConvolutionOperands& o,
                         int64_t pixel, int64_t pixels, int64_t column, int64_t columns, float* first,
                         float* second) {
  const float* y = o.destination.f32() + pixel * o.destination.stride + column;
  if (epilogue.moments) kernels.conv.moments(y, o.destination.stride, pixels, columns, first, second);
  if (epilogue.sums < 0) return;
  std::fill_n(first, columns, 0.0f);
  std::fill_n(second, columns, 0.0f);
  const float* x = o.norm_input.f32() + pixel * o.norm_input.stride + column;
  kernels.norm.gradient_sums[epilogue.sums]({.dy = {y, o.destination.stride}, .x = {x, o.norm_input.stride}},
                                            from_channel(o.norm, column), pixels, columns, first, second);
}

/// Chooses the algorithm, from the planned shape and the attributes alone.
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

/// How many groups of few channels are computed as one; 1 where groups are computed each by itself.
int64_t joined_groups(const Conv2dShape& shape);
/// Only for shapes whose groups are joined.
std::unique_ptr<Convolution> make_joined_convolution(const ConvolutionSpec& spec);

/// dw [kh, kw, ic / groups, oc] and optionally db [oc].
class WeightGradient {
 public:
  virtual ~WeightGradient() = default;
  virtual Needs needs() const = 0;
  /// `db` may be null when it was not asked for.
  virtual void run(const Run& run, const Tensor& x, const NormVectors& prologue, const Tensor& dy, float* dw,
                   float* db) const = 0;
};

/// db[j] = Σ over the slabs, in their order, of sums[slab · channels + j].
inline void join_bias(const double* sums, int64_t slabs, int64_t channels, float* db) {
  for (int64_t j = 0; j < channels; j++) {
    double total = 0;
    for (int64_t slab = 0; slab < slabs; slab++) total += sums[slab * channels + j];
    db[j] = static_cast<float>(total);
  }
}

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
/// Only for shapes whose groups are joined.
std::unique_ptr<WeightGradient> make_joined_weight_gradient(const WeightGradientSpec& spec);

}  // namespace dl
