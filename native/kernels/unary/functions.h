// The functions of one operand: THE list. A line here gives the op `<name>` and, for an activation,
// `<name>_grad`; fused epilogues and tests read it too.
//
// A function is a struct of its attributes with
//   value(x)            the formula, and for an activation
//   gradient(dy, s)     dy · f'(x), where s is x or y = f(x) as kSaves says.
// Both are written once for V: a vector of any instruction set, or Real (reference.h), which is double.
// V has + - * / with floats, comparisons, select, min, max, abs, sqrt, exp, log, tanh, sigmoid, erf.
// max(a, b) and min(a, b) are b where either is NaN: a constant goes first, so that NaN passes.
#pragma once

namespace dl {

enum class Saves { x, y };

namespace functions {

/// For functions without attributes.
struct Plain {
  template <class Visitor>
  void visit(Visitor&&) {}
};

/// f(x) = x: no activation, in fused epilogues.
struct Identity : Plain {
  static constexpr Saves kSaves = Saves::y;
  template <class V>
  V value(V x) const {
    return x;
  }
  template <class V>
  V gradient(V dy, V) const {
    return dy;
  }
};

/// max(0, x)
struct Relu : Plain {
  static constexpr Saves kSaves = Saves::y;
  template <class V>
  V value(V x) const {
    return max(0.0f, x);
  }
  template <class V>
  V gradient(V dy, V y) const {
    return select(y <= 0.0f, 0.0f, dy);
  }
};

/// min(6, max(0, x)) (Krizhevsky 2010); the gradient is 0 at 0 and at 6, as in PyTorch
struct Relu6 : Plain {
  static constexpr Saves kSaves = Saves::y;
  template <class V>
  V value(V x) const {
    return min(6.0f, max(0.0f, x));
  }
  template <class V>
  V gradient(V dy, V y) const {
    return select((y <= 0.0f) | (y >= 6.0f), 0.0f, dy);
  }
};

/// x where x > 0, else slope·x (Maas et al. 2013)
struct LeakyRelu {
  static constexpr Saves kSaves = Saves::x;
  float slope = 0.01f;
  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("slope", slope);
  }
  template <class V>
  V value(V x) const {
    return select(x > 0.0f, x, slope * x);
  }
  template <class V>
  V gradient(V dy, V x) const {
    return select(x > 0.0f, dy, slope * dy);
  }
};

/// x where x > 0, else e^x - 1 (Clevert et al. 2015), which is 2t/(1 - t) with t = tanh(x/2): exact also
/// near 0
struct Elu : Plain {
  static constexpr Saves kSaves = Saves::y;
  template <class V>
  V value(V x) const {
    V t = tanh(0.5f * min(0.0f, x));
    return select(x > 0.0f, x, 2.0f * t / (1.0f - t));
  }
  template <class V>
  V gradient(V dy, V y) const {
    return select(y > 0.0f, dy, dy * (y + 1.0f));
  }
};

/// 1 / (1 + e^-x)
struct Sigmoid : Plain {
  static constexpr Saves kSaves = Saves::y;
  template <class V>
  V value(V x) const {
    return sigmoid(x);
  }
  template <class V>
  V gradient(V dy, V y) const {
    return dy * y * (1.0f - y);
  }
};

struct Tanh : Plain {
  static constexpr Saves kSaves = Saves::y;
  template <class V>
  V value(V x) const {
    return tanh(x);
  }
  template <class V>
  V gradient(V dy, V y) const {
    return dy * (1.0f - y * y);
  }
};

/// x·sigmoid(x), also called swish (Ramachandran et al. 2017)
struct Silu : Plain {
  static constexpr Saves kSaves = Saves::x;
  template <class V>
  V value(V x) const {
    return x * sigmoid(x);
  }
  template <class V>
  V gradient(V dy, V x) const {
    V s = sigmoid(x);
    return dy * s * (1.0f + x * (1.0f - s));
  }
};

/// min(1, max(0, x/6 + 1/2))
struct HardSigmoid : Plain {
  static constexpr Saves kSaves = Saves::y;
  template <class V>
  V value(V x) const {
    return min(1.0f, max(0.0f, (x + 3.0f) / 6.0f));
  }
  template <class V>
  V gradient(V dy, V y) const {
    return select((y <= 0.0f) | (y >= 1.0f), 0.0f, dy / 6.0f);
  }
};

/// x·min(6, max(0, x + 3))/6 (Howard et al. 2019)
struct HardSwish : Plain {
  static constexpr Saves kSaves = Saves::x;
  template <class V>
  V value(V x) const {
    return x * min(6.0f, max(0.0f, x + 3.0f)) / 6.0f;
  }
  template <class V>
  V gradient(V dy, V x) const {
    V inside = dy * (x / 3.0f + 0.5f);
    return select(x <= -3.0f, 0.0f, select(x >= 3.0f, dy, inside));
  }
};

/// x·Φ(x), Φ(x) = (1 + erf(x/√2))/2; approximate: (x/2)·(1 + tanh(√(2/π)·(x + 0.044715·x³))) (Hendrycks,
/// Gimpel 2016)
struct Gelu {
  static constexpr Saves kSaves = Saves::x;
  bool approximate = false;
  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("approximate", approximate);
  }
  template <class V>
  V value(V x) const {
    if (approximate) return 0.5f * x * (1.0f + tanh(0.797884561f * (x + 0.044715f * (x * x * x))));
    return 0.5f * x * (1.0f + erf(0.707106781f * x));
  }
  template <class V>
  V gradient(V dy, V x) const {
    if (approximate) {
      V t = tanh(0.797884561f * (x + 0.044715f * (x * x * x)));
      V inner = 0.797884561f * (1.0f + 0.134145f * (x * x));
      return dy * (0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner);
    }
    V density = 0.398942280f * exp(-0.5f * (x * x));
    return dy * (0.5f * (1.0f + erf(0.707106781f * x)) + x * density);
  }
};

}  // namespace functions

/// Ops with a gradient op: F(name, struct).
#define DL_ACTIVATIONS(F)      \
  F(relu, Relu)                \
  F(relu6, Relu6)              \
  F(leaky_relu, LeakyRelu)     \
  F(elu, Elu)                  \
  F(sigmoid, Sigmoid)          \
  F(tanh, Tanh)                \
  F(silu, Silu)                \
  F(hard_sigmoid, HardSigmoid) \
  F(hard_swish, HardSwish)     \
  F(gelu, Gelu)

/// Activations that other kernels compute on the way (batch norm, add): those without attributes, first of
/// all none.
#define DL_FUSED_ACTIVATIONS(F) \
  F(none, Identity)             \
  F(relu, Relu)                 \
  F(relu6, Relu6)               \
  F(elu, Elu)                   \
  F(sigmoid, Sigmoid)           \
  F(tanh, Tanh)                 \
  F(hard_sigmoid, HardSigmoid)  \
  F(hard_swish, HardSwish)      \
  F(silu, Silu)

#define DL_ENUMERATOR(name, Function) name,
enum class Unary { DL_ACTIVATIONS(DL_ENUMERATOR) count };
enum class Activation { DL_ACTIVATIONS(DL_ENUMERATOR) count };
enum class FusedActivation { DL_FUSED_ACTIVATIONS(DL_ENUMERATOR) count };
#undef DL_ENUMERATOR

}  // namespace dl
