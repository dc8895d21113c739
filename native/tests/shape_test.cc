// Ops that move elements: each against the index arithmetic of its definition. Gradients are checked as
// inverses or as transposes: Σ op(x) · dy = Σ x · grad(dy) with every element of x a different unit.
#include <cmath>

#include "tests/harness.h"

namespace dl::test {
namespace {

struct Position {
  int64_t n, y, x, c;
};

/// A value whose element at each position is body(position).
template <class Body>
Value filled(Value value, Body&& body) {
  const int64_t h = value.dim(1), w = value.dim(2), c = value.dim(3);
  for (int64_t i = 0; i < value.elements(); i++)
    value[i] = body(Position{i / c / w / h, i / c / w % h, i / c % w, i % c});
  return value;
}

double at(const Value& v, int64_t n, int64_t y, int64_t x, int64_t c) {
  return v[((n * v.dim(1) + y) * v.dim(2) + x) * v.dim(3) + c];
}

TEST(copy) {
  Value m = random(batch({3, 5}), 4);
  check_op({"copy", {}, {m}, {m}}, {m}, 0);
  Value labels = random(batch({5, 2}, DType::i32), 5, -9, 9),
        bytes = random(batch({2, 3, 3, 3}, DType::u8), 6, 0, 256);
  check_op({"copy", {}, {labels}, {labels}}, {labels}, 0);
  check_op({"copy", {}, {bytes}, {bytes}}, {bytes}, 0);
  CHECK_ERROR("E_PLAN", run_op({"copy", {}, {m}, {batch({3, 4})}}, Isa::scalar));
}

TEST(pad) {
  Value x = random(batch({2, 4, 3, 5}), 1);
  Attributes border{{"pad", list(1, 2, 0, 3)}, {"channels", list(2, 4)}};
  Attributes filling = border;
  filling["value"] = -1.5;
  Value y = filled(batch({2, 7, 6, 11}), [&](Position p) {
    bool inside = p.y >= 1 && p.y < 5 && p.x < 3 && p.c >= 2 && p.c < 7;
    return inside ? at(x, p.n, p.y - 1, p.x, p.c - 2) : -1.5;
  });
  check_op({"pad", filling, {x}, {y}}, {y}, 0);
  check_op({"pad_grad", border, {y}, {x}}, {x}, 0);
  border["pad"] = list(-1, 4, 0, 3);
  CHECK_ERROR("E_PLAN", run_op({"pad_grad", border, {y}, {x}}, Isa::scalar));
}

TEST(subsample) {
  Value x = random(batch({2, 7, 6, 5}), 1);
  Attributes a{{"stride", list(2, 3)}};
  Value y = filled(batch({2, 4, 2, 5}), [&](Position p) { return at(x, p.n, 2 * p.y, 3 * p.x, p.c); });
  check_op({"subsample", a, {x}, {y}}, {y}, 0);
  Value dx = filled(
      x, [&](Position p) { return p.y % 2 == 0 && p.x % 3 == 0 ? at(y, p.n, p.y / 2, p.x / 3, p.c) : 0.0; });
  check_op({"subsample_grad", a, {y}, {x}}, {dx}, 0);
  CHECK_ERROR("E_PLAN", run_op({"subsample", a, {x}, {batch({2, 3, 2, 5})}}, Isa::scalar));
}

TEST(flatten) {
  for (int64_t c : {1, 3, 16, 35}) {
    Value x = random(batch({3, 5, 7, c}), 1), y = batch({3, c * 35});
    for (int64_t i = 0; i < y.elements(); i++)
      y[i] = at(x, i / (35 * c), i % 35 / 7, i % 7, i % (35 * c) / 35);
    check_op({"flatten", {}, {x}, {y}}, {y}, 0);
    check_op({"unflatten", {}, {y}, {x}}, {x}, 0);
    Value rows = y;
    rows.shape = {3, 1, 1, c * 35};
    check_op({"flatten", {}, {x}, {rows}}, {rows}, 0);
  }
}

TEST(channel_shuffle) {
  // torch.nn.functional.channel_shuffle(arange(6), 2) and (…, 3)
  Value x = with_data(batch({1, 1, 1, 6}), {0, 1, 2, 3, 4, 5});
  check_op({"channel_shuffle", {{"groups", 2.0}}, {x}, {x}}, {with_data(x, {0, 3, 1, 4, 2, 5})}, 0);
  check_op({"channel_shuffle", {{"groups", 3.0}}, {x}, {x}}, {with_data(x, {0, 2, 4, 1, 3, 5})}, 0);
  const int64_t channels = 360;
  const Value wide = random(batch({2, 3, 3, channels}), 1);
  for (const int64_t groups : {1, 2, 3, 4, 5, 8, 9, 360}) {
    const int64_t width = channels / groups;
    const Value y = filled(
        wide, [&](Position p) { return at(wide, p.n, p.y, p.x, p.c % groups * width + p.c / groups); });
    check_op({"channel_shuffle", {{"groups", static_cast<double>(groups)}}, {wide}, {wide}}, {y}, 0);
    check_op({"channel_shuffle", {{"groups", static_cast<double>(width)}}, {y}, {wide}}, {wide}, 0);
  }

  // Its channels side by side in several tensors, before and behind it.
  const auto channels_from = [&](const Value& all, int64_t first, int64_t count) {
    return filled(batch({2, 3, 3, count}), [&](Position p) { return at(all, p.n, p.y, p.x, first + p.c); });
  };
  const Value y = filled(wide, [&](Position p) { return at(wide, p.n, p.y, p.x, p.c % 2 * 180 + p.c / 2); });
  check_op({"channel_shuffle",
            {{"groups", 2.0}},
            {channels_from(wide, 0, 7), channels_from(wide, 7, 200), channels_from(wide, 207, 153)},
            {batch({2, 3, 3, 180}), batch({2, 3, 3, 180})}},
           {channels_from(y, 0, 180), channels_from(y, 180, 180)}, 0);
  check_op({"channel_shuffle", {{"groups", 2.0}}, {wide}, {batch({2, 3, 3, 7}), batch({2, 3, 3, 353})}},
           {channels_from(y, 0, 7), channels_from(y, 7, 353)}, 0);
  check_op({"channel_shuffle",
            {{"groups", 2.0}},
            {channels_from(wide, 0, 180), channels_from(wide, 180, 180)},
            {wide}},
           {y}, 0);
}

TEST(channel_shuffle_refuses) {
  const auto code = [](double groups, std::vector<Value> x, std::vector<Value> y) {
    return error_code([&] { run_op({"channel_shuffle", {{"groups", groups}}, x, y}, Isa::scalar); });
  };
  const Value four = batch({2, 3, 3, 4}), two = batch({2, 3, 3, 2}), other = batch({2, 3, 2, 2});
  CHECK(code(2, {two, two}, {four}) == "");
  CHECK(code(2, {two, two}, {two}) == "E_PLAN");
  CHECK(code(2, {two, other}, {four}) == "E_PLAN");
  CHECK(code(2, {four}, {two, other}) == "E_PLAN");
  CHECK(code(3, {four}, {four}) == "E_PLAN");
  CHECK(code(0, {four}, {four}) == "E_PLAN");
  CHECK(code(1, {}, {four}) == "E_PLAN");
  CHECK(code(1, {four}, {}) == "E_PLAN");
  CHECK(code(1, {}, {}) == "E_PLAN");
}

}  // namespace
}  // namespace dl::test
