// The weights of a convolution as inputs of an op, with what scales its sums channel by channel: its bias,
// and a norm with constant statistics behind it. Both fold into other weights and another bias:
//
//   (x * w + bias - mean) / sqrt(variance + epsilon) gamma + beta  =  x * (w s) + (beta + (bias - mean) s)
//
// with s = gamma / sqrt(variance + epsilon).
#pragma once
#include <cmath>

#include "ops/operands.h"

namespace dl {

struct FoldedWeightsAttributes {
  bool bias = false;
  bool norm = false;
  double epsilon = 1e-5;
  bool affine = true;

  /// `names`: of the four fields on the wire.
  template <class V>
  void visit(V&& v, const char* const (&names)[4]) {
    v(names[0], bias);
    v(names[1], norm);
    v(names[2], epsilon);
    v(names[3], affine);
  }
};

class FoldedWeights {
 public:
  /// The inputs from `first` on: w [..., columns], then bias, mean, variance, γ and β, those that there are.
  FoldedWeights(const FoldedWeightsAttributes& attributes, const StepSpec& spec, size_t first)
      : attributes_(attributes), first_(first), norm_(first + 1 + attributes.bias) {
    require(spec.inputs.size() >= first + inputs(), "weights, a bias or a norm are missing");
    columns_ = spec.inputs[first].shape.channels();
    rows_ = spec.inputs[first].shape.pixels();
    for (size_t i = first + 1; i < first + inputs(); i++) require_dense(spec.inputs[i], columns_);
  }

  /// Of the op's inputs.
  size_t inputs() const {
    const size_t statistics = attributes_.norm ? (attributes_.affine ? 4 : 2) : 0;
    return norm_ - first_ + statistics;
  }
  bool has_bias() const { return attributes_.bias || attributes_.norm; }
  /// Whether weights and bias differ from those that are given.
  bool folds() const { return attributes_.norm; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  /// Of folded weights, and of a folded bias or a vector of scales: none where nothing is folded.
  int64_t floats() const { return folds() ? rows_ * columns_ : 0; }
  int64_t vector_floats() const { return folds() ? columns_ : 0; }

  const float* weights(const Run& run) const { return run.inputs[first_].f32(); }
  /// Or null.
  const float* bias(const Run& run) const {
    return attributes_.bias ? run.inputs[first_ + 1].f32() : nullptr;
  }
  /// Writes the folded weights and bias; `scale` is memory that is needed meanwhile.
  void fold(const Run& run, float* scale, float* weights, float* bias) const {
    const auto vector = [&](size_t i) { return run.inputs[norm_ + i].f32(); };
    const float *mean = vector(0), *variance = vector(1), *given = this->bias(run),
                *from = this->weights(run);
    for (int64_t c = 0; c < columns_; c++) {
      double s = 1 / std::sqrt(static_cast<double>(variance[c]) + attributes_.epsilon);
      double beta = 0;
      if (attributes_.affine) {
        s *= static_cast<double>(vector(2)[c]);
        beta = static_cast<double>(vector(3)[c]);
      }
      const double before = given ? static_cast<double>(given[c]) : 0;
      scale[c] = static_cast<float>(s);
      bias[c] = static_cast<float>(beta + (before - static_cast<double>(mean[c])) * s);
    }
    constexpr int64_t kFloats = 16 << 10;
    run.parallel_blocks(rows_, std::max<int64_t>(1, kFloats / columns_),
                        [&](int64_t begin, int64_t end, int) {
                          for (int64_t row = begin; row < end; row++)
                            for (int64_t c = 0; c < columns_; c++)
                              weights[row * columns_ + c] = from[row * columns_ + c] * scale[c];
                        });
  }

 private:
  FoldedWeightsAttributes attributes_;
  /// Indices of the weights and of the norm's first input.
  size_t first_, norm_;
  int64_t rows_ = 0, columns_ = 0;
};

}  // namespace dl
