// correct: logits[n,k] labels[n i32] → hit[n i32]: 1 when the label is among the `k` largest logits of its
// row. Of equal logits the lower index comes first; NaN counts as largest, and a label whose logit is NaN is
// never hit.
#include <cmath>

#include "ops/operands.h"

namespace dl {
namespace {

class Correct : public Op {
 public:
  struct Attributes {
    int64_t k = 1;
    template <class V>
    void visit(V&& v) {
      v("k", k);
    }
  };
  Correct(const Attributes& attributes, const StepSpec& spec) : k_(attributes.k) {
    require_operands(spec, 2, 1);
    const TensorSpec& logits = spec.inputs[0];
    require_type(logits, DType::f32);
    require(logits.shape.rank == 2, "correct: expected logits [n, k], got " + to_string(logits.shape));
    require_dense(spec.inputs[1], logits.shape[0], DType::i32);
    require_dense(spec.outputs[0], logits.shape[0], DType::i32);
    require(spec.inputs[1].count == logits.count && spec.outputs[0].count == logits.count,
            "correct: rows follow different counts");
  }
  void run(const Run& run) const override {
    const Tensor& logits = run.inputs[0];
    run.parallel_blocks(logits.shape[0], 256, [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; r++) {
        run.outputs[0].i32()[r] =
            hit(logits.f32() + r * logits.stride, logits.channels(), run.inputs[1].i32()[r]);
      }
    });
  }

 private:
  int32_t hit(const float* row, int64_t classes, int64_t label) const {
    if (label < 0 || label >= classes || std::isnan(row[label])) return 0;
    int64_t before = 0;
    for (int64_t i = 0; i < classes; i++)
      before += !(row[i] <= row[label]) || (row[i] == row[label] && i < label);
    return before < k_ ? 1 : 0;
  }

  int64_t k_;
};

}  // namespace

DL_DEFINE_OP(correct, Correct)

}  // namespace dl
