// The functions of one operand: every row of kernels/unary/functions.h, by that list.
#include <cmath>
#include <limits>

#include "kernels/unary/functions.h"
#include "kernels/unary/reference.h"
#include "plan/op.h"
#include "tests/harness.h"

namespace dl::test {
namespace {

/// The attributes of a function, as they come over the wire.
struct Wire {
  Attributes attributes;
  void operator()(const char* name, float& field) { attributes[name] = static_cast<double>(field); }
  void operator()(const char* name, bool& field) { attributes[name] = field; }
};
template <class F>
Attributes wire_of(F f) {
  Wire wire;
  f.visit(wire);
  return wire.attributes;
}

template <class F>
double value_of(F f, double x) {
  return f.value(Real(x)).v;
}

template <class F>
Value mapped(F f, Value x) {
  for (double& v : x.data) v = value_of(f, v);
  return x;
}

// Errors of a few roundings; where a formula cancels they stay small beside the values that it is made of.
constexpr double kRelative = 4e-6, kAbsolute = 1e-6;

template <class F>
void check_value(const char* name, F f, double lo, double hi) {
  for (std::vector<int64_t> shape :
       {std::vector<int64_t>{2, 3, 5, 7}, {3, 1, 1, 33}, {1, 4, 4, 16}, {5, 2}}) {
    Value x = random(batch(shape), 11, lo, hi);
    Value y = mapped(f, x);
    OpCase op{name, wire_of(f), {x}, {x}};
    check_op(op, {y}, 1e-5);
    for_each_isa([&](Isa isa) {
      compare_elements(run_op(op, isa).outputs[0], y, kRelative, kAbsolute, name);
      op.aliases = {{0, 0}};
      compare_elements(run_op(op, isa, {.gap = 1}).outputs[0], y, kRelative, kAbsolute, "in place");
      op.aliases = {};
    });
  }
}

template <class F>
void check_gradient(const char* name, F f, double lo, double hi) {
  const std::string op_name = std::string(name) + "_grad";
  Value x = random(batch({2, 3, 5, 7}), 12, lo, hi), dy = random(x, 13);
  // Not where the slope jumps: a difference would straddle it.
  for (double& v : x.data)
    for (double kink : {-3.0, 0.0, 3.0, 6.0})
      if (std::abs(v - kink) < 0.01) v = static_cast<double>(static_cast<float>(kink + 0.02));
  Value y = mapped(f, x);
  const Value& saved = F::kSaves == Saves::x ? x : y;
  Value expected = x;
  for (int64_t i = 0; i < x.elements(); i++) {
    expected[i] = f.gradient(Real(dy[i]), Real(saved[i])).v;
    const double h = 1e-4;
    double numeric = dy[i] * (value_of(f, x[i] + h) - value_of(f, x[i] - h)) / (2 * h);
    if (!(std::abs(expected[i] - numeric) <= 1e-6))
      fail(__FILE__, __LINE__,
           text(op_name, "(", x[i], "): the formula gives ", expected[i], ", differences ", numeric));
  }
  OpCase op{op_name, wire_of(f), {dy, with_data(saved, saved.data)}, {x}};
  check_op(op, {expected}, 1e-5);
  for_each_isa([&](Isa isa) {
    op.aliases = {{0, 0}};
    compare_elements(run_op(op, isa).outputs[0], expected, 1e-5, kAbsolute, op_name);
  });
}

TEST(unary_activations) {
#define DL_CHECK(name, F)                    \
  check_value(#name, functions::F{}, -8, 8); \
  check_gradient(#name, functions::F{}, -8, 8);
  DL_ACTIVATIONS(DL_CHECK)
#undef DL_CHECK
  functions::Gelu approximate;
  approximate.approximate = true;
  check_value("gelu", approximate, -8, 8);
  check_gradient("gelu", approximate, -8, 8);
  functions::LeakyRelu steep;
  steep.slope = 0.3f;
  check_value("leaky_relu", steep, -8, 8);
  check_gradient("leaky_relu", steep, -8, 8);
}

Value line(std::vector<double> data) {
  Value x = batch({1, static_cast<int64_t>(data.size())});
  return with_data(x, std::move(data));
}

/// What PyTorch 2.14.1 gives in float64 at -4, -1.5, -0.25, 0.5, 2, 7 (torch.nn.functional.<name>).
TEST(unary_formulas_are_pytorchs) {
  const std::vector<double> x{-4, -1.5, -0.25, 0.5, 2, 7};
  struct Row {
    const char* name;
    Attributes attributes;
    std::vector<double> y;
  };
  const Row rows[] = {
      {"relu", {}, {0, 0, 0, 0.5, 2, 7}},
      {"relu6", {}, {0, 0, 0, 0.5, 2, 6}},
      {"leaky_relu", {{"slope", 0.01}}, {-0.04, -0.015, -0.0025, 0.5, 2, 7}},
      {"elu", {}, {-0.981684361, -0.77686984, -0.221199217, 0.5, 2, 7}},
      {"sigmoid", {}, {0.01798621, 0.182425524, 0.437823499, 0.622459331, 0.880797078, 0.999088949}},
      {"tanh", {}, {-0.9993293, -0.905148254, -0.244918662, 0.462117157, 0.96402758, 0.999998337}},
      {"silu", {}, {-0.0719448398, -0.273638286, -0.109455875, 0.311229666, 1.76159416, 6.99362264}},
      {"hard_sigmoid", {}, {0, 0.25, 0.458333333, 0.583333333, 0.833333333, 1}},
      {"hard_swish", {}, {-0, -0.375, -0.114583333, 0.291666667, 1.66666667, 7}},
      {"gelu",
       {{"approximate", false}},
       {-0.000126684967, -0.100210802, -0.100323419, 0.345731231, 1.95449974, 7}},
      {"gelu",
       {{"approximate", true}},
       {-7.02459482e-05, -0.100428423, -0.100324649, 0.34571401, 1.95459769, 7}},
  };
  for (const Row& row : rows) {
    for_each_isa([&](Isa isa) {
      Value y = run_op({row.name, row.attributes, {line(x)}, {line(x)}}, isa).outputs[0];
      compare_elements(y, line(row.y), 4e-6, 3e-7, row.name);
    });
  }
}

TEST(unary_special_values) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const Value x = line({nan, infinity, -infinity, 0, nan});
  auto check = [&](const char* name, Attributes attributes, std::vector<double> y) {
    for_each_isa([&](Isa isa) {
      compare_bytes(run_op({name, attributes, {x}, {x}}, isa).outputs[0], line(y), name);
    });
  };
  check("relu", {}, {nan, infinity, 0, 0, nan});
  check("relu6", {}, {nan, 6, 0, 0, nan});
  check("leaky_relu", {{"slope", 0.5}}, {nan, infinity, -infinity, 0, nan});
  check("elu", {}, {nan, infinity, -1, 0, nan});
  check("sigmoid", {}, {nan, 1, 0, 0.5, nan});
  check("tanh", {}, {nan, 1, -1, 0, nan});
  check("hard_sigmoid", {}, {nan, 1, 0, 0.5, nan});
  check("silu", {}, {nan, infinity, nan, 0, nan});
}

TEST(unary_refuses_other_shapes) {
  Value x = batch({2, 3}), y = batch({2, 4});
  CHECK_ERROR("E_PLAN", run_op({"relu", {}, {x}, {y}}, Isa::scalar));
  CHECK_ERROR("E_PLAN", run_op({"relu", {}, {x, x}, {x}}, Isa::scalar));
  CHECK_ERROR("E_PLAN", run_op({"leaky_relu", {}, {x}, {x}}, Isa::scalar));
}

}  // namespace
}  // namespace dl::test
