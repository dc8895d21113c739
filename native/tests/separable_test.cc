// The depthwise convolution with pointwise ones around it against plain loops in double.
#include <algorithm>
#include <cmath>

#include "kernels/conv/reference.h"
#include "tests/harness.h"

namespace dl::test {
namespace {

using reference::ConvShape;

struct Case {
  const char* name;
  int64_t n, h, w;
  /// Channels of the input, between the convolutions, and of the output.
  int64_t ic, channels, oc;
  int64_t kernel, stride, before, after, dilation;
};

const Case kCases[] = {
    {"slices of channels", 2, 4, 7, 24, 144, 20, 3, 1, 1, 1, 1},
    {"slices of channels, stride 2", 1, 8, 8, 16, 96, 40, 3, 2, 1, 1, 1},
    {"fewer panels than slices", 1, 5, 5, 8, 40, 9, 3, 1, 1, 1, 1},
    {"a band has several images", 9, 6, 7, 16, 48, 33, 3, 1, 1, 1, 1},
    {"a band has some rows of an image", 2, 22, 22, 6, 112, 9, 3, 1, 1, 1, 1},
    {"stride 2 in bands", 1, 34, 33, 6, 88, 10, 3, 2, 0, 1, 1},
    {"5x5 in bands", 1, 25, 24, 4, 88, 8, 5, 1, 2, 2, 1},
    {"dilated in bands", 1, 24, 22, 4, 96, 8, 3, 1, 4, 4, 4},
    {"7x7, all padding", 6, 8, 8, 5, 30, 7, 7, 1, 3, 3, 1},
    {"1x1 stride 3", 2, 22, 21, 6, 16, 8, 1, 3, 0, 0, 1},
    {"padding beyond the kernel", 5, 9, 8, 4, 24, 8, 3, 2, 5, 4, 1},
};

/// A convolution with what scales its sums, and its activation.
struct Stage {
  ConvShape shape;
  bool bias, norm, affine;
  std::string activation;
  uint64_t seed;

