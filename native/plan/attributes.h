// Attributes of a step as they come over the wire, and the visitor that decodes them into an op's own struct.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/error.h"

namespace dl {

using AttributeValue = std::variant<double, bool, std::string, std::vector<double>>;
using Attributes = std::unordered_map<std::string, AttributeValue>;

/// Reads each field that an op's struct names. Every attribute must be known and of the right kind:
/// TypeScript sends all of them, so a missing or extra key means that the two sides differ.
class AttributeReader {
 public:
  AttributeReader(const Attributes& attributes, std::string op)
      : attributes_(attributes), op_(std::move(op)) {}

  void operator()(const char* name, bool& field) { field = get<bool>(name); }
  void operator()(const char* name, std::string& field) { field = get<std::string>(name); }
  void operator()(const char* name, float& field) { field = static_cast<float>(get<double>(name)); }
  void operator()(const char* name, double& field) { field = get<double>(name); }
  void operator()(const char* name, int64_t& field) { field = integer(name, get<double>(name)); }
  template <size_t N>
  void operator()(const char* name, std::array<int64_t, N>& field) {
    const auto& list = get<std::vector<double>>(name);
    require(list.size() == N, op_ + ": attribute " + name + " needs " + std::to_string(N) + " numbers");
    for (size_t i = 0; i < N; i++) field[i] = integer(name, list[i]);
  }
  void operator()(const char* name, std::vector<double>& field) { field = get<std::vector<double>>(name); }

  void finish() const {
    require(seen_ == attributes_.size(), op_ + ": expected " + std::to_string(seen_) + " attributes, got " +
                                             std::to_string(attributes_.size()));
  }

 private:
  template <class T>
  const T& get(const char* name) {
    auto found = attributes_.find(name);
    require(found != attributes_.end(), op_ + ": attribute " + name + " is missing");
    const T* value = std::get_if<T>(&found->second);
    require(value != nullptr, op_ + ": attribute " + name + " has the wrong type");
    seen_++;
    return *value;
  }
  int64_t integer(const char* name, double value) {
    require(std::abs(value) <= 9007199254740992.0 && value == std::floor(value),
            op_ + ": attribute " + name + " must be an integer");
    return static_cast<int64_t>(value);
  }

  const Attributes& attributes_;
  std::string op_;
  size_t seen_ = 0;
};

/// Collects the names that an op's struct visits, so that the TypeScript side can be compared with them.
class AttributeNames {
 public:
  template <class T>
  void operator()(const char* name, T&) {
    names.emplace_back(name);
  }
  std::vector<std::string> names;
};

/// For ops without attributes.
struct NoAttributes {
  template <class V>
  void visit(V&&) {}
};

}  // namespace dl
