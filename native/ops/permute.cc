// permute: the dimensions of a tensor in another order; rows stay first.
#include "ops/image.h"

namespace dl {
namespace {

/// in x; out y with y.shape[i] = x.shape[order[i]]; order[0] = 0
class Permute : public Op {
 public:
  struct Attributes {
    std::vector<double> order;
    template <class V>
    void visit(V&& visitor) {
      visitor("order", order);
    }
  };
  Permute(const Attributes& a, const StepSpec& spec) {
    require_operands(spec, 1, 1);
    const TensorSpec &x = spec.inputs[0], &y = spec.outputs[0];
    rank_ = x.shape.rank;
    require_same_rows(x, y);
    require_type(x, DType::f32);
    require_type(y, DType::f32);
    require(y.shape.rank == rank_ && static_cast<int>(a.order.size()) == rank_ && a.order[0] == 0,
            "order: expected every dimension once, rows first");
    bool seen[kMaxRank] = {};
    for (int i = 0; i < rank_; i++) {
      const int from = a.order[static_cast<size_t>(i)] >= 0 && a.order[static_cast<size_t>(i)] < rank_
                           ? static_cast<int>(a.order[static_cast<size_t>(i)])
                           : 0;
      require(!seen[from] && y.shape[i] == x.shape[from], "order does not turn one shape into the other");
      seen[from] = true;
      order_[static_cast<size_t>(i)] = from;
    }
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    std::array<int64_t, kMaxRank> steps{}, walk{};
    int64_t step = x.stride;
    for (int i = rank_ - 1; i >= 0; i--) {
      steps[static_cast<size_t>(i)] = i == rank_ - 1 ? 1 : step;
      if (i < rank_ - 1) step *= x.shape[i];
    }
    for (int i = 0; i < rank_; i++)
      walk[static_cast<size_t>(i)] = steps[static_cast<size_t>(order_[static_cast<size_t>(i)])];
    const int64_t c = y.channels(), inner = walk[static_cast<size_t>(rank_ - 1)];
    run.parallel_blocks(y.pixels(), grain_of(4 * c), [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; p++) {
        int64_t rest = p, offset = 0;
        for (int i = rank_ - 2; i >= 0; i--) {
          offset += rest % y.shape[i] * walk[static_cast<size_t>(i)];
          rest /= y.shape[i];
        }
        const float* from = x.f32() + offset;
        float* to = y.f32() + p * y.stride;
        for (int64_t k = 0; k < c; k++) to[k] = from[k * inner];
      }
    });
  }

 private:
  int rank_;
  std::array<int, kMaxRank> order_{};
};

}  // namespace

DL_DEFINE_OP(permute, Permute)

}  // namespace dl