  Value weights() const {
    return random(fixed({shape.kh, shape.kw, shape.ic / shape.groups, shape.oc}), seed, -1, 1);
  }
  Value vector(uint64_t i, double lo, double hi) const { return random(fixed({shape.oc}), seed + i, lo, hi); }
  std::vector<Value> inputs() const {
    std::vector<Value> all{weights()};
    if (bias) all.push_back(vector(1, -1, 1));
    if (norm) {
      all.push_back(vector(2, -1, 1));
      all.push_back(vector(3, 0.5, 3));
      if (affine) {
        all.push_back(vector(4, -2, 2));
        all.push_back(vector(5, -1, 1));
      }
    }
    return all;
  }
  void describe(Attributes& a, const std::string& prefix) const {
    const auto name = [&](std::string plain) {
      if (!prefix.empty()) plain[0] = static_cast<char>(std::toupper(plain[0]));
      return prefix + plain;
    };
    a[name("bias")] = bias;
    a[name("norm")] = norm;
    a[name("epsilon")] = 1e-3;
    a[name("affine")] = affine;
    a[name("activation")] = activation;
    if (!prefix.empty()) a[name("groups")] = static_cast<double>(shape.groups);
  }
  std::vector<double> run(const std::vector<double>& x, const Value* residual) const {
    std::vector<double> y = reference::conv2d<double>(shape, x, weights().data);
    for (size_t i = 0; i < y.size(); i++) {
      const auto c = static_cast<int64_t>(i) % shape.oc;
      if (bias) y[i] += vector(1, -1, 1)[c];
      if (norm) y[i] = (y[i] - vector(2, -1, 1)[c]) / std::sqrt(vector(3, 0.5, 3)[c] + 1e-3);
      if (norm && affine) y[i] = y[i] * vector(4, -2, 2)[c] + vector(5, -1, 1)[c];
      if (residual) y[i] += (*residual)[static_cast<int64_t>(i)];
      if (activation == "relu" || activation == "relu6") y[i] = std::max(y[i], 0.0);
      if (activation == "relu6") y[i] = std::min(y[i], 6.0);
      if (activation == "tanh") y[i] = std::tanh(y[i]);
    }
    return y;
  }
  int64_t products() const { return shape.kh * shape.kw * shape.ic / shape.groups; }
};

/// Channel i · width + j becomes channel j · groups + i.
std::vector<double> shuffled(const std::vector<double>& x, int64_t channels, int64_t groups) {
  std::vector<double> y(x.size());
  const int64_t width = channels / groups;
  for (int64_t i = 0; i < static_cast<int64_t>(x.size()); i++) {
    const int64_t c = i % channels;
    y[i - c + c % width * groups + c / width] = x[i];
  }
  return y;
}

ConvShape pointwise(int64_t n, int64_t h, int64_t w, int64_t ic, int64_t oc) {
  return {.n = n, .ih = h, .iw = w, .ic = ic, .oc = oc};
}

void check(const Case& c, bool expands, bool residual, const Stage& expand, const Stage& filter,
           const Stage& project, int64_t shuffle = 1) {
  const Value x = random(batch({c.n, c.h, c.w, expands ? c.ic : c.channels}), 1);
  const ConvShape& last = project.shape;
  const Value like = batch({c.n, last.ih, last.iw, c.oc}), shortcut = random(like, 2, -2, 2);
  std::vector<double> y = expands ? expand.run(x.data, nullptr) : x.data;
  y = project.run(filter.run(shuffled(y, c.channels, shuffle), nullptr), residual ? &shortcut : nullptr);

  const ConvShape& s = filter.shape;
  Attributes a{{"stride", list(s.sh, s.sw)},
               {"pad", list(s.top, s.bottom, s.left, s.right)},
               {"dilation", list(s.dh, s.dw)},
               {"expand", expands},
               {"shuffle", static_cast<double>(shuffle)},
               {"residual", residual}};
  expand.describe(a, "expand");
  filter.describe(a, "");
  project.describe(a, "project");
  std::vector<Value> inputs{x};
  const auto take = [&](const std::vector<Value>& more) {
    inputs.insert(inputs.end(), more.begin(), more.end());
  };
  if (expands) take(expand.inputs());
  take(filter.inputs());
  take(project.inputs());
  if (residual) inputs.push_back(shortcut);
  const int64_t products = (expands ? expand.products() : 0) + filter.products() + project.products();
  check_op({"separable_conv2d", a, inputs, {like}}, {with_data(like, y)},
           4 * (8 + static_cast<double>(products)) * 6e-8);
}

TEST(separable_conv2d) {
  for (const Case& c : kCases) {
    for (const bool expands : {true, false}) {
      Context context(text(c.name, expands ? ", expanded" : ""));
      const ConvShape filter{.n = c.n,
                             .ih = c.h,
                             .iw = c.w,
                             .ic = c.channels,
                             .oc = c.channels,
                             .kh = c.kernel,
                             .kw = c.kernel,
                             .sh = c.stride,
                             .sw = c.stride,
                             .top = c.before,
                             .bottom = c.after,
                             .left = c.before,
                             .right = c.after,
                             .dh = c.dilation,
                             .dw = c.dilation,
                             .groups = c.channels};
      const ConvShape expand = pointwise(c.n, c.h, c.w, c.ic, c.channels);
      const ConvShape project = pointwise(c.n, filter.oh(), filter.ow(), c.channels, c.oc);
      // As in MobileNetV2, with everything; with other activations and without norms.
      check(c, expands, true, {expand, true, true, true, "relu6", 10},
            {filter, false, true, true, "relu6", 20}, {project, true, true, false, "none", 30});
      check(c, expands, false, {expand, false, false, true, "tanh", 10},
            {filter, true, false, true, "tanh", 20}, {project, false, true, true, "relu", 30});
    }
  }
}

TEST(separable_conv2d_of_groups) {
  struct Grouped {
    const char* name;
    int64_t n, h, w, ic, channels, oc, stride, expand_groups, project_groups, shuffle;
  };
  const Grouped cases[] = {
      {"runs of two lengths", 5, 9, 8, 60, 60, 84, 1, 3, 3, 3},
      {"in bands, stride 2", 2, 30, 31, 24, 96, 40, 2, 1, 4, 4},
      {"runs of one channel", 3, 7, 7, 36, 66, 21, 1, 3, 3, 22},
      {"shuffled groups that are none of the group's", 3, 7, 7, 36, 24, 12, 1, 3, 6, 8},
      {"many weights, few pixels", 1, 2, 2, 64, 96, 64, 1, 2, 2, 2},
      {"panels of several vectors", 1, 6, 5, 12, 102, 90, 1, 2, 2, 17},
      {"shuffled, without groups", 2, 5, 5, 12, 40, 20, 1, 1, 1, 8},
      {"groups, not shuffled", 2, 5, 5, 12, 40, 20, 1, 2, 4, 1},
  };
  for (const Grouped& c : cases) {
    for (const bool expands : {true, false}) {
      Context context(text(c.name, expands ? ", expanded" : ""));
      ConvShape filter{.n = c.n, .ih = c.h, .iw = c.w, .ic = c.channels, .oc = c.channels, .kh = 3, .kw = 3};
      filter.sh = filter.sw = c.stride;
      filter.top = filter.bottom = filter.left = filter.right = 1;
      filter.groups = c.channels;
      ConvShape expand = pointwise(c.n, c.h, c.w, c.ic, c.channels);
      expand.groups = c.expand_groups;
      ConvShape project = pointwise(c.n, filter.oh(), filter.ow(), c.channels, c.oc);
      project.groups = c.project_groups;
      const Case same{c.name, c.n, c.h, c.w, c.ic, c.channels, c.oc, 3, c.stride, 1, 1, 1};
      check(same, expands, true, {expand, false, true, true, "relu", 10},
            {filter, false, true, true, "none", 20}, {project, true, true, true, "relu", 30}, c.shuffle);
      // Neither norms nor biases in the filter.
      check(same, expands, false, {expand, true, false, true, "relu", 10},
            {filter, false, false, true, "relu", 20}, {project, false, false, true, "none", 30}, c.shuffle);
    }
  }
}

TEST(separable_conv2d_refuses_what_does_not_fit) {
  const Stage expand{pointwise(1, 4, 4, 8, 16), false, false, true, "none", 1};
  const Stage filter{{.n = 1,
                      .ih = 4,
                      .iw = 4,
                      .ic = 16,
                      .oc = 16,
                      .kh = 3,
                      .kw = 3,
                      .top = 1,
                      .bottom = 1,
                      .left = 1,
                      .right = 1,
                      .groups = 16},
                     false,
                     false,
                     true,
                     "none",
                     2};
  const Stage project{pointwise(1, 4, 4, 16, 8), false, false, true, "none", 3};
  Attributes a{{"stride", list(1, 1)}, {"pad", list(1, 1, 1, 1)}, {"dilation", list(1, 1)},
               {"expand", true},       {"shuffle", 1.0},          {"residual", false}};
  expand.describe(a, "expand");
  filter.describe(a, "");
  project.describe(a, "project");
  const Value x = batch({1, 4, 4, 8}), y = batch({1, 4, 4, 8});
  const Value e = expand.weights(), f = filter.weights(), p = project.weights();
  const auto run = [&](std::vector<Value> inputs, Value result) {
    run_op({"separable_conv2d", a, std::move(inputs), {std::move(result)}}, Isa::scalar);
  };
  run({x, e, f, p}, y);
  CHECK_ERROR("E_PLAN", run({x, e, f}, y));
  CHECK_ERROR("E_PLAN", run({x, e, f, p, x}, y));
  CHECK_ERROR("E_PLAN", run({batch({1, 4, 4, 9}), e, f, p}, y));
  CHECK_ERROR("E_PLAN", run({x, e, f, p}, batch({1, 4, 4, 9})));
  CHECK_ERROR("E_PLAN", run({x, e, f, p}, batch({1, 4, 5, 8})));
  CHECK_ERROR("E_PLAN", run({x, e, f, fixed({1, 1, 15, 8})}, y));
  for (const char* groups : {"expandGroups", "projectGroups"}) {
    a[groups] = 2.0;
    CHECK_ERROR("E_PLAN", run({x, e, f, p}, y));
    a[groups] = 0.0;
    CHECK_ERROR("E_PLAN", run({x, e, f, p}, y));
    a[groups] = 1.0;
  }
  for (const double shuffle : {3.0, 0.0}) {
    a["shuffle"] = shuffle;
    CHECK_ERROR("E_PLAN", run({x, e, f, p}, y));
  }
  a["shuffle"] = 1.0;
  a["residual"] = true;
  CHECK_ERROR("E_PLAN", run({x, e, f, p, batch({1, 4, 4, 7})}, y));
}

}  // namespace
}  // namespace dl::test
