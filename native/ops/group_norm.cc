// group_norm (Wu, He 2018): each sample over its pixels and the channels of a group; instance norm has c
// groups. The kernels are those of batch norm, with vectors of the sample's own.
//   group_norm        x [gamma beta] → y mean[n,groups] rstd[n,groups]        [..] when affine
//   group_norm_grad   dy x mean rstd [gamma] → dx [dgamma dbeta]
#include <cmath>

#include "kernels/kernels.h"
#include "ops/operands.h"
#include "ops/samples.h"

namespace dl {
namespace {

constexpr int kNone = static_cast<int>(FusedActivation::none);

void require_groups(const TensorSpec& x, int64_t groups) {
  require(groups >= 1 && x.shape.channels() % groups == 0,
          "group_norm: " + std::to_string(x.shape.channels()) + " channels in " + std::to_string(groups) +
              " groups");
  require(x.shape.rank >= 2, "group_norm: expected [n, ..., c], got " + to_string(x.shape));
}

class GroupNorm : public Op {
 public:
  struct Attributes {
    int64_t groups = 1;
    double epsilon = 1e-5;
    bool affine = true;
    template <class V>
    void visit(V&& v) {
      v("groups", groups);
      v("epsilon", epsilon);
      v("affine", affine);
    }
  };
  GroupNorm(const Attributes& attributes, const StepSpec& spec)
      : attributes_(attributes), samples_(spec.inputs.at(0)), kernels_(spec.kernels.norm) {
    const TensorSpec& x = spec.inputs[0];
    require_operands(spec, attributes.affine ? 3 : 1, 3);
    require_groups(x, attributes.groups);
    require_like(x, spec.outputs[0]);
    for (size_t i = 1; i < spec.inputs.size(); i++) require_dense(spec.inputs[i], samples_.channels());
    require_dense(spec.outputs[1], x.shape[0] * attributes.groups);
    require_dense(spec.outputs[2], x.shape[0] * attributes.groups);
  }
  Needs needs() const override {
    return {.scratch = samples_.sum_bytes(2) + 4 * samples_.stride() * int64_t{sizeof(float)}};
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    samples_.run(run, x.shape[0], [&](int64_t s, int thread) {
      std::byte* memory = run.scratch<std::byte>(thread);
      float* shift = reinterpret_cast<float*>(memory + samples_.sum_bytes(2));
      const NormVectors v = statistics(run, s, memory, shift);
      const Block b = samples_.all(s);
      kernels_.normalize[kNone](b.in(x), {}, b.out(y), v, b.rows, b.width);
    });
  }

 private:
  /// Mean and rstd of the sample's groups, and the vectors that follow, in four rows from `shift`.
  NormVectors statistics(const Run& run, int64_t s, std::byte* memory, float* shift) const {
    const int64_t c = samples_.channels(), stride = samples_.stride(), size = c / attributes_.groups;
    const float* first = samples_.all(s).in(run.inputs[0]).data;
    std::copy(first, first + c, shift);
    const double* totals = samples_.sum(s, 2, memory, [&](const Block& b, float* sums) {
      kernels_.moments(b.in(run.inputs[0]), shift, b.rows, c, sums, sums + stride);
    });
    float *mean = shift + stride, *scale = mean + stride, *bias = scale + stride;
    const double pixels = static_cast<double>(samples_.pixels()), m = pixels * static_cast<double>(size);
    for (int64_t g = 0; g < attributes_.groups; g++) {
      double centre = 0, squares = 0;
      for (int64_t i = g * size; i < (g + 1) * size; i++)
        centre += (pixels * static_cast<double>(shift[i]) + totals[i]) / m;
      for (int64_t i = g * size; i < (g + 1) * size; i++) {
        double distance = static_cast<double>(shift[i]) + totals[i] / pixels - centre;
        squares += totals[stride + i] - totals[i] * totals[i] / pixels + pixels * distance * distance;
      }
      const double variance = squares < 0 ? 0 : squares / m;
      const double rstd = 1 / std::sqrt(variance + attributes_.epsilon);
      run.outputs[1].f32()[s * attributes_.groups + g] = static_cast<float>(centre);
      run.outputs[2].f32()[s * attributes_.groups + g] = static_cast<float>(rstd);
      for (int64_t i = g * size; i < (g + 1) * size; i++) {
        mean[i] = static_cast<float>(centre);
        scale[i] =
            static_cast<float>(rstd * (attributes_.affine ? static_cast<double>(run.inputs[1].f32()[i]) : 1));
        bias[i] = attributes_.affine ? run.inputs[2].f32()[i] : 0;
      }
    }
    return {.mean = mean, .scale = scale, .bias = bias};
  }

