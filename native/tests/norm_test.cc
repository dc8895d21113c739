// Normalisation: against PyTorch's small cases, and against plain loops in double on shapes with tails and
// blocks.
#include <cmath>

#include "kernels/norm/reference.h"
#include "kernels/unary/functions.h"
#include "kernels/unary/reference.h"
#include "tests/harness.h"
#include "tests/pytorch_cases.h"

namespace dl::test {
namespace {

constexpr double kEpsilon = 1e-5;

Value vector(std::vector<double> data) {
  Value v = fixed({static_cast<int64_t>(data.size())});
  return with_data(v, std::move(data));
}
Value images(std::vector<int64_t> shape, std::vector<double> data) {
  return with_data(batch(shape), std::move(data));
}

struct Statistics {
  Value mean, variance, unbiased;
};
Statistics statistics_of(const Value& x) {
  std::vector<double> mean, variance, unbiased;
  reference::moments(x.data, x.channels(), mean, variance);
  const double m = static_cast<double>(x.elements() / x.channels());
  for (double v : variance) unbiased.push_back(m > 1 ? v * m / (m - 1) : v);
  return {vector(mean), vector(variance), vector(unbiased)};
}

// ---- moments
// -------------------------------------------------------------------------------------------------------

TEST(moments_of_shapes) {
  for (std::vector<int64_t> shape : {std::vector<int64_t>{2, 3, 5, 16},
                                     {3, 4, 4, 37},
                                     {1, 1, 1, 9},
                                     {5, 1},
                                     {2, 70, 65, 16},
                                     {3, 100, 150, 3},
                                     {2, 3, 3, 256},
                                     {1, 5, 2, 1001}}) {
    Value x = random(batch(shape), 21, -1, 3), c = fixed({shape.back()});
    Statistics s = statistics_of(x);
    check_op({"moments", {}, {x}, {c, c, c}}, {s.mean, s.variance, s.unbiased}, 2e-6);
  }
}

TEST(moments_far_from_zero) {
  // A deviation of 1 around 10000: Σx² in float would leave nothing of it.
  Value x = random(batch({2, 40, 40, 5}), 22, 9999, 10001), c = fixed({5});
  for (int64_t i = 4; i < x.elements(); i += 5) x[i] = 0.1f;  // a constant channel
  Statistics s = statistics_of(x);
  for_each_isa([&](Isa isa) {
    auto got = run_op({"moments", {}, {x}, {c, c, c}}, isa).outputs;
    compare_elements(got[0], s.mean, 1e-7, 0, "mean");
    compare_elements(got[1], s.variance, 1e-4, 0, "variance");
    CHECK_EQ(got[1][4], 0.0);
    CHECK_EQ(got[2][4], 0.0);
  });
}

TEST(moments_pass_nan_on) {
  Value x = random(batch({2, 3, 3, 4}), 23), c = fixed({4});
  x[6] = std::nan("");
  for_each_isa([&](Isa isa) {
    auto got = run_op({"moments", {}, {x}, {c, c, c}}, isa).outputs;
    CHECK(std::isnan(got[0][2]) && std::isnan(got[1][2]) && std::isnan(got[2][2]));
    CHECK(std::isfinite(got[0][1]) && std::isfinite(got[1][1]));
  });
}

// ---- batch norm
// ----------------------------------------------------------------------------------------------------

struct BatchNormCase {
  Value x, gamma, beta, residual, dy;
  std::string activation = "none";
  bool affine = true, with_residual = false;

