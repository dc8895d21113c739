// Steps of the optimizers: all parameters of a group at once, in place. Formulas: kernels/optim/optim.h.
//   sgd       lr decay momentum [step], then p g m a parameter            [step] when dampening is not 0
//   adam      lr decay beta1 beta2 epsilon step, then p g m v             step counts from 1
//   rmsprop   lr decay alpha epsilon momentum, then p g v b [a]           [a] when centered
// State (m, v, b, a) starts at 0. Scalars are f32[1]; what follows from them is computed in double.
#include <cmath>

#include "kernels/kernels.h"
#include "ops/operands.h"
#include "ops/pieces.h"

namespace dl {
namespace {

/// `head` scalars, then groups of `group` dense tensors of one size.
class Optimizer : public Op {
 protected:
  Optimizer(const StepSpec& spec, size_t head, size_t group)
      : kernels_(spec.kernels.optim), head_(head), group_(group), pieces_(sizes_of(spec, head, group)) {
    require(spec.inputs.size() >= head && (spec.inputs.size() - head) % group == 0,
            "an optimizer's operands do not come in groups of " + std::to_string(group));
    require_operands(spec, spec.inputs.size(), 0);
    for (size_t i = 0; i < spec.inputs.size(); i++)
      require_dense(spec.inputs[i], i < head ? 1 : spec.inputs[i - (i - head) % group].shape.elements());
  }
  static double scalar(const Run& run, size_t i) { return static_cast<double>(*run.inputs[i].f32()); }
  /// Operand `which` of the piece's parameter, from its first element.
  float* at(const Run& run, const Piece& piece, size_t which) const {
    return run.inputs[head_ + static_cast<size_t>(piece.tensor) * group_ + which].f32() + piece.begin;
  }

  const OptimKernels& kernels_;
  size_t head_, group_;
  Pieces pieces_;
};

class Sgd : public Optimizer {
 public:
  struct Attributes {
    bool nesterov = false;
    float dampening = 0;
    template <class V>
    void visit(V&& v) {
      v("nesterov", nesterov);
      v("dampening", dampening);
    }
  };
  Sgd(const Attributes& attributes, const StepSpec& spec)
      : Optimizer(spec, attributes.dampening == 0 ? 3 : 4, 3), attributes_(attributes) {}
  void run(const Run& run) const override {
    // PyTorch's first step takes the whole gradient for m.
    const bool first = attributes_.dampening != 0 && scalar(run, 3) == 1;
    const SgdStep step{.lr = *run.inputs[0].f32(),
                       .decay = *run.inputs[1].f32(),
                       .momentum = *run.inputs[2].f32(),
                       .keep = first ? 1 : 1 - attributes_.dampening,
                       .nesterov = attributes_.nesterov};
    pieces_.run(run, [&](const Piece& p, int64_t) {
      kernels_.sgd(step, at(run, p, 0), at(run, p, 1), at(run, p, 2), p.end - p.begin);
    });
  }

 private:
  Attributes attributes_;
};

class Adam : public Optimizer {
 public:
  struct Attributes {
    bool decoupled = false;
    template <class V>
    void visit(V&& v) {
      v("decoupled", decoupled);
    }
  };
  Adam(const Attributes& attributes, const StepSpec& spec)
      : Optimizer(spec, 6, 4), decoupled_(attributes.decoupled) {}
  void run(const Run& run) const override {
    const double lr = scalar(run, 0), decay = scalar(run, 1), beta1 = scalar(run, 2), beta2 = scalar(run, 3),
                 t = scalar(run, 5);
    const AdamStep step{.decay = decoupled_ ? 0 : static_cast<float>(decay),
                        .shrink = decoupled_ ? static_cast<float>(1 - lr * decay) : 1,
                        .one_minus_beta1 = static_cast<float>(1 - beta1),
                        .beta2 = static_cast<float>(beta2),
                        .one_minus_beta2 = static_cast<float>(1 - beta2),
                        .step = static_cast<float>(lr / (1 - std::pow(beta1, t))),
                        .root = static_cast<float>(std::sqrt(1 - std::pow(beta2, t))),
                        .epsilon = *run.inputs[4].f32()};
    pieces_.run(run, [&](const Piece& p, int64_t) {
      kernels_.adam(step, at(run, p, 0), at(run, p, 1), at(run, p, 2), at(run, p, 3), p.end - p.begin);
    });
  }

 private:
  bool decoupled_;
};

class Rmsprop : public Optimizer {
 public:
  struct Attributes {
    bool centered = false;
    template <class V>
    void visit(V&& v) {
      v("centered", centered);
    }
  };
  Rmsprop(const Attributes& attributes, const StepSpec& spec)
      : Optimizer(spec, 5, attributes.centered ? 5 : 4), centered_(attributes.centered) {}
  void run(const Run& run) const override {
    const RmspropStep step{.lr = *run.inputs[0].f32(),
                           .decay = *run.inputs[1].f32(),
                           .alpha = *run.inputs[2].f32(),
                           .one_minus_alpha = static_cast<float>(1 - scalar(run, 2)),
                           .epsilon = *run.inputs[3].f32(),
                           .momentum = *run.inputs[4].f32()};
    pieces_.run(run, [&](const Piece& p, int64_t) {
      kernels_.rmsprop(step, at(run, p, 0), at(run, p, 1), at(run, p, 2), at(run, p, 3),
                       centered_ ? at(run, p, 4) : nullptr, p.end - p.begin);
    });
  }

 private:
  bool centered_;
};

/// ema: decay, then (average, value) pairs: average = decay·average + (1 - decay)·value.
class Ema : public Optimizer {
 public:
  using Attributes = NoAttributes;
  Ema(const Attributes&, const StepSpec& spec) : Optimizer(spec, 1, 2) {}
  void run(const Run& run) const override {
    const double decay = scalar(run, 0);
    pieces_.run(run, [&](const Piece& p, int64_t) {
      kernels_.ema(static_cast<float>(decay), static_cast<float>(1 - decay), at(run, p, 0), at(run, p, 1),
                   p.end - p.begin);
    });
  }
};

}  // namespace

DL_DEFINE_OP(sgd, Sgd)
DL_DEFINE_OP(adam, Adam)
DL_DEFINE_OP(rmsprop, Rmsprop)
DL_DEFINE_OP(ema, Ema)

}  // namespace dl
