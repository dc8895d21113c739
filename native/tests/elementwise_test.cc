// Arithmetic of several operands, factors and terms a channel, assign.
#include <cmath>
#include <limits>

#include "tests/harness.h"

namespace dl::test {
namespace {

const std::vector<std::vector<int64_t>> kShapes{
    {2, 3, 5, 16}, {3, 2, 2, 37}, {5, 3}, {1, 1, 1, 1}, {3, 80, 60, 10}};

Value scalar(double x) {
  return with_data(fixed({1}), {x});
}

/// y[i] = f(i) on the shape of `like`.
template <class F>
Value build(const Value& like, F f) {
  Value y = like;
  for (int64_t i = 0; i < y.elements(); i++) y[i] = f(i);
  return y;
}

void check_in_place(OpCase op, const Value& expected, int inputs) {
  for (int i = 0; i < inputs; i++) {
    op.aliases = {{0, i}};
    for_each_isa([&](Isa isa) { compare(run_op(op, isa, {.gap = 1}).outputs[0], expected, 1e-6, op.op); });
  }
}

TEST(add) {
  for (const auto& shape : kShapes) {
    const bool large = batch(shape).elements() > 100000;  // several blocks of work: once is enough
    for (int operands : large ? std::vector<int>{3} : std::vector<int>{2, 3, 8}) {
      std::vector<Value> inputs;
      for (int k = 0; k < operands; k++)
        inputs.push_back(random(batch(shape), 61 + static_cast<uint64_t>(k), -2, 2));
      for (const char* activation : {"none", "relu", "sigmoid"}) {
        if (large && activation[0] != 'r') continue;
        Value y = build(inputs[0], [&](int64_t i) {
          double z = 0;
          for (const Value& v : inputs) z += v[i];
          std::string name = activation;
          return name == "relu" ? std::max(z, 0.0) : name == "sigmoid" ? 1 / (1 + std::exp(-z)) : z;
        });
        OpCase op{"add", {{"activation", std::string(activation)}}, inputs, {inputs[0]}};
        check_op(op, {y}, 1e-6);
        if (operands < 8) check_in_place(op, y, operands);
      }
    }
  }
  Value x = batch({2, 3});
  CHECK_ERROR("E_PLAN", run_op({"add", {{"activation", std::string("none")}}, {x}, {x}}, Isa::scalar));
  CHECK_ERROR("E_PLAN", run_op({"add", {{"activation", std::string("gelu")}}, {x, x}, {x}}, Isa::scalar));
}

TEST(multiply_lerp_scale) {
  for (const auto& shape : kShapes) {
    Value a = random(batch(shape), 71), b = random(a, 72), w = scalar(0.3);
    auto check = [&](const char* name, std::vector<Value> inputs, int same, auto f) {
      OpCase op{name, {}, inputs, {a}};
      Value y = build(a, f);
      check_op(op, {y}, 1e-6);
      check_in_place(op, y, same);
    };
    check("multiply", {a, b}, 2, [&](int64_t i) { return a[i] * b[i]; });
    check("scale", {a, w}, 1, [&](int64_t i) { return a[i] * w[0]; });
    check("lerp", {a, b, w}, 2, [&](int64_t i) { return a[i] + w[0] * (b[i] - a[i]); });
  }
}

TEST(fill) {
  for (const auto& shape : kShapes) {
    Value y = build(batch(shape), [](int64_t) { return 2.5; });
    check_op({"fill", {{"value", 2.5}}, {}, {y}}, {y}, 0);
  }
}

TEST(assign) {
  for (const auto& shape : kShapes) {
    Value target = random(batch(shape), 81), value = random(target, 82);
    OpCase op{"assign", {}, {target, value}, {}};
    op.mutated = {0};
    check_op(op, {value}, 0);
  }
  Value bytes = random(batch({2, 3}, DType::u8), 83, 0, 200),
        numbers = random(fixed({4}, DType::i32), 84, -9, 9);
  for (const Value& v : {bytes, numbers}) {
    Value target = v;
    std::fill(target.data.begin(), target.data.end(), 1.0);
    OpCase op{"assign", {}, {target, v}, {}};
    op.mutated = {0};
    check_op(op, {v}, 0);
  }
  CHECK_ERROR("E_PLAN", run_op({"assign", {}, {fixed({3}), fixed({4})}, {}}, Isa::scalar));
  CHECK_ERROR("E_PLAN", run_op({"assign", {}, {fixed({3}), fixed({3}, DType::i32)}, {}}, Isa::scalar));
}

TEST(scale_channels) {
  for (const auto& shape :
       std::vector<std::vector<int64_t>>{{2, 3, 5, 16}, {3, 2, 2, 37}, {2, 120, 121, 10}, {2, 3, 3, 300}}) {
    const int64_t c = shape.back(), sample = batch(shape).elements() / shape[0];
    Value x = random(batch(shape), 91), dy = random(x, 92), s = random(batch({shape[0], 1, 1, c}), 93);
    auto factor = [&](int64_t i) { return i / sample * c + i % c; };
    check_op({"scale_channels", {}, {x, s}, {x}}, {build(x, [&](int64_t i) { return x[i] * s[factor(i)]; })},
             1e-6);
    Value ds = build(s, [](int64_t) { return 0.0; });
    for (int64_t i = 0; i < x.elements(); i++) ds[factor(i)] += dy[i] * x[i];
    check_op({"scale_channels_grad", {}, {dy, x, s}, {x, s}},
             {build(x, [&](int64_t i) { return dy[i] * s[factor(i)]; }), ds}, 2e-6);
  }
}

TEST(broadcast_add_and_sum_pixels) {
  for (const auto& shape : kShapes) {
    const int64_t c = shape.back();
    Value x = random(batch(shape), 101, -1, 2), b = random(fixed({c}), 102), total = fixed({c});
    Value y = build(x, [&](int64_t i) { return x[i] + b[i % c]; });
    OpCase op{"broadcast_add", {}, {x, b}, {x}};
    check_op(op, {y}, 1e-6);
    check_in_place(op, y, 1);
    for (int64_t i = 0; i < x.elements(); i++) total[i % c] += x[i];
    check_op({"sum_pixels", {}, {x}, {total}}, {total}, 2e-6);
  }
}

}  // namespace
}  // namespace dl::test
