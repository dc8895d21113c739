// The activation that an op computes on the way, by its name in the attributes.
#pragma once
#include <iterator>
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

}  // namespace dl
