// What happens to gradients between the backward pass and the update. Tensors are dense.
//   global_norm   g... → norm[1] = √Σ g², finite[1 i32]
//   all_finite    t... → finite[1 i32]: 1 when no element of any is NaN or infinite
//   clip_scale    norm[1] max[1] → s[1] = min(1, max/(norm + 1e-6)), 1 when max <= 0 as PyTorch's
//                 clip_grad_norm_
//   scale_all     s[1] t...: t *= s in place
//   accumulate    index[1 i32] count[1 i32] g... l...: see Accumulate
#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/kernels.h"
#include "ops/operands.h"
#include "ops/pieces.h"

namespace dl {
namespace {

void require_all_dense(const StepSpec& spec, size_t first) {
  for (size_t i = first; i < spec.inputs.size(); i++)
    require_dense(spec.inputs[i], spec.inputs[i].shape.elements());
}

class GlobalNorm : public Op {
 public:
  using Attributes = NoAttributes;
  GlobalNorm(const Attributes&, const StepSpec& spec)
      : pieces_(sizes_of(spec, 0, 1)), kernel_(spec.kernels.optim.square_sum) {
    require_operands(spec, spec.inputs.size(), 2);
    require_all_dense(spec, 0);
    require_scalar(spec.outputs[0]);
    require_scalar(spec.outputs[1], DType::i32);
  }
  Needs needs() const override { return {.workspace = pieces_.count() * int64_t{sizeof(double)}}; }
  void run(const Run& run) const override {
    double* partial = reinterpret_cast<double*>(run.workspace);
    pieces_.run(run, [&](const Piece& piece, int64_t index) {
      const float* g = run.inputs[static_cast<size_t>(piece.tensor)].f32();
      double total = 0;
      for (int64_t i = piece.begin; i < piece.end; i += kChunk)
        total += square_sum(g + i, std::min(kChunk, piece.end - i));
      partial[index] = total;
    });
    double total = 0;
    for (int64_t i = 0; i < pieces_.count(); i++) total += partial[i];
    // Squares of floats do not overflow in double, so the sum is finite exactly when all elements are.
    *run.outputs[0].f32() = static_cast<float>(std::sqrt(total));
    *run.outputs[1].i32() = std::isfinite(total) ? 1 : 0;
  }

 private:
  static constexpr int64_t kChunk = 4096;
  double square_sum(const float* g, int64_t n) const {
    float fast = kernel_(g, n);
    if (fast > 1e-25f && fast < 1e38f) return static_cast<double>(fast);
    // Zero, or squares that leave the range of float (or are not finite): once more in double.
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += static_cast<double>(g[i]) * static_cast<double>(g[i]);
    return total;
  }
  Pieces pieces_;
  float (*kernel_)(const float*, int64_t);
};

class AllFinite : public Op {
 public:
  using Attributes = NoAttributes;
  AllFinite(const Attributes&, const StepSpec& spec)
      : pieces_(sizes_of(spec, 0, 1)), kernel_(spec.kernels.optim.all_finite) {
    require_operands(spec, spec.inputs.size(), 1);
    require_all_dense(spec, 0);
    require_scalar(spec.outputs[0], DType::i32);
  }
  Needs needs() const override { return {.workspace = pieces_.count()}; }
  void run(const Run& run) const override {
    pieces_.run(run, [&](const Piece& piece, int64_t index) {
      const Tensor& t = run.inputs[static_cast<size_t>(piece.tensor)];
      // A tensor with a run-time count may be shorter than planned.
      int64_t end = std::min(piece.end, t.elements());
      bool finite = end <= piece.begin || kernel_(t.f32() + piece.begin, end - piece.begin);
      run.workspace[index] = static_cast<std::byte>(finite);
    });
    *run.outputs[0].i32() = std::all_of(run.workspace, run.workspace + pieces_.count(),
                                        [](std::byte finite) { return finite != std::byte{0}; });
  }

 private:
  Pieces pieces_;
  bool (*kernel_)(const float*, int64_t);
};

class ClipScale : public Op {
 public:
  using Attributes = NoAttributes;
  ClipScale(const Attributes&, const StepSpec& spec) {
    require_operands(spec, 2, 1);
    for (const TensorSpec& input : spec.inputs) require_scalar(input);
    require_scalar(spec.outputs[0]);
  }
  void run(const Run& run) const override {
    double norm = static_cast<double>(*run.inputs[0].f32()), max = static_cast<double>(*run.inputs[1].f32());
    double s = max / (norm + 1e-6);
    // A norm that is NaN gives NaN: nothing is hidden.
    *run.outputs[0].f32() = max <= 0 || s >= 1 ? 1 : static_cast<float>(s);
  }
};

class ScaleAll : public Op {
 public:
  using Attributes = NoAttributes;
  ScaleAll(const Attributes&, const StepSpec& spec)
      : pieces_(sizes_of(spec, 1, 1)), kernel_(spec.kernels.binary.scale) {
    require_operands(spec, std::max<size_t>(spec.inputs.size(), 1), 0);
    require_scalar(spec.inputs[0]);
    require_all_dense(spec, 1);
  }
  void run(const Run& run) const override {
    const float s = *run.inputs[0].f32();
    if (s == 1) return;
    pieces_.run(run, [&](const Piece& piece, int64_t) {
      float* t = run.inputs[static_cast<size_t>(piece.tensor) + 1].f32() + piece.begin;
      int64_t n = piece.end - piece.begin;
      kernel_({t, n}, s, {t, n}, 1, n);
    });
  }

