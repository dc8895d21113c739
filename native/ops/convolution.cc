// The choice of algorithm for convolutions: a pure function of the planned shape and the attributes.
#include "ops/convolution.h"

namespace dl {
namespace {

enum class Algorithm { direct, depthwise, joined, winograd };

/// Whether Winograd's transforms cost less than the multiply-adds that they save. Costs are in multiply-adds
/// of a vector lane, at the shares of the peak that the products reach.
bool winograd_pays(const Conv2dShape& s, int64_t height, int64_t width) {
  const auto ic = static_cast<double>(s.ic_per_group()), oc = static_cast<double>(s.oc_per_group());
  if (std::min(ic, oc) < 16) return false;
  const auto tiles = static_cast<double>(s.n * ceil_div(height, 4) * ceil_div(width, 4));
  // Of a transform: 36 numbers a tile and channel. The 36 for a weight come from the third-level cache or
  // from memory: with few tiles to share them that takes longer than the products (4 tiles of 512 channels:
  // twice as long as direct), and longer still where others use the caches too (16 tiles of 64 channels: as
  // long as direct at best, 1.35 times in the median).
  constexpr double kTransform = 400, kWeights = 1200;
  const double direct =
      static_cast<double>(s.n * height * width) * 9 * ic * oc / (std::min(ic, oc) < 32 ? 0.8 : 0.85);
  return tiles * (36 * ic * oc / 0.85 + kTransform * (ic + oc)) + kWeights * ic * oc < direct;
}

Algorithm choose(const Conv2dShape& shape, int64_t height, int64_t width) {
  if (has_small_groups(shape)) return Algorithm::depthwise;
  if (joined_groups(shape) > 1) return Algorithm::joined;
  if (!shape.attributes.exact && has_winograd_form(shape) && winograd_pays(shape, height, width))
    return Algorithm::winograd;
  return Algorithm::direct;
}

}  // namespace

bool has_winograd_form(const Conv2dShape& shape) {
  const Conv2dAttributes& a = shape.attributes;
  return shape.kh == 3 && shape.kw == 3 && a.stride[0] == 1 && a.stride[1] == 1 && a.dilation[0] == 1 &&
         a.dilation[1] == 1 && std::all_of(a.pad.begin(), a.pad.end(), [](int64_t pad) { return pad <= 2; });
}

std::unique_ptr<Convolution> make_convolution(const ConvolutionSpec& spec) {
  const Conv2dShape& s = spec.shape;
  switch (choose(s, spec.backward ? s.ih : s.oh, spec.backward ? s.iw : s.ow)) {
    case Algorithm::depthwise:
      return make_depthwise_convolution(spec);
    case Algorithm::joined:
      return make_joined_convolution(spec);
    case Algorithm::winograd:
      return make_winograd_convolution(spec);
    case Algorithm::direct:
      break;
  }
  return make_direct_convolution(spec);
}

std::unique_ptr<WeightGradient> make_weight_gradient(const WeightGradientSpec& spec) {
  switch (choose(spec.shape, spec.shape.oh, spec.shape.ow)) {
    case Algorithm::depthwise:
      return make_depthwise_weight_gradient(spec);
    case Algorithm::joined:
      return make_joined_weight_gradient(spec);
    case Algorithm::winograd:
      return make_winograd_weight_gradient(spec);
    case Algorithm::direct:
      break;
  }
  return make_direct_weight_gradient(spec);
}

}  // namespace dl
