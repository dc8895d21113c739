// See store.h.
#include "plan/store.h"

#include "base/error.h"

namespace dl {

Store::Entry& Store::add(const std::string& name) {
  auto [entry, added] = entries_.try_emplace(name);
  if (!added) throw Error("E_STATE", "state '" + name + "' is defined twice");
  entry->second.name = name;
  return entry->second;
}

void Store::define(const std::string& name, DType dtype, const Shape& shape) {
  auto memory = std::make_shared<Buffer>(static_cast<size_t>(checked_mul(shape.elements(), size_of(dtype))));
  Entry& entry = add(name);
  entry.dtype = dtype;
  entry.shape = shape;
  entry.memory = std::move(memory);
}

void Store::alias(const std::string& name, const std::string& target) {
  Entry source = at(target);
  Entry& entry = add(name);
  source.name = name;
  entry = source;
}

const Store::Entry& Store::at(const std::string& name) const {
  auto found = entries_.find(name);
  if (found == entries_.end()) throw Error("E_STATE", "there is no state named '" + name + "'");
  return found->second;
}

}  // namespace dl
