// See harness.h: registry, checks and comparisons. The op harness is in run_op.cc.
#include "tests/harness.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "tests/registry.h"

namespace dl::test {
namespace {

std::vector<Test>& registry() {
  static std::vector<Test> list;
  return list;
}

std::vector<std::string>& failures() {
  static std::vector<std::string> list;
  return list;
}

std::vector<std::string>& contexts() {
  static std::vector<std::string> list;
  return list;
}

std::vector<Isa>& tested_isas() {
  static std::vector<Isa> list = supported_isas();
  return list;
}

std::string position(const Value& value, int64_t index) {
  std::vector<int64_t> at(value.shape.size());
  for (size_t i = value.shape.size(); i-- > 0;) {
    at[i] = index % value.shape[i];
    index /= value.shape[i];
  }
  std::string out = "[";
  for (size_t i = 0; i < at.size(); i++) out += (i ? "," : "") + std::to_string(at[i]);
  return out + "]";
}

/// Counts the elements that `wrong` and reports the first.
void compare_with(const Value& actual, const Value& expected, const std::string& what,
                  const std::string& rule, const std::function<bool(double, double)>& same) {
  if (actual.shape != expected.shape || actual.data.size() != expected.data.size()) {
    fail(nullptr, 0, what + ": shapes differ");
    return;
  }
  int64_t wrong = 0, first = 0;
  double worst = 0;
  for (int64_t i = 0; i < actual.elements(); i++) {
    if (same(actual[i], expected[i])) continue;
    if (wrong++ == 0) first = i;
    worst = std::max(worst, std::abs(actual[i] - expected[i]));
  }
  if (wrong == 0) return;
  fail(nullptr, 0,
       text(what, position(actual, first), ": expected ", expected[first], rule, ", got ", actual[first],
            " (", wrong, " of ", actual.elements(), " differ, by up to ", worst, ")"));
}

}  // namespace

Registration::Registration(const char* name, void (*body)()) {
  registry().push_back({name, body});
}

const std::vector<Test>& tests() {
  auto& list = registry();
  std::sort(list.begin(), list.end(),
            [](const Test& a, const Test& b) { return std::strcmp(a.name, b.name) < 0; });
  return list;
}

void only_fastest_isa() {
  tested_isas() = {default_isa()};
}

void begin_test() {
  failures().clear();
  contexts().clear();
}

std::vector<std::string> end_test() {
  return std::move(failures());
}

void fail(const char* file, int line, const std::string& message) {
  std::string where;
  if (file != nullptr) {
    const char* slash = std::strrchr(file, '/');
    where = text(slash ? slash + 1 : file, ":", line, ": ");
  }
  for (const auto& context : contexts()) where += context + ": ";
  failures().push_back(where + message);
}

Context::Context(std::string text) {
  contexts().push_back(std::move(text));
}
Context::~Context() {
  if (!contexts().empty()) contexts().pop_back();
}

std::string error_code(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code();
  }
  return "";
}

int64_t Value::elements() const {
  int64_t product = 1;
  for (int64_t dim : shape) product *= dim;
  return product;
}

Value fixed(std::vector<int64_t> shape, DType dtype) {
  Value value;
  value.shape = std::move(shape);
  value.dtype = dtype;
  value.data.assign(static_cast<size_t>(value.elements()), 0.0);
  return value;
}

Value batch(std::vector<int64_t> shape, DType dtype) {
  Value value = fixed(std::move(shape), dtype);
  value.counted = value.strided = true;
  return value;
}

Value with_data(Value value, std::vector<double> data) {
  require(data.size() == static_cast<size_t>(value.elements()), "with_data: wrong number of elements");
  if (value.dtype == DType::f32)
    for (double& x : data) x = static_cast<float>(x);
  value.data = std::move(data);
  return value;
}

Value random(Value value, uint64_t seed, double lo, double hi) {
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u;
  for (double& x : value.data) {
    state += 0x9e3779b97f4a7c15u;  // splitmix64
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    double unit = static_cast<double>(z >> 11) * 0x1p-53;
    x = lo + (hi - lo) * unit;
    x = value.dtype == DType::f32 ? static_cast<double>(static_cast<float>(x)) : std::floor(x);
  }
  return value;
}

void for_each_isa(const std::function<void(Isa)>& body) {
  for (Isa isa : tested_isas()) {
    Context context(name_of(isa));
    body(isa);
  }
}

void compare(const Value& actual, const Value& expected, double tolerance, const std::string& what) {
  if (expected.dtype != DType::f32) return compare_bytes(actual, expected, what);
  double scale = 0;
  for (double x : expected.data)
    if (std::isfinite(x)) scale = std::max(scale, std::abs(x));
  double limit = tolerance * scale;
  compare_with(actual, expected, what, text(" within ", limit), [limit](double a, double e) {
    return a == e || (std::isnan(a) && std::isnan(e)) || std::abs(a - e) <= limit;
  });
}

void compare_elements(const Value& actual, const Value& expected, double relative, double absolute,
                      const std::string& what) {
  compare_with(actual, expected, what, "", [=](double a, double e) {
    return a == e || (std::isnan(a) && std::isnan(e)) || std::abs(a - e) <= relative * std::abs(e) + absolute;
  });
}

void compare_bytes(const Value& actual, const Value& expected, const std::string& what) {
  const size_t bytes = expected.data.size() * sizeof(double);
  if (actual.shape == expected.shape && actual.data.size() == expected.data.size() &&
      std::memcmp(actual.data.data(), expected.data.data(), bytes) == 0)
    return;
  compare_with(actual, expected, what, "", [](double a, double e) {
    return (std::isnan(a) && std::isnan(e)) || (a == e && std::signbit(a) == std::signbit(e));
  });
}

Value numeric_gradient(const Value& x, const Value& dy, const std::function<Value(const Value&)>& forward,
                       double step) {
  Value gradient = x, moved = x;
  for (int64_t i = 0; i < x.elements(); i++) {
    double sum = 0;
    for (double sign : {1.0, -1.0}) {
      moved[i] = x[i] + sign * step;
      Value y = forward(moved);
      for (int64_t j = 0; j < y.elements(); j++) sum += sign * y[j] * dy[j];
    }
    moved[i] = x[i];
    gradient[i] = sum / (2 * step);
  }
  return gradient;
}

}  // namespace dl::test
