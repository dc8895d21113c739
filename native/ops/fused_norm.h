// A batch norm that another op computes on the way: its parameters among that op's inputs, and its vectors.
//   as a prologue     the input of a convolution is act((x - mean)·scale + bias), computed while it is read
//   as gradient sums  of the gradient that a convolution writes: the gradients of β and γ
#pragma once
#include <string>

#include "kernels/conv/conv.h"
#include "ops/fused_activation.h"
#include "ops/norm_vectors.h"
#include "ops/operands.h"

namespace dl {

struct FusedNormAttributes {
  bool given = false;
  std::string activation = "none";
  double epsilon = 1e-5;
  bool affine = true;

  /// `names`: of the four fields on the wire.
  template <class V>
  void visit(V&& v, const char* const (&names)[4]) {
    v(names[0], given);
    v(names[1], activation);
    v(names[2], epsilon);
    v(names[3], affine);
  }
};

constexpr const char* kPrologueNames[] = {"prologue", "prologueActivation", "prologueEpsilon",
                                          "prologueAffine"};
constexpr const char* kSumsNames[] = {"sums", "sumsActivation", "sumsEpsilon", "sumsAffine"};

class FusedNorm {
 public:
  /// Of tensors of `channels` channels. Mean, variance and, if affine, γ and β are the op's last inputs.
  FusedNorm(const FusedNormAttributes& attributes, const StepSpec& spec, int64_t channels)
      : channels_(channels),
        epsilon_(attributes.epsilon),
        inputs_(attributes.given ? (attributes.affine ? 4 : 2) : 0),
        activation_(attributes.given ? fused_activation(attributes.activation, false) : -1) {
    require(spec.inputs.size() >= inputs_, "the parameters of a fused norm are missing");
    for (size_t i = spec.inputs.size() - inputs_; i < spec.inputs.size(); i++)
      require_dense(spec.inputs[i], channels);
  }

  bool given() const { return inputs_ > 0; }
  /// Of the op's inputs.
  size_t inputs() const { return inputs_; }
  double epsilon() const { return epsilon_; }
  /// Index of the activation in tables by FusedActivation, or -1 without a norm.
  int activation() const { return activation_; }
  /// Of the vectors.
  int64_t floats() const { return inputs_ ? norm_vector_floats(channels_) : 0; }
  NormVectors vectors(const Run& run, float* memory) const {
    if (!inputs_) return {};
    return norm_vectors(run.inputs.last(inputs_), epsilon_, channels_, memory);
  }

 private:
  int64_t channels_;
  double epsilon_;
  size_t inputs_;
  int activation_;
};

/// The vectors from channel `channel` on.
inline NormVectors from_channel(const NormVectors& v, int64_t channel) {
  return {.mean = v.mean + channel, .scale = v.scale + channel, .bias = v.bias + channel};
}

/// Makes a padded copy, by way of a prologue if there is one: `activation` as above.
inline void copy_padded(const ConvKernels& kernels, const PaddedCopy& copy, int activation,
                        const NormVectors& norm, int64_t channel) {
  if (activation < 0) return kernels.copy(copy);
  kernels.copy_normalized[activation](copy, from_channel(norm, channel));
}

/// Rows [top, top + rows) of image `image` of x, in whole and dense, by way of a prologue; rows that x does
/// not have are 0. @returns where row 0 of the image would lie
inline const float* normalized_rows(const ConvKernels& kernels, const Tensor& x, int64_t image, int64_t top,
                                    int64_t rows, int activation, const NormVectors& norm, float* copy) {
  const int64_t height = x.shape[1], width = x.shape[2], channels = x.channels();
  copy_padded(kernels,
              {
                  .from = x.f32() + image * height * width * x.stride,
                  .from_stride = x.stride,
                  .height = height,
                  .width = width,
                  .top = top,
                  .left = 0,
                  .channels = channels,
                  .to = copy,
                  .to_stride = channels,
                  .rows = rows,
                  .columns = width,
              },
              activation, norm, 0);
  return copy - top * width * channels;
}

}  // namespace dl