 private:
  Pieces pieces_;
  void (*kernel_)(In, float, Out, int64_t, int64_t);
};

/// The mean of `count` micro-batches' gradients, called with index 0, 1, ..., count - 1, as a binary tree
/// that depends on count alone. Like adding 1 to a binary number: micro-batch `index` is added to the levels
/// of its trailing one bits and put into the next level; level k holds a sum of 2^k. The last one is added to
/// all that is left, from the lowest level up, and the gradients g become the sum times 1/count. So 4
/// micro-batches give ((0+1)+(2+3))/4. Operands: index, count, P gradients, P level buffers [levels, size];
/// levels >= the bits of count - 1.
class Accumulate : public Op {
 public:
  struct Attributes {
    int64_t parameters = 1;
    template <class V>
    void visit(V&& v) {
      v("parameters", parameters);
    }
  };
  Accumulate(const Attributes& attributes, const StepSpec& spec)
      : parameters_(static_cast<size_t>(attributes.parameters)),
        pieces_({}),
        kernel_(spec.kernels.optim.sum_of) {
    require(attributes.parameters >= 0, "accumulate: parameters is negative");
    require_operands(spec, 2 + 2 * parameters_, 0);
    require_scalar(spec.inputs[0], DType::i32);
    require_scalar(spec.inputs[1], DType::i32);
    require_all_dense(spec, 2);
    std::vector<int64_t> sizes;
    for (size_t p = 0; p < parameters_; p++) {
      sizes.push_back(spec.inputs[2 + p].shape.elements());
      const Shape& levels = spec.inputs[2 + parameters_ + p].shape;
      require(levels.rank > 0 && levels.elements() == levels[0] * sizes.back(),
              "accumulate: levels of " + to_string(levels) + " for " + std::to_string(sizes.back()) +
                  " elements");
      levels_ = p == 0 ? levels[0] : std::min(levels_, levels[0]);
    }
    pieces_ = Pieces(sizes);
  }
  void run(const Run& run) const override {
    const uint32_t index = static_cast<uint32_t>(*run.inputs[0].i32());
    const int32_t count = *run.inputs[1].i32();
    const bool last = static_cast<int64_t>(index) + 1 >= count;
    // The levels to add, lowest first, and the one to store in.
    std::array<int, 32> merged{};
    int merges = 0, level = 0;
    while (level < 32 && (last ? index >> level != 0 : (index >> level & 1) != 0)) {
      if (index >> level & 1) merged[static_cast<size_t>(merges++)] = level;
      level++;
    }
    // More micro-batches than the plan has levels for is a mistake of the caller; it must not become a stray
    // write.
    if ((merges > 0 && merged[static_cast<size_t>(merges - 1)] >= levels_) || (!last && level >= levels_))
      return;
    const float s = last ? static_cast<float>(1.0 / std::max(count, 1)) : 1;
    pieces_.run(run, [&](const Piece& piece, int64_t) {
      const size_t p = static_cast<size_t>(piece.tensor);
      const int64_t size = run.inputs[2 + p].elements();
      float* g = run.inputs[2 + p].f32() + piece.begin;
      float* levels = run.inputs[2 + parameters_ + p].f32() + piece.begin;
      std::array<const float*, 33> terms{g};
      for (int k = 0; k < merges; k++)
        terms[static_cast<size_t>(k + 1)] = levels + merged[static_cast<size_t>(k)] * size;
      kernel_(terms.data(), merges + 1, s, last ? g : levels + level * size, piece.end - piece.begin);
    });
  }

 private:
  size_t parameters_;
  int64_t levels_ = 0;
  Pieces pieces_;
  void (*kernel_)(const float* const*, int, float, float*, int64_t);
};

}  // namespace

DL_DEFINE_OP(global_norm, GlobalNorm)
DL_DEFINE_OP(all_finite, AllFinite)
DL_DEFINE_OP(clip_scale, ClipScale)
DL_DEFINE_OP(scale_all, ScaleAll)
DL_DEFINE_OP(accumulate, Accumulate)

}  // namespace dl
