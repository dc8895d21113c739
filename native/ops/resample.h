// The ops that are separable linear maps of images (kernels/resample): they differ in their tables only.
#pragma once
#include "ops/axis.h"
#include "ops/image.h"

namespace dl {

/// in x [n, ih, iw, c]; out y [n, oh, ow, c].
class Resample : public Op {
 public:
  /// Throws E_PLAN when the operands do not fit the tables.
  Resample(const StepSpec& spec, Axis rows, Axis columns);
  Needs needs() const override { return {.scratch = columns_.inputs * channels_ * 4}; }
  void run(const Run& run) const override;

 private:
  Axis rows_, columns_;
  int64_t channels_;
  int64_t grain_;
  const Kernels& kernels_;
};

/// The op of a rule: its attributes, and `axis(input, output, i)`, the table of rows (0) or columns (1) from
/// a side of `input` pixels to one of `output`.
template <class Rule>
struct Resampling : Resample {
  using Attributes = Rule;
  Resampling(const Rule& rule, const StepSpec& spec)
      : Resample(spec, axis(rule, spec, 0), axis(rule, spec, 1)) {}

 private:
  static Axis axis(const Rule& rule, const StepSpec& spec, int i) {
    return rule.axis(first_input(spec).shape[1 + i], first_output(spec).shape[1 + i], i);
  }
};

/// in dy; out dx
template <class Rule>
struct ResamplingGrad : Resample {
  using Attributes = Rule;
  ResamplingGrad(const Rule& rule, const StepSpec& spec)
      : Resample(spec, axis(rule, spec, 0), axis(rule, spec, 1)) {}

 private:
  static Axis axis(const Rule& rule, const StepSpec& spec, int i) {
    return rule.axis(first_output(spec).shape[1 + i], first_input(spec).shape[1 + i], i).transposed();
  }
};

}  // namespace dl
