// The activation that an op computes on the way, by its name in the attributes.
#pragma once
#include <iterator>
#include <limits>
#include <string>

#include "base/error.h"
#include "kernels/unary/functions.h"

namespace dl {

/// The index of `name` ('none', 'relu', ...) in kernel tables by FusedActivation. `from_output`: its gradient
/// will be taken from y alone. Throws E_PLAN for an activation that cannot be fused so.
inline int fused_activation(const std::string& name, bool from_output) {
#define DL_ROW(name, F) {#name, functions::F::kSaves},
  constexpr struct {
    const char* name;
    Saves saves;
  } list[] = {DL_FUSED_ACTIVATIONS(DL_ROW)};
#undef DL_ROW
  for (size_t i = 0; i < std::size(list); i++) {
    if (name != list[i].name) continue;
    require(!from_output || list[i].saves == Saves::y,
            "activation '" + name + "' cannot be told from its output");
    return static_cast<int>(i);
  }
  throw Error("E_PLAN", "activation '" + name + "' is not one that is fused");
}

/// What kernels keep their sums in; `is_all` says whether that is the whole activation.
struct Bounds {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  bool is_all = false;

  /// `activation`: index in tables by FusedActivation.
  explicit Bounds(int activation) {
    const auto a = static_cast<FusedActivation>(activation);
    is_all = a == FusedActivation::none || a == FusedActivation::relu || a == FusedActivation::relu6;
    if (a == FusedActivation::relu || a == FusedActivation::relu6) low = 0;
    if (a == FusedActivation::relu6) high = 6;
  }
};

}  // namespace dl