  Attributes attributes(bool grad_input = false) const {
    Attributes a{{"epsilon", kEpsilon}, {"affine", affine}, {"activation", activation}};
    if (!grad_input) a["residual"] = with_residual;
    return a;
  }
  int64_t c() const { return x.channels(); }
  double gamma_of(int64_t i) const { return affine ? gamma[i % c()] : 1; }
  double beta_of(int64_t i) const { return affine ? beta[i % c()] : 0; }
  /// The inputs of an op that begins with `first`.
  std::vector<Value> inputs(std::vector<Value> first, const Statistics& s) const {
    first.push_back(s.mean);
    first.push_back(s.variance);
    if (affine) first.push_back(gamma), first.push_back(beta);
    return first;
  }
};

template <class Body>
void with_activation(const std::string& name, Body body) {
#define DL_CASE(fused, F) \
  if (name == #fused) body(functions::F{});
  DL_FUSED_ACTIVATIONS(DL_CASE)
#undef DL_CASE
}

/// What the four ops should give, from statistics that are constants of the op.
struct BatchNormResult {
  Value y, dz, dbeta, dgamma, dx, dx_frozen;
};
BatchNormResult batch_norm(const BatchNormCase& n, const Statistics& s) {
  const int64_t c = n.c();
  BatchNormResult r{n.x, n.x, fixed({c}), fixed({c}), n.x, n.x};
  auto rstd = [&](int64_t i) { return 1 / std::sqrt(s.variance[i % c] + kEpsilon); };
  auto normal = [&](int64_t i) { return (n.x[i] - s.mean[i % c]) * rstd(i); };
  with_activation(n.activation, [&](auto f) {
    for (int64_t i = 0; i < n.x.elements(); i++) {
      Real z = normal(i) * n.gamma_of(i) + n.beta_of(i) + (n.with_residual ? n.residual[i] : 0);
      r.y[i] = f.value(z).v;
      r.dz[i] = f.gradient(Real(n.dy[i]), f.kSaves == Saves::x ? z : f.value(z)).v;
      r.dbeta[i % c] += r.dz[i];
      r.dgamma[i % c] += r.dz[i] * normal(i);
    }
  });
  const double m = static_cast<double>(n.x.elements() / c);
  for (int64_t i = 0; i < n.x.elements(); i++) {
    r.dx_frozen[i] = n.gamma_of(i) * rstd(i) * r.dz[i];
    r.dx[i] = n.gamma_of(i) * rstd(i) * (r.dz[i] - r.dbeta[i % c] / m - normal(i) * r.dgamma[i % c] / m);
  }
  return r;
}

void check_batch_norm(const BatchNormCase& n) {
  Context context(text(n.activation, n.affine ? " affine" : "", n.with_residual ? " residual" : ""));
  const Statistics s = statistics_of(n.x);
  const BatchNormResult expected = batch_norm(n, s);
  const Value c = fixed({n.c()});
  auto with = [](std::vector<Value> list, bool condition, const Value& value) {
    if (condition) list.push_back(value);
    return list;
  };
  const double tolerance = 4e-6;
  check_op({"batch_norm", n.attributes(), with(n.inputs({n.x}, s), n.with_residual, n.residual), {n.x}},
           {expected.y}, tolerance);
  // The output as the forward op rounds it, so that both sides see the same mask.
  const Value y = with_data(n.x, expected.y.data);
  const auto backward = with(n.inputs({n.dy, n.x}, s), n.with_residual, y);
  check_op({"batch_norm_grad_sums", n.attributes(), backward, with({c, c}, n.with_residual, n.x)},
           with({expected.dbeta, expected.dgamma}, n.with_residual, expected.dz), tolerance);
  check_op({"batch_norm_grad_frozen", n.attributes(), backward, with({n.x, c, c}, n.with_residual, n.x)},
           with({expected.dx_frozen, expected.dbeta, expected.dgamma}, n.with_residual, expected.dz),
           tolerance);
  auto inputs = n.inputs({n.with_residual ? with_data(n.x, expected.dz.data) : n.dy, n.x}, s);
  inputs.push_back(vector(expected.dbeta.data));
  inputs.push_back(vector(expected.dgamma.data));
  BatchNormCase given = n;
  if (n.with_residual) given.activation = "none";
  check_op({"batch_norm_grad_input", given.attributes(true), inputs, {n.x}}, {expected.dx}, tolerance);
}

BatchNormCase batch_norm_case(std::vector<int64_t> shape) {
  BatchNormCase n;
  const int64_t c = shape.back();
  n.x = random(batch(shape), 31, -2, 4);
  n.gamma = random(fixed({c}), 32, -1.5, 1.5);
  n.beta = random(fixed({c}), 33);
  n.residual = random(batch(shape), 34);
  n.dy = random(batch(shape), 35);
  return n;
}

TEST(batch_norm_activations) {
  BatchNormCase n = batch_norm_case({2, 3, 4, 21});
#define DL_CASE(fused, F)                                       \
  n.activation = #fused;                                        \
  for (bool residual : {false, true}) {                         \
    if (residual && functions::F::kSaves == Saves::x) continue; \
    n.with_residual = residual;                                 \
    check_batch_norm(n);                                        \
  }
  DL_FUSED_ACTIVATIONS(DL_CASE)
#undef DL_CASE
}

TEST(batch_norm_shapes) {
  for (std::vector<int64_t> shape : {std::vector<int64_t>{3, 5, 5, 16},
                                     {4, 3},
                                     {1, 1, 3, 40},
                                     {7, 1, 1, 1},
                                     {2, 2, 3, 10},
                                     {2, 70, 64, 16},
                                     {2, 3, 3, 256},
                                     {1, 5, 2, 1001}}) {
    BatchNormCase n = batch_norm_case(shape);
    n.activation = "relu";
    n.with_residual = shape.size() > 2;
    check_batch_norm(n);
    if (n.x.elements() > 100000) continue;
    n.affine = false;
    check_batch_norm(n);
  }
}

TEST(batch_norm_in_place) {
  BatchNormCase n = batch_norm_case({2, 5, 4, 19});
  n.with_residual = true;
  n.activation = "relu";
  const Statistics s = statistics_of(n.x);
  const BatchNormResult expected = batch_norm(n, s);
  auto inputs = n.inputs({n.x}, s);
  inputs.push_back(n.residual);
  for_each_isa([&](Isa isa) {
    for (int input : {0, 5}) {
      OpCase op{"batch_norm", n.attributes(), inputs, {n.x}};
      op.aliases = {{0, input}};
      compare(run_op(op, isa, {.gap = 2, .threads = 2}).outputs[0], expected.y, 4e-6, "in place");
    }
    auto backward = n.inputs({with_data(n.x, expected.dz.data), n.x}, s);
    backward.push_back(vector(expected.dbeta.data));
    backward.push_back(vector(expected.dgamma.data));
    n.activation = "none";
    OpCase op{"batch_norm_grad_input", n.attributes(true), backward, {n.x}};
    op.aliases = {{0, 0}};
    compare(run_op(op, isa).outputs[0], expected.dx, 4e-6, "dx in place of dy");
    n.activation = "relu";
  });
}

TEST(batch_norm_is_pytorchs) {
  using namespace pytorch;
  const std::vector<int64_t> shape{3, 2, 2, 5};
  const Value x = images(shape, bn_x), dy = images(shape, bn_dy), residual = images(shape, bn_residual),
              c = fixed({5});
  const Value gamma = vector(bn_gamma), beta = vector(bn_beta);
  for_each_isa([&](Isa isa) {
    auto moments = run_op({"moments", {}, {x}, {c, c, c}}, isa).outputs;
    compare(moments[0], vector(bn_mean), 1e-6, "mean");
    compare(moments[2], vector(bn_unbiased), 1e-6, "unbiased");
    for (bool with : {false, true}) {
      Attributes a{
          {"epsilon", kEpsilon}, {"affine", true}, {"residual", with}, {"activation", std::string("relu")}};
      std::vector<Value> inputs{x, moments[0], moments[1], gamma, beta};
      if (with) inputs.push_back(residual);
      Value y = run_op({"batch_norm", a, inputs, {x}}, isa).outputs[0];
      compare(y, images(shape, with ? bn_residual_y : bn_plain_y), 2e-6, "y");
      inputs = {dy, x, moments[0], moments[1], gamma, beta};
      if (with) inputs.push_back(y);
      auto sums = run_op({"batch_norm_grad_sums", a, inputs,
                          with ? std::vector<Value>{c, c, x} : std::vector<Value>{c, c}},
                         isa)
                      .outputs;
      compare(sums[0], vector(with ? bn_residual_dbeta : bn_plain_dbeta), 4e-6, "dbeta");
      compare(sums[1], vector(with ? bn_residual_dgamma : bn_plain_dgamma), 4e-6, "dgamma");
      if (with) compare(sums[2], images(shape, bn_residual_dresidual), 4e-6, "dresidual");
      a.erase("residual");
      if (with) a["activation"] = std::string("none");
      inputs = {with ? sums[2] : dy, x, moments[0], moments[1], gamma, beta, sums[0], sums[1]};
      compare(run_op({"batch_norm_grad_input", a, inputs, {x}}, isa).outputs[0],
              images(shape, with ? bn_residual_dx : bn_plain_dx), 4e-6, "dx");
    }
  });
}

TEST(batch_norm_refuses) {
  BatchNormCase n = batch_norm_case({2, 3, 3, 4});
  const Statistics s = statistics_of(n.x);
  n.activation = "relu7";
  CHECK_ERROR("E_PLAN", run_op({"batch_norm", n.attributes(), n.inputs({n.x}, s), {n.x}}, Isa::scalar));
  n.activation = "silu";  // cannot be told from its output
  n.with_residual = true;
  auto inputs = n.inputs({n.dy, n.x}, s);
  inputs.push_back(n.x);
  const Value c = fixed({4});
  CHECK_ERROR("E_PLAN", run_op({"batch_norm_grad_sums", n.attributes(), inputs, {c, c, n.x}}, Isa::scalar));
  inputs = n.inputs({n.x}, s);
  inputs[1] = fixed({3});
  n.activation = "none";
  n.with_residual = false;
  CHECK_ERROR("E_PLAN", run_op({"batch_norm", n.attributes(), inputs, {n.x}}, Isa::scalar));
}

// ---- layer norm and group norm
// -------------------------------------------------------------------------------------

struct RowNormCase {
  std::vector<int64_t> shape, parameters;
  /// Elements that share statistics, and the parameter of an element.
  int64_t groups;
  std::function<int64_t(int64_t)> group, parameter;
};

void check_row_norm(const std::string& name, const RowNormCase& n, Attributes attributes, bool strided) {
  for (bool affine : {true, false}) {
    Context context(affine ? "affine" : "plain");
    auto make = [&](uint64_t seed, double lo, double hi) {
      Value v = batch(n.shape);
      v.strided = strided;
      return random(v, seed, lo, hi);
    };
    Value x = make(41, 1, 3), dy = make(42, -1, 1), gamma = random(fixed(n.parameters), 43),
          beta = random(gamma, 44);
    Value rows = batch({n.shape[0], n.groups / n.shape[0]});
    rows.strided = false;
    std::vector<double> means, rstds;
    auto forward = [&](const Value& from, const Value& g, const Value& b) {
      Value y = from;
      y.data = reference::normalize(from.data, n.groups, n.group, n.parameter, kEpsilon,
                                    affine ? g.data : std::vector<double>{}, b.data, &means, &rstds);
      return y;
    };
    const Value y = forward(x, gamma, beta);
    Value mean = rows, rstd = rows;
    mean.data = means;
    rstd.data = rstds;
    attributes["affine"] = affine;
    attributes["epsilon"] = kEpsilon;
    std::vector<Value> inputs{x};
    if (affine) inputs.push_back(gamma), inputs.push_back(beta);
    check_op({name, attributes, inputs, {x, rows, rows}}, {y, mean, rstd}, 4e-6);

    attributes.erase("epsilon");
    inputs = {dy, x, with_data(rows, means), with_data(rows, rstds)};
    std::vector<Value> outputs{x},
        expected{numeric_gradient(x, dy, [&](const Value&v) { return forward(v, gamma, beta); })};
    if (affine) {
      inputs.push_back(gamma);
      outputs.push_back(gamma), outputs.push_back(gamma);
      expected.push_back(numeric_gradient(gamma, dy, [&](const Value& v) { return forward(x, v, beta); }));
      expected.push_back(numeric_gradient(gamma, dy, [&](const Value& v) { return forward(x, gamma, v); }));
    }
    check_op({name + "_grad", attributes, inputs, outputs}, expected, 1e-5);
  }
}

TEST(layer_norm) {
  for (auto [shape, axes] :
       {std::pair<std::vector<int64_t>, int>{{3, 2, 21}, 1}, {{4, 2, 2, 5}, 3}, {{2, 16}, 1}}) {
    int64_t width = 1, rows = 1;
    RowNormCase n;
    n.shape = shape;
    for (size_t i = 0; i < shape.size(); i++) {
      bool inner = i + static_cast<size_t>(axes) >= shape.size();
      (inner ? width : rows) *= shape[i];
      if (inner) n.parameters.push_back(shape[i]);
    }
    n.groups = rows;
    n.group = [width](int64_t e) { return e / width; };
    n.parameter = [width](int64_t e) { return e % width; };
    check_row_norm("layer_norm", n, {{"axes", static_cast<double>(axes)}}, false);
  }
}

TEST(group_norm) {
  for (auto [shape, groups] : {std::pair<std::vector<int64_t>, int64_t>{{2, 3, 2, 6}, 3},
                               {{3, 2, 2, 5}, 1},
                               {{2, 3, 3, 18}, 18},
                               {{4, 6}, 2}}) {
    RowNormCase n;
    const int64_t c = shape.back(), size = c / groups, sample = batch(shape).elements() / shape[0],
                  each = groups;
    n.shape = shape;
    n.parameters = {c};
    n.groups = shape[0] * groups;
    n.group = [=](int64_t e) { return e / sample * each + e % c / size; };
    n.parameter = [c](int64_t e) { return e % c; };
    check_row_norm("group_norm", n, {{"groups", static_cast<double>(groups)}}, true);
  }
}

TEST(layer_and_group_norm_are_pytorchs) {
  using namespace pytorch;
  for_each_isa([&](Isa isa) {
    auto check = [&](const std::string& name, Attributes a, Value x, const Value& dy, const Value& gamma,
                     const Value& beta, Value rows, const std::vector<const std::vector<double>*>& expected) {
      a["affine"] = true;
      Attributes forward = a;
      forward["epsilon"] = kEpsilon;
      auto out = run_op({name, forward, {x, gamma, beta}, {x, rows, rows}}, isa).outputs;
      compare(out[0], with_data(x, *expected[0]), 4e-6, name);
      auto grad = run_op({name + "_grad", a, {dy, x, out[1], out[2], gamma}, {x, gamma, gamma}}, isa).outputs;
      compare(grad[0], with_data(x, *expected[1]), 4e-6, "dx");
      compare(grad[1], with_data(gamma, *expected[2]), 4e-6, "dgamma");
      compare(grad[2], with_data(gamma, *expected[3]), 4e-6, "dbeta");
    };
    auto rows = [](std::vector<int64_t> shape) {
      Value v = batch(shape);
      v.strided = false;
      return v;
    };
    check("layer_norm", {{"axes", 2.0}}, with_data(rows({4, 3, 6}), ln_x), with_data(rows({4, 3, 6}), ln_dy),
          with_data(fixed({3, 6}), ln_gamma), with_data(fixed({3, 6}), ln_beta), rows({4}),
          {&ln_y, &ln_dx, &ln_dgamma, &ln_dbeta});
    check("group_norm", {{"groups", 3.0}}, images({2, 3, 2, 6}, gn_x), images({2, 3, 2, 6}, gn_dy),
          vector(gn_gamma), vector(gn_beta), rows({2, 3}), {&gn_y, &gn_dx, &gn_dgamma, &gn_dbeta});
  });
}

// ---- local response norm
// -------------------------------------------------------------------------------------------

Attributes lrn_attributes(double size) {
  return {{"size", size}, {"alpha", 0.3}, {"beta", 0.75}, {"k", 2.0}};
}

Value lrn(const Value& x, int64_t size) {
  Value y = x;
  const int64_t c = x.channels();
  for (int64_t i = 0; i < x.elements(); i++) {
    double squares = 0;
    for (int64_t j = i % c - size / 2; j <= i % c + (size - 1) / 2; j++)
      if (j >= 0 && j < c) squares += x[i - i % c + j] * x[i - i % c + j];
    y[i] = x[i] / std::pow(2.0 + 0.3 / static_cast<double>(size) * squares, 0.75);
  }
  return y;
}

TEST(lrn) {
  for (int64_t size : {1, 4, 5, 20}) {
    for (std::vector<int64_t> shape : {std::vector<int64_t>{2, 3, 2, 16}, {3, 2, 1, 21}, {2, 3}}) {
      Value x = random(batch(shape), 51, -3, 3), dy = random(x, 52), y = lrn(x, size);
      const Attributes a = lrn_attributes(static_cast<double>(size));
      check_op({"lrn", a, {x}, {x}}, {y}, 2e-6);
      check_op({"lrn_grad", a, {dy, x, with_data(x, y.data)}, {x}},
               {numeric_gradient(x, dy, [&](const Value& v) { return lrn(v, size); })}, 1e-5);
    }
  }
}

TEST(lrn_is_pytorchs) {
  using namespace pytorch;
  const std::vector<int64_t> shape{2, 2, 2, 7};
  const Value x = images(shape, lrn_x), dy = images(shape, lrn_dy);
  for_each_isa([&](Isa isa) {
    for (int size : {5, 4}) {
      Value y = run_op({"lrn", lrn_attributes(size), {x}, {x}}, isa).outputs[0];
      compare(y, images(shape, size == 5 ? lrn5_y : lrn4_y), 2e-6, "y");
      compare(run_op({"lrn_grad", lrn_attributes(size), {dy, x, y}, {x}}, isa).outputs[0],
              images(shape, size == 5 ? lrn5_dx : lrn4_dx), 4e-6, "dx");
    }
  });
}

}  // namespace
}  // namespace dl::test
