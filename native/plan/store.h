// State by name: weights, optimizer state, running statistics. It stands apart from plans, which only bind to
// it.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/buffer.h"
#include "plan/tensor.h"

namespace dl {

class Store {
 public:
  struct Entry {
    std::string name;
    DType dtype;
    Shape shape;
    std::shared_ptr<Buffer> memory;
    size_t bytes() const { return static_cast<size_t>(shape.elements() * size_of(dtype)); }
  };

  /// Adds a zeroed tensor. Throws E_STATE when the name is taken.
  void define(const std::string& name, DType dtype, const Shape& shape);
  /// Gives the tensor `target` a second name. Throws E_STATE when one is unknown or the other taken.
  void alias(const std::string& name, const std::string& target);
  /// Throws E_STATE when there is no such tensor.
  const Entry& at(const std::string& name) const;

  /// Advances with every change of content; what is derived from the state remembers it.
  uint64_t version() const { return version_.load(std::memory_order_acquire); }
  void touch() { version_.fetch_add(1, std::memory_order_acq_rel); }

  /// Runs that use the store now; it cannot be read or written from outside meanwhile.
  std::atomic<int> in_flight{0};

 private:
  Entry& add(const std::string& name);
  std::unordered_map<std::string, Entry> entries_;
  std::atomic<uint64_t> version_{1};
};

}  // namespace dl
