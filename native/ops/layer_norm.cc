// layer_norm: each row over its last `axes` dimensions, all dense; the maths is in kernels/rownorm/rownorm.h.
//   layer_norm        x [gamma beta] → y mean[rows] rstd[rows]        [..] when affine
//   layer_norm_grad   dy x mean rstd [gamma] → dx [dgamma dbeta]
#include "kernels/kernels.h"
#include "ops/channel_sums.h"
#include "ops/operands.h"

namespace dl {
namespace {

/// x as a matrix: the normalised dimensions are its columns.
TensorSpec matrix_of(const TensorSpec& x, int64_t axes) {
  require(axes >= 1 && axes <= x.shape.rank, "layer_norm: axes is out of range");
  TensorSpec matrix = x;
  matrix.shape = {.rank = 2, .dims = {1, 1}};
  for (int i = 0; i < x.shape.rank; i++) matrix.shape[i < x.shape.rank - axes ? 0 : 1] *= x.shape[i];
  matrix.stride = matrix.shape[1];
  return matrix;
}

void require_dense_like(const TensorSpec& tensor, const TensorSpec& like) {
  require_like(tensor, like);
  require_dense(tensor, like.shape.elements());
}

class LayerNorm : public Op {
 public:
  struct Attributes {
    int64_t axes = 1;
    float epsilon = 1e-5f;
    bool affine = true;
    template <class V>
    void visit(V&& v) {
      v("axes", axes);
      v("epsilon", epsilon);
      v("affine", affine);
    }
  };
  LayerNorm(const Attributes& attributes, const StepSpec& spec)
      : attributes_(attributes),
        matrix_(matrix_of(spec.inputs.at(0), attributes.axes)),
        kernel_(spec.kernels.rownorm.normalize) {
    require_operands(spec, attributes.affine ? 3 : 1, 3);
    require_dense_like(spec.inputs[0], spec.outputs[0]);
    require_dense_like(spec.outputs[0], spec.inputs[0]);
    for (size_t i = 1; i < spec.inputs.size(); i++) require_dense(spec.inputs[i], matrix_.shape[1]);
    require_dense(spec.outputs[1], matrix_.shape[0]);
    require_dense(spec.outputs[2], matrix_.shape[0]);
  }
  void run(const Run& run) const override {
    const int64_t c = matrix_.shape[1];
    const float *x = run.inputs[0].f32(), *gamma = attributes_.affine ? run.inputs[1].f32() : nullptr;
    const float* beta = attributes_.affine ? run.inputs[2].f32() : nullptr;
    float *y = run.outputs[0].f32(), *mean = run.outputs[1].f32(), *rstd = run.outputs[2].f32();
    run.parallel_blocks(run.inputs[0].elements() / c, block_pixels(matrix_),
                        [&](int64_t begin, int64_t end, int) {
                          kernel_(x + begin * c, gamma, beta, attributes_.epsilon, y + begin * c,
                                  mean + begin, rstd + begin, end - begin, c);
                        });
  }

 private:
  Attributes attributes_;
  TensorSpec matrix_;
  decltype(RownormKernels::normalize) kernel_;
};

class LayerNormGrad : public Op {
 public:
  struct Attributes {
    int64_t axes = 1;
    bool affine = true;
    template <class V>
    void visit(V&& v) {
      v("axes", axes);
      v("affine", affine);
    }
  };
  LayerNormGrad(const Attributes& attributes, const StepSpec& spec)
      : affine_(attributes.affine),
        matrix_(matrix_of(spec.inputs.at(1), attributes.axes)),
        sums_(matrix_, 2),
        kernel_(spec.kernels.rownorm.gradient) {
    require_operands(spec, affine_ ? 5 : 4, affine_ ? 3 : 1);
    require_dense_like(spec.inputs[0], spec.inputs[1]);
    require_dense_like(spec.outputs[0], spec.inputs[1]);
    require_dense(spec.inputs[2], matrix_.shape[0]);
    require_dense(spec.inputs[3], matrix_.shape[0]);
    if (!affine_) return;
    require_dense(spec.inputs[4], matrix_.shape[1]);
    require_dense(spec.outputs[1], matrix_.shape[1]);
    require_dense(spec.outputs[2], matrix_.shape[1]);
  }
  Needs needs() const override { return {.workspace = affine_ ? sums_.workspace() : 0}; }
  void run(const Run& run) const override {
    const int64_t c = matrix_.shape[1], rows = run.inputs[1].elements() / c;
    const float *dy = run.inputs[0].f32(), *x = run.inputs[1].f32(), *mean = run.inputs[2].f32(),
                *rstd = run.inputs[3].f32(), *gamma = affine_ ? run.inputs[4].f32() : nullptr;
    float* dx = run.outputs[0].f32();
    auto rows_of = [&](int64_t begin, int64_t count, float* dgamma, float* dbeta) {
      kernel_(dy + begin * c, x + begin * c, mean + begin, rstd + begin, gamma, dx + begin * c, dgamma, dbeta,
              count, c);
    };
    if (!affine_) {
      run.parallel_blocks(rows, sums_.grain(), [&](int64_t begin, int64_t end, int) {
        rows_of(begin, end - begin, nullptr, nullptr);
      });
      return;
    }
    sums_.accumulate(run, run.workspace, rows, [&](const Block& b, float* sums) {
      rows_of(b.begin, b.rows, sums, sums + sums_.stride());
    });
    const double* totals = sums_.totals(run.workspace, rows);
    std::copy(totals, totals + c, run.outputs[1].f32());
    std::copy(totals + sums_.stride(), totals + sums_.stride() + c, run.outputs[2].f32());
  }

 private:
  bool affine_;
  TensorSpec matrix_;
  ChannelSums sums_;
  decltype(RownormKernels::gradient) kernel_;
};

}  // namespace

DL_DEFINE_OP(layer_norm, LayerNorm)
DL_DEFINE_OP(layer_norm_grad, LayerNormGrad)

}  // namespace dl
