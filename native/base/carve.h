// Planned memory is handed to a step as one block; this cuts it up.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/checked.h"
#include "base/line.h"

namespace dl {

/// Hands out pieces of planned memory, each on a line of its own. With a null base it only counts.
class Carve {
 public:
  explicit Carve(std::byte* base) : base_(base) {}
  template <class T>
  T* take(int64_t count) {
    T* piece = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
    used_ += round_up(count * static_cast<int64_t>(sizeof(T)), kLineBytes);
    return piece;
  }
  int64_t used() const { return used_; }

 private:
  std::byte* base_;
  int64_t used_ = 0;
};

}  // namespace dl