  Attributes attributes_;
  Samples samples_;
  const NormKernels& kernels_;
};

class GroupNormGrad : public Op {
 public:
  struct Attributes {
    int64_t groups = 1;
    bool affine = true;
    template <class V>
    void visit(V&& v) {
      v("groups", groups);
      v("affine", affine);
    }
  };
  GroupNormGrad(const Attributes& attributes, const StepSpec& spec)
      : attributes_(attributes),
        samples_(spec.inputs.at(1)),
        rows_(spec.inputs[1].shape[0]),
        kernels_(spec.kernels.norm) {
    const TensorSpec& x = spec.inputs[1];
    require_operands(spec, attributes.affine ? 5 : 4, attributes.affine ? 3 : 1);
    require_groups(x, attributes.groups);
    require_like(spec.inputs[0], x);
    require_like(spec.outputs[0], x);
    require_dense(spec.inputs[2], x.shape[0] * attributes.groups);
    require_dense(spec.inputs[3], x.shape[0] * attributes.groups);
    if (!attributes.affine) return;
    require_dense(spec.inputs[4], samples_.channels());
    require_dense(spec.outputs[1], samples_.channels());
    require_dense(spec.outputs[2], samples_.channels());
  }
  Needs needs() const override {
    // dgamma and dbeta of every sample, added up in their order.
    int64_t workspace = attributes_.affine ? rows_ * 2 * samples_.stride() * int64_t{sizeof(float)} : 0;
    return {.scratch = samples_.sum_bytes(2) + 5 * samples_.stride() * int64_t{sizeof(float)},
            .workspace = workspace};
  }
  void run(const Run& run) const override {
    const Tensor &dy = run.inputs[0], &x = run.inputs[1], &dx = run.outputs[0];
    samples_.run(run, x.shape[0], [&](int64_t s, int thread) {
      const NormVectors v = vectors(run, s, run.scratch<std::byte>(thread));
      const Block b = samples_.all(s);
      NormGradient g;
      g.dy = b.in(dy);
      g.x = b.in(x);
      g.dx = b.out(dx);
      kernels_.gradient_input[kNone](g, v, b.rows, b.width);
    });
    if (!attributes_.affine) return;
    const int64_t stride = samples_.stride();
    for (int64_t i = 0; i < samples_.channels(); i++) {
      double dgamma = 0, dbeta = 0;
      for (int64_t s = 0; s < x.shape[0]; s++) {
        dgamma += static_cast<double>(parameters(run, s)[i]);
        dbeta += static_cast<double>(parameters(run, s)[stride + i]);
      }
      run.outputs[1].f32()[i] = static_cast<float>(dgamma);
      run.outputs[2].f32()[i] = static_cast<float>(dbeta);
    }
  }

 private:
  float* parameters(const Run& run, int64_t s) const {
    return reinterpret_cast<float*>(run.workspace) + s * 2 * samples_.stride();
  }
  /// The sums of the sample, its share of dgamma and dbeta, and what gradient_input takes.
  NormVectors vectors(const Run& run, int64_t s, std::byte* memory) const {
    const int64_t c = samples_.channels(), stride = samples_.stride(), size = c / attributes_.groups;
    const float* means = run.inputs[2].f32() + s * attributes_.groups;
    const float* rstds = run.inputs[3].f32() + s * attributes_.groups;
    float* mean = reinterpret_cast<float*>(memory + samples_.sum_bytes(2));
    float *scale = mean + stride, *bias = scale + stride, *slope = bias + stride, *offset = slope + stride;
    for (int64_t i = 0; i < c; i++) {
      mean[i] = means[i / size];
      scale[i] = bias[i] = 0;
    }
    const NormVectors v{.mean = mean, .scale = scale, .bias = bias, .slope = slope, .offset = offset};
    const double* totals = samples_.sum(s, 2, memory, [&](const Block& b, float* sums) {
      NormGradient g;
      g.dy = b.in(run.inputs[0]);
      g.x = b.in(run.inputs[1]);
      kernels_.gradient_sums[kNone](g, v, b.rows, c, sums, sums + stride);
    });
    const double m = static_cast<double>(samples_.pixels() * size);
    auto gamma = [&](int64_t i) {
      return attributes_.affine ? static_cast<double>(run.inputs[4].f32()[i]) : 1.0;
    };
    for (int64_t g = 0; g < attributes_.groups; g++) {
      const double rstd = static_cast<double>(rstds[g]);
      double a = 0, b = 0;
      for (int64_t i = g * size; i < (g + 1) * size; i++) {
        a += gamma(i) * totals[i];
        b += gamma(i) * totals[stride + i] * rstd;
      }
      for (int64_t i = g * size; i < (g + 1) * size; i++) {
        scale[i] = static_cast<float>(gamma(i) * rstd);
        slope[i] = static_cast<float>(-rstd * rstd * b / m);
        offset[i] = static_cast<float>(-rstd * a / m);
      }
    }
    if (attributes_.affine) {
      float* share = parameters(run, s);
      for (int64_t i = 0; i < c; i++) {
        share[i] = static_cast<float>(totals[stride + i] * static_cast<double>(rstds[i / size]));
        share[stride + i] = static_cast<float>(totals[i]);
      }
    }
    return v;
  }

  Attributes attributes_;
  Samples samples_;
  int64_t rows_;
  const NormKernels& kernels_;
};

}  // namespace

DL_DEFINE_OP(group_norm, GroupNorm)
DL_DEFINE_OP(group_norm_grad, GroupNormGrad)

}  // namespace dl
