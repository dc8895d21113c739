// The choice of algorithm for convolutions: a pure function of the planned shape and the instruction set.
#include "ops/convolution.h"

namespace dl {
namespace {

enum class Algorithm { direct, depthwise };

Algorithm choose(const ConvolutionSpec& spec) {
  if (has_small_groups(spec.shape)) return Algorithm::depthwise;
  return Algorithm::direct;
}
Algorithm choose(const WeightGradientSpec& spec) {
  if (has_small_groups(spec.shape)) return Algorithm::depthwise;
  return Algorithm::direct;
}

}  // namespace

std::unique_ptr<Convolution> make_convolution(const ConvolutionSpec& spec) {
  switch (choose(spec)) {
    case Algorithm::depthwise:
      return make_depthwise_convolution(spec);
    case Algorithm::direct:
      break;
  }
  return make_direct_convolution(spec);
}

std::unique_ptr<WeightGradient> make_weight_gradient(const WeightGradientSpec& spec) {
  switch (choose(spec)) {
    case Algorithm::depthwise:
      return make_depthwise_weight_gradient(spec);
    case Algorithm::direct:
      break;
  }
  return make_direct_weight_gradient(spec);
}

}  // namespace dl
