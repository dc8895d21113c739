// Updates of parameters p from gradients g, on dense arrays of n elements, in place; PyTorch's formulas.
#pragma once
#include <cstdint>

namespace dl {

/// g += decay·p
/// m = momentum·m + keep·g         keep = 1 - dampening (1 in the first step)
/// p -= lr·(nesterov ? g + momentum·m : m)
/// Without momentum m = g is not stored.
struct SgdStep {
  float lr, decay, momentum, keep;
  bool nesterov;
};

/// g += decay·p, or decoupled (AdamW): p *= 1 - lr·decay
/// m += (1 - beta1)·(g - m)
/// v = beta2·v + (1 - beta2)·g²
/// p -= step·m / (√v/root + epsilon)      step = lr/(1 - beta1^t), root = √(1 - beta2^t)
struct AdamStep {
  /// 0 when decoupled
  float decay;
  /// 1 - lr·decay when decoupled, else 1
  float shrink;
  float one_minus_beta1, beta2, one_minus_beta2, step, root, epsilon;
};

/// g += decay·p
/// v = alpha·v + (1 - alpha)·g²
/// centred: a += (1 - alpha)·(g - a), d = √(v - a²) + epsilon; else d = √v + epsilon
/// with momentum: b = momentum·b + g/d, p -= lr·b; else p -= lr·g/d and b is left alone
struct RmspropStep {
  float lr, decay, alpha, one_minus_alpha, epsilon, momentum;
};

struct OptimKernels {
  void (*sgd)(const SgdStep& s, float* p, const float* g, float* m, int64_t n);
  void (*adam)(const AdamStep& s, float* p, const float* g, float* m, float* v, int64_t n);
  /// a is null unless centred.
  void (*rmsprop)(const RmspropStep& s, float* p, const float* g, float* v, float* b, float* a, int64_t n);
  /// average = decay·average + (1 - decay)·value
  void (*ema)(float decay, float one_minus_decay, float* average, const float* value, int64_t n);
  /// Σ x², in lanes and then as a fixed tree: for a few thousand elements at a time.
  float (*square_sum)(const float* x, int64_t n);
  /// Whether no x is NaN or infinite.
  bool (*all_finite)(const float* x, int64_t n);
  /// out = (((x[0] + x[1]) + x[2]) + ...)·s; out may be any of them.
  void (*sum_of)(const float* const* x, int count, float s, float* out, int64_t n);
};

}  // namespace dl
