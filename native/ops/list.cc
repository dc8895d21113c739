// Collects the ops of list.inc.
#include <algorithm>

#include "kernels/unary/functions.h"
#include "plan/op.h"

namespace dl {

#define DL_OP(name) OpInfo op_##name();
#include "ops/list.inc"
#undef DL_OP

const std::vector<OpInfo>& op_list() {
  static const std::vector<OpInfo> list = [] {
    std::vector<OpInfo> ops{
#define DL_OP(name) op_##name(),
#include "ops/list.inc"
#undef DL_OP
    };
    std::sort(ops.begin(), ops.end(), [](const OpInfo& a, const OpInfo& b) { return a.name < b.name; });
    return ops;
  }();
  return list;
}

const OpInfo& find_op(const std::string& name) {
  const auto& list = op_list();
  auto found = std::lower_bound(list.begin(), list.end(), name,
                                [](const OpInfo& op, const std::string& wanted) { return op.name < wanted; });
  require(found != list.end() && found->name == name, "unknown op '" + name + "'");
  return *found;
}

}  // namespace dl
