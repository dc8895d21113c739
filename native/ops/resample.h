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

}  // namespace dl
