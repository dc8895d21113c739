// The one exception of the engine. It is thrown while plans are checked, never inside a step, and caught at
// the N-API boundary, where it becomes a JavaScript error with the same code.
#pragma once
#include <stdexcept>
#include <string>

namespace dl {

class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const noexcept { return code_; }

 private:
  std::string code_;
};

/// Throws E_PLAN unless `condition` holds: for malformed plans, which are bugs of the caller, not of the
/// user.
inline void require(bool condition, const std::string& message) {
  if (!condition) throw Error("E_PLAN", message);
}

}  // namespace dl
