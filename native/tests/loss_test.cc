// Softmax, losses, metrics: against PyTorch's small cases and plain loops in double.
#include <cmath>
#include <limits>

#include "tests/harness.h"
#include "tests/pytorch_cases.h"

namespace dl::test {
namespace {

Value per_row(int64_t n, DType dtype = DType::f32) {
  Value v = batch({n}, dtype);
  v.strided = false;
  return v;
}

struct Softmax {
  Value p, log_p;
};
Softmax softmax(const Value& x) {
  Softmax s{x, x};
  const int64_t c = x.channels();
  for (int64_t row = 0; row < x.elements(); row += c) {
    double largest = -1e300, total = 0;
    for (int64_t i = 0; i < c; i++) largest = std::max(largest, x[row + i]);
    for (int64_t i = 0; i < c; i++) total += std::exp(x[row + i] - largest);
    for (int64_t i = 0; i < c; i++) {
      s.log_p[row + i] = x[row + i] - largest - std::log(total);
      s.p[row + i] = std::exp(s.log_p[row + i]);
    }
  }
  return s;
}

TEST(softmax) {
  for (std::vector<int64_t> shape :
       {std::vector<int64_t>{3, 2, 2, 21}, {5, 10}, {4, 1}, {2, 1000}, {3, 16}}) {
    Value x = random(batch(shape), 111, -20, 20), dy = random(x, 112);
    const Softmax s = softmax(x);
    check_op({"softmax", {}, {x}, {x}}, {s.p}, 2e-6);
    check_op({"log_softmax", {}, {x}, {x}}, {s.log_p}, 2e-6);
    Value gentle = random(batch(shape), 113, -2, 2);
    const Softmax g = softmax(gentle);
    if (gentle.elements() > 500) continue;  // differences take a forward pass an element
    check_op({"softmax_grad", {}, {dy, with_data(x, g.p.data)}, {x}},
             {numeric_gradient(gentle, dy, [](const Value& v) { return softmax(v).p; })}, 1e-5);
    check_op({"log_softmax_grad", {}, {dy, with_data(x, g.log_p.data)}, {x}},
             {numeric_gradient(gentle, dy, [](const Value& v) { return softmax(v).log_p; })}, 1e-5);
  }
}

TEST(softmax_of_extremes) {
  // No overflow, and what is not a number shows.
  Value x = with_data(batch({3, 3}), {1e30, -1e30, 1e30, std::nan(""), 0, 1, -1000, -1000.5, -2000});
  Value expected = with_data(batch({3, 3}), {0.5, 0, 0.5, std::nan(""), std::nan(""), std::nan(""),
                                             0.622459331201855, 0.377540668798145, 0});
  for_each_isa([&](Isa isa) { compare(run_op({"softmax", {}, {x}, {x}}, isa).outputs[0], expected, 1e-6); });
}

OpResult cross_entropy(const Value& x, const Value& t, Isa isa) {
  return run_op({"softmax_cross_entropy", {}, {x, t}, {fixed({1}), per_row(x.dim(0)), x}}, isa);
}

TEST(softmax_cross_entropy) {
  for (std::vector<int64_t> shape : {std::vector<int64_t>{5, 10}, {3, 1000}, {7, 2}, {4, 16}, {300, 1001}}) {
    const int64_t n = shape[0], k = shape[1];
    Value x = random(batch(shape), 121, -9, 9), t = random(x, 122, 0, 1), loss = fixed({1}),
          rows = per_row(n), dx = x;
    const Softmax s = softmax(x);
    for (int64_t r = 0; r < n; r++) {
      double total = 0;
      for (int64_t i = r * k; i < (r + 1) * k; i++) {
        rows[r] -= t[i] * s.log_p[i];
        total += t[i];
      }
      for (int64_t i = r * k; i < (r + 1) * k; i++) dx[i] = (s.p[i] * total - t[i]) / static_cast<double>(n);
      loss[0] += rows[r] / static_cast<double>(n);
    }
    check_op({"softmax_cross_entropy", {}, {x, t}, {loss, rows, x}}, {loss, rows, dx}, 4e-6);
  }
}

TEST(softmax_cross_entropy_of_extremes) {
  // A class that is excluded by a logit of -infinity counts only where it is wanted.
  const double infinity = std::numeric_limits<double>::infinity();
  Value x = with_data(batch({3, 3}), {1, -infinity, 1, 1, -infinity, 1, 200, 0, -200});
  Value t = with_data(batch({3, 3}), {1, 0, 0, 0, 1, 0, 0, 0, 1});
  for_each_isa([&](Isa isa) {
    auto got = cross_entropy(x, t, isa).outputs;
    CHECK_NEAR(got[1][0], std::log(2.0), 1e-6);
    CHECK_EQ(got[1][1], infinity);
    CHECK_NEAR(got[1][2], 400, 1e-4);
    CHECK_EQ(got[0][0], infinity);
    CHECK_NEAR(got[2][1], 0, 0);
  });
}

TEST(losses_are_pytorchs) {
  using namespace pytorch;
  const std::vector<int64_t> shape{4, 5};
  const Value x = with_data(batch(shape), loss_x), t = with_data(batch(shape), loss_t);
  auto like = [&](const std::vector<double>& data) { return with_data(batch(shape), data); };
  for_each_isa([&](Isa isa) {
    auto ce = cross_entropy(x, t, isa).outputs;
    compare(ce[1], with_data(per_row(4), ce_rows), 2e-6, "row losses");
    compare(ce[2], like(ce_dx), 2e-6, "dlogits");
    for (auto [name, loss, dx] :
         {std::tuple{"mse_loss", mse_loss, mse_dx}, {"binary_cross_entropy", bce_loss, bce_dx}}) {
      auto got = run_op({name, {}, {x, t}, {fixed({1}), x}}, isa).outputs;
      compare(got[0], with_data(fixed({1}), loss), 2e-6, name);
      compare(got[1], like(dx), 2e-6, name);
    }
    for (auto [name, y, dx] :
         {std::tuple{"softmax", softmax_y, softmax_dx}, {"log_softmax", log_softmax_y, log_softmax_dx}}) {
      Value out = run_op({name, {}, {x}, {x}}, isa).outputs[0];
      compare(out, like(y), 2e-6, name);
      compare(run_op({std::string(name) + "_grad", {}, {t, out}, {x}}, isa).outputs[0], like(dx), 4e-6, name);
    }
  });
}

TEST(elementwise_losses) {
  for (std::vector<int64_t> shape : {std::vector<int64_t>{3, 4, 4, 21}, {6, 1}, {2, 90, 90, 12}}) {
    Value x = random(batch(shape), 131, -6, 6), t = random(x, 132, 0, 1), mse = fixed({1}), bce = mse,
          dmse = x, dbce = x;
    const double n = static_cast<double>(x.elements());
    for (int64_t i = 0; i < x.elements(); i++) {
      const double p = 1 / (1 + std::exp(-x[i]));
      mse[0] += (x[i] - t[i]) * (x[i] - t[i]) / n;
      bce[0] -= (t[i] * std::log(p) + (1 - t[i]) * std::log(1 - p)) / n;
      dmse[i] = 2 * (x[i] - t[i]) / n;
      dbce[i] = (p - t[i]) / n;
    }
    check_op({"mse_loss", {}, {x, t}, {mse, x}}, {mse, dmse}, 2e-6);
    check_op({"binary_cross_entropy", {}, {x, t}, {bce, x}}, {bce, dbce}, 2e-6);
  }
  Value x = with_data(batch({1, 4}), {500, -500, 40, -40}), t = with_data(batch({1, 4}), {1, 0, 0, 1});
  for_each_isa([&](Isa isa) {
    auto got = run_op({"binary_cross_entropy", {}, {x, t}, {fixed({1}), x}}, isa).outputs;
    CHECK_NEAR(got[0][0], 20, 1e-5);
  });
}

TEST(soft_targets) {
  auto labels = [](std::vector<double> list) { return with_data(per_row(4, DType::i32), std::move(list)); };
  const Value own = labels({0, 2, 1, -1}), partner = labels({1, 2, 0, 3});
  const Value mix = with_data(per_row(4), {0.75, 0.25, 1, 0.5});
  // (1 - 0.1)·(mix of one-hot vectors) + 0.1/3; labels that name no class have none
  const double b = 0.1 / 3;
  Value t = with_data(batch({4, 3}), {b + 0.675, b + 0.225, b, b, b, b + 0.9, b, b + 0.9, b, b, b, b});
  check_op({"soft_targets", {{"classes", 3.0}, {"smoothing", 0.1}}, {own, partner, mix}, {t}}, {t}, 1e-6);
  Value hard = with_data(batch({4, 3}), {1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0});
  const Value whole = with_data(per_row(4), {1, 1, 1, 1});
  check_op({"soft_targets", {{"classes", 3.0}, {"smoothing", 0.0}}, {own, own, whole}, {t}}, {hard}, 0);
}

TEST(correct) {
  const double nan = std::nan("");
  Value x =
      with_data(batch({6, 4}), {1, 3, 2, 0, 5, 5, 5, 5, 5, 5, 5, 5, nan, 1, 2, 3, 1, nan, 0, 0, 4, 3, 2, 1});
  Value labels = with_data(per_row(6, DType::i32), {1, 0, 2, 3, 1, 7});
  auto expect = [&](double k, std::vector<double> hits) {
    check_op({"correct", {{"k", k}}, {x, labels}, {per_row(6, DType::i32)}},
             {with_data(per_row(6, DType::i32), hits)}, 0);
  };
  expect(1, {1, 1, 0, 0, 0, 0});
  expect(2, {1, 1, 0, 1, 0, 0});
  expect(3, {1, 1, 1, 1, 0, 0});
}

}  // namespace
}  // namespace dl::test
