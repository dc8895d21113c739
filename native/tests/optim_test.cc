// Optimizers against PyTorch's (pytorch_cases.py) and a plain loop; norms, clipping, accumulation.
#include <cmath>
#include <limits>

#include "tests/harness.h"
#include "tests/pytorch_cases.h"

namespace dl::test {
namespace {

Value scalar(double x) {
  return with_data(fixed({1}), {x});
}
Value scalar_i32(double x) {
  return with_data(fixed({1}, DType::i32), {x});
}
Value vector(std::vector<double> data) {
  Value v = fixed({static_cast<int64_t>(data.size())});
  return with_data(v, std::move(data));
}

/// Four steps on the parameters of pytorch_cases.py. `head(step)` gives the scalars of a step, `states` how
/// many tensors of state a parameter has.
void check_steps(const std::string& op, const Attributes& attributes, int states,
                 const std::function<std::vector<double>(int)>& head, const std::vector<double>& expected) {
  for_each_isa([&](Isa isa) {
    Value p = vector(pytorch::optim_p);
    std::vector<Value> state(static_cast<size_t>(states), fixed({7}));
    for (int step = 1; step <= 4; step++) {
      OpCase c{op, attributes, {}, {}};
      for (double x : head(step)) c.inputs.push_back(scalar(x));
      const size_t first = c.inputs.size();
      const auto* g = &pytorch::optim_g[static_cast<size_t>(7 * (step - 1))];
      c.inputs.push_back(p);
      c.inputs.push_back(vector({g, g + 7}));
      for (const Value& s : state) c.inputs.push_back(s);
      c.mutated = {static_cast<int>(first)};
      for (int s = 0; s < states; s++) c.mutated.push_back(static_cast<int>(first) + 2 + s);
      auto after = run_op(c, isa).inputs;
      p = after[first];
      for (int s = 0; s < states; s++)
        state[static_cast<size_t>(s)] = after[first + 2 + static_cast<size_t>(s)];
      const auto* wanted = &expected[static_cast<size_t>(7 * (step - 1))];
      compare(p, vector({wanted, wanted + 7}), 4e-6, text(op, " step ", step, " "));
    }
  });
}

Attributes sgd_attributes(bool nesterov, double dampening = 0) {
  return {{"nesterov", nesterov}, {"dampening", dampening}};
}

TEST(sgd_is_pytorchs) {
  auto fixed_head = [](std::vector<double> list) { return [list](int) { return list; }; };
  check_steps("sgd", sgd_attributes(false), 1, fixed_head({0.1, 0, 0}), pytorch::sgd);
  check_steps("sgd", sgd_attributes(false), 1, fixed_head({0.1, 0.01, 0.9}), pytorch::sgd_momentum);
  check_steps("sgd", sgd_attributes(true), 1, fixed_head({0.1, 0.01, 0.9}), pytorch::sgd_nesterov);
  check_steps(
      "sgd", sgd_attributes(false, 0.5), 1,
      [](int step) {
        return std::vector<double>{0.1, 0, 0.9, double(step)};
      },
      pytorch::sgd_dampening);
}

TEST(adam_is_pytorchs) {
  auto head = [](int step) { return std::vector<double>{0.02, 0.1, 0.9, 0.99, 0.05, double(step)}; };
  check_steps("adam", {{"decoupled", false}}, 2, head, pytorch::adam);
  check_steps("adam", {{"decoupled", true}}, 2, head, pytorch::adamw);
}

TEST(rmsprop_is_pytorchs) {
  check_steps(
      "rmsprop", {{"centered", false}}, 2,
      [](int) {
        return std::vector<double>{0.02, 0.1, 0.9, 0.05, 0};
      },
      pytorch::rmsprop);
  check_steps(
      "rmsprop", {{"centered", false}}, 2,
      [](int) {
        return std::vector<double>{0.02, 0, 0.9, 0.05, 0.8};
      },
      pytorch::rmsprop_momentum);
  check_steps(
      "rmsprop", {{"centered", true}}, 3,
      [](int) {
        return std::vector<double>{0.02, 0, 0.9, 0.05, 0.8};
      },
      pytorch::rmsprop_centered);
}

/// Tensors of many sizes, one of them over several blocks of work.
const std::vector<int64_t> kSizes{1, 7, 16, 33, 200001, 5, 1000};

TEST(optimizers_of_many_tensors) {
  struct Kind {
    const char* op;
    Attributes attributes;
    std::vector<double> head;
    int states;
    /// One element: p, g, state → new p and state
    std::function<void(double&, double, double*)> step;
  };
  const Kind kinds[] = {
      {"sgd",
       sgd_attributes(true),
       {0.1, 0.01, 0.9},
       1,
       [](double& p, double g, double* s) {
         g += 0.01 * p;
         s[0] = 0.9 * s[0] + g;
         p -= 0.1 * (g + 0.9 * s[0]);
       }},
      {"adam",
       {{"decoupled", true}},
       {0.02, 0.1, 0.9, 0.99, 0.05, 3},
       2,
       [](double& p, double g, double* s) {
         p *= 1 - 0.02 * 0.1;
         s[0] = 0.9 * s[0] + 0.1 * g;
         s[1] = 0.99 * s[1] + 0.01 * g * g;
         p -= 0.02 * (s[0] / (1 - std::pow(0.9, 3))) / (std::sqrt(s[1] / (1 - std::pow(0.99, 3))) + 0.05);
       }},
      {"rmsprop",
       {{"centered", true}},
       {0.02, 0.1, 0.9, 0.05, 0.8},
       3,
       [](double& p, double g, double* s) {
         g += 0.1 * p;
         s[0] = 0.9 * s[0] + 0.1 * g * g;
         s[2] = 0.9 * s[2] + 0.1 * g;
         s[1] = 0.8 * s[1] + g / (std::sqrt(s[0] - s[2] * s[2]) + 0.05);
         p -= 0.02 * s[1];
       }},
      {"ema", {}, {0.99}, -1, [](double& a, double v, double*) { a = 0.99 * a + (1 - 0.99) * v; }},
  };
  for (const Kind& kind : kinds) {
    OpCase c{kind.op, kind.attributes, {}, {}};
    for (double x : kind.head) c.inputs.push_back(scalar(x));
    std::vector<Value> expected;
    const int states = std::max(kind.states, 0);
    for (size_t t = 0; t < kSizes.size(); t++) {
      std::vector<Value> list;
      for (int k = 0; k < 2 + states; k++) {
        // State as training leaves it: squares well above the square of the mean.
        const double lo = k >= 2 ? (k == 2 && states > 1 && kind.op[0] != 'a' ? 1
                                    : k == 3 && states == 2                   ? 1
                                                                              : -0.5)
                                 : -1;
        list.push_back(random(fixed({kSizes[t]}), 100 * t + static_cast<uint64_t>(k), lo, lo + 1));
      }
      for (int k = 0; k < 2 + states; k++) {
        if (k != 1) c.mutated.push_back(static_cast<int>(c.inputs.size()));
        c.inputs.push_back(list[static_cast<size_t>(k)]);
      }
      for (int64_t i = 0; i < kSizes[t]; i++) {
        double s[3] = {};
        for (int k = 0; k < states; k++) s[k] = list[static_cast<size_t>(2 + k)][i];
        kind.step(list[0][i], list[1][i], s);
        for (int k = 0; k < states; k++) list[static_cast<size_t>(2 + k)][i] = s[k];
      }
      for (int k = 0; k < 2 + states; k++)
        if (k != 1) expected.push_back(list[static_cast<size_t>(k)]);
    }
    check_op(c, expected, 4e-6);
  }
}

TEST(sgd_leaves_momentum_alone_without_it) {
  OpCase c{"sgd",
           sgd_attributes(false),
           {scalar(0.5), scalar(0), scalar(0), vector({1}), vector({2}), vector({7})},
           {}};
  c.mutated = {3};  // and not 5
  for_each_isa([&](Isa isa) {
    const Value p = run_op(c, isa).inputs[3];
    CHECK_EQ(p[0], 0.0);
  });
}

std::vector<Value> gradients(double scale) {
  std::vector<Value> list;
  for (size_t t = 0; t < kSizes.size(); t++) {
    Value g = random(fixed({kSizes[t]}), 300 + t);
    for (double& x : g.data) x = static_cast<double>(static_cast<float>(x * scale));
    list.push_back(g);
  }
  return list;
}

TEST(global_norm) {
  // Squares of 1e-30 and of 1e25 leave the range of float.
  for (double scale : {1.0, 1e-30, 1e25, 0.0}) {
    std::vector<Value> g = gradients(scale);
    double total = 0;
    for (const Value& v : g)
      for (double x : v.data) total += x * x;
    check_op({"global_norm", {}, g, {fixed({1}), fixed({1}, DType::i32)}},
             {scalar(std::sqrt(total)), scalar_i32(1)}, 1e-6);
  }
  for (double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    std::vector<Value> g = gradients(1);
    g[4][150000] = bad;
    for_each_isa([&](Isa isa) {
      auto out =
          run_op({"global_norm", {}, g, {fixed({1}), fixed({1}, DType::i32)}}, isa, {.threads = 2}).outputs;
      CHECK(!std::isfinite(out[0][0]));
      CHECK_EQ(out[1][0], 0.0);
      const Value all =
          run_op({"all_finite", {}, g, {fixed({1}, DType::i32)}}, isa, {.threads = 2}).outputs[0];
      CHECK_EQ(all[0], 0.0);
    });
  }
  check_op({"all_finite", {}, gradients(1e38), {scalar_i32(1)}}, {scalar_i32(1)}, 0);
}

TEST(clipping_is_pytorchs) {
  const Value g = vector(pytorch::optim_g);
  for_each_isa([&](Isa isa) {
    Value norm = run_op({"global_norm", {}, {g}, {fixed({1}), fixed({1}, DType::i32)}}, isa).outputs[0];
    compare(norm, scalar(pytorch::clip_norm[0]), 1e-6, "norm");
    Value s = run_op({"clip_scale", {}, {norm, scalar(1)}, {fixed({1})}}, isa).outputs[0];
    OpCase c{"scale_all", {}, {s, g}, {}};
    c.mutated = {1};
    compare(run_op(c, isa).inputs[1], vector(pytorch::clip_g), 1e-6, "clipped");
  });
  auto scale = [](double norm, double max) {
    return run_op({"clip_scale", {}, {scalar(norm), scalar(max)}, {fixed({1})}}, Isa::scalar).outputs[0][0];
  };
  CHECK_EQ(scale(5, 10), 1.0);
  CHECK_EQ(scale(5, 0), 1.0);
  CHECK_EQ(scale(0, 1), 1.0);
  CHECK(std::isnan(scale(std::nan(""), 1)));
}

TEST(scale_all) {
  for (double s : {0.25, 1.0}) {
    OpCase c{"scale_all", {}, {scalar(s)}, {}};
    std::vector<Value> expected;
    for (const Value& g : gradients(1)) {
      c.mutated.push_back(static_cast<int>(c.inputs.size()));
      c.inputs.push_back(g);
      expected.push_back(g);
      for (double& x : expected.back().data) x *= s;
    }
    check_op(c, expected, 1e-7);
  }
}

TEST(accumulate_is_a_binary_tree) {
  // Micro-batches whose sum depends on the order in float: only the tree's own order gives these bytes.
  const std::vector<int64_t> sizes{3, 200, 140001};
  for (int count : {1, 2, 3, 4, 5, 8}) {
    int levels = 0;
    while ((1 << levels) < count) levels++;
    levels = std::max(levels, 1);
    std::vector<std::vector<Value>> batches;
    for (int b = 0; b < count; b++) {
      batches.emplace_back();
      for (size_t t = 0; t < sizes.size(); t++)
        batches.back().push_back(
            random(fixed({sizes[t]}), static_cast<uint64_t>(400 + 10 * b) + t, -1, std::pow(10, b)));
    }
    // Sums of 1, 2, 4 ... neighbours, then what is left from the right.
    auto tree = [&](size_t t, int64_t i) {
      std::vector<std::pair<int, float>> stack;  // (batches, sum)
      for (int b = 0; b < count; b++) {
        std::pair<int, float> next{1, static_cast<float>(batches[static_cast<size_t>(b)][t][i])};
        while (!stack.empty() && stack.back().first == next.first) {
          next = {2 * next.first, stack.back().second + next.second};
          stack.pop_back();
        }
        stack.push_back(next);
      }
      float total = stack.back().second;
      for (size_t k = stack.size() - 1; k-- > 0;) total = stack[k].second + total;
      return static_cast<double>(total * static_cast<float>(1.0 / count));
    };
    for_each_isa([&](Isa isa) {
      std::vector<Value> state;
      for (int64_t size : sizes) state.push_back(random(fixed({levels, size}), 7));  // rubbish from before
      std::vector<Value> after;
      for (int b = 0; b < count; b++) {
        OpCase c{"accumulate", {{"parameters", 3.0}}, {scalar_i32(b), scalar_i32(count)}, {}};
        for (const Value& g : batches[static_cast<size_t>(b)]) c.inputs.push_back(g);
        for (const Value& s : state) c.inputs.push_back(s);
        for (int i = 2; i < 8; i++) c.mutated.push_back(i);
        after = run_op(c, isa, {.threads = 1 + b % 4}).inputs;
        for (size_t t = 0; t < 3; t++) state[t] = after[5 + t];
      }
      for (size_t t = 0; t < 3; t++) {
        Value expected = batches[0][t];
        for (int64_t i = 0; i < sizes[t]; i++) expected[i] = tree(t, i);
        compare_bytes(after[2 + t], expected, text(count, " micro-batches, tensor ", t, " "));
      }
    });
  }
}

TEST(optimizers_refuse) {
  const Value p = fixed({3});
  CHECK_ERROR("E_PLAN", run_op({"sgd", sgd_attributes(false), {scalar(1), scalar(1), scalar(1), p, p}, {}},
                               Isa::scalar));
  CHECK_ERROR("E_PLAN",
              run_op({"sgd", sgd_attributes(false), {scalar(1), scalar(1), scalar(1), p, fixed({4}), p}, {}},
                     Isa::scalar));
  CHECK_ERROR(
      "E_PLAN",
      run_op({"accumulate", {{"parameters", 1.0}}, {scalar_i32(0), scalar_i32(1), p, fixed({2, 4})}, {}},
             Isa::scalar));
}

}  // namespace
}  // namespace dl::test
