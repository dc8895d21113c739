// What is done to the input of a convolution while it is read: act((x - mean)·scale + bias), a batch norm
// that nobody else needs the result of.
#pragma once
#include <string>

#include "ops/fused_activation.h"
#include "ops/norm_vectors.h"
#include "ops/operands.h"

namespace dl {

/// Its inputs (mean, variance and, if affine, γ and β) are the last of the op.
struct PrologueAttributes {
  bool prologue = false;
  std::string prologue_activation = "none";
  double prologue_epsilon = 1e-5;
  bool prologue_affine = true;

  template <class V>
  void visit(V&& v) {
    v("prologue", prologue);
    v("prologueActivation", prologue_activation);
    v("prologueEpsilon", prologue_epsilon);
    v("prologueAffine", prologue_affine);
  }
};

class Prologue {
 public:
  /// The input has `channels` channels.
  Prologue(const PrologueAttributes& attributes, const StepSpec& spec, int64_t channels)
      : channels_(channels),
        epsilon_(attributes.prologue_epsilon),
        inputs_(attributes.prologue ? (attributes.prologue_affine ? 4 : 2) : 0),
        activation_(attributes.prologue ? fused_activation(attributes.prologue_activation, false) : -1) {
    require(spec.inputs.size() >= inputs_, "a convolution's prologue: inputs are missing");
    for (size_t i = spec.inputs.size() - inputs_; i < spec.inputs.size(); i++)
      require_dense(spec.inputs[i], channels);
  }

  /// Of the op's inputs.
  size_t inputs() const { return inputs_; }
  /// Index of the activation in tables by FusedActivation, or -1 without a prologue.
  int activation() const { return activation_; }
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

/// Copies a strip, by way of the norm if there is one: `activation` as above, vectors from channel `channel`.
inline void copy_strip(const ConvKernels& kernels, const ConvStrip& strip, int activation,
                       const NormVectors& norm, int64_t channel) {
  if (activation < 0) return kernels.strip(strip);
  kernels.strip_normalized[activation](
      strip, {.mean = norm.mean + channel, .scale = norm.scale + channel, .bias = norm.bias + channel});
}

}  // namespace dl
