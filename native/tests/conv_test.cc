// Convolutions and their gradients against plain loops in double.
#include "kernels/conv/reference.h"

#include <algorithm>
#include <cmath>

#include "plan/op.h"
#include "tests/harness.h"

namespace dl::test {
namespace {

using reference::ConvShape;

// Kernels, strides, paddings and dilations of the nets, and awkward ones; channel counts around every vector
// and panel length; more pixels than a piece of a block, than a block,
// more blocks than a slab, more channels than a slice.
const std::vector<ConvShape> kShapes{
    {.n = 3,
     .ih = 8,
     .iw = 8,
     .ic = 16,
     .oc = 32,
     .kh = 3,
     .kw = 3,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1},
    {.n = 2,
     .ih = 21,
     .iw = 19,
     .ic = 5,
     .oc = 7,
     .kh = 3,
     .kw = 3,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1},
    {.n = 5,
     .ih = 7,
     .iw = 9,
     .ic = 17,
     .oc = 49,
     .kh = 3,
     .kw = 3,
     .sh = 2,
     .sw = 2,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1},
    {.n = 2,
     .ih = 8,
     .iw = 8,
     .ic = 8,
     .oc = 24,
     .kh = 3,
     .kw = 3,
     .sh = 2,
     .sw = 2,
     .top = 0,
     .bottom = 1,
     .left = 0,
     .right = 1},
    {.n = 2,
     .ih = 30,
     .iw = 30,
     .ic = 3,
     .oc = 20,
     .kh = 7,
     .kw = 7,
     .sh = 2,
     .sw = 2,
     .top = 3,
     .bottom = 3,
     .left = 3,
     .right = 3},
    {.n = 1,
     .ih = 23,
     .iw = 23,
     .ic = 3,
     .oc = 11,
     .kh = 11,
     .kw = 11,
     .sh = 4,
     .sw = 4,
     .top = 2,
     .bottom = 2,
     .left = 2,
     .right = 2},
    {.n = 3, .ih = 6, .iw = 6, .ic = 33, .oc = 31, .kh = 1, .kw = 1},
    {.n = 2, .ih = 60, .iw = 61, .ic = 6, .oc = 35, .kh = 1, .kw = 1},
    {.n = 1, .ih = 119, .iw = 121, .ic = 5, .oc = 16, .kh = 1, .kw = 1, .sh = 2, .sw = 2},
    {.n = 3, .ih = 7, .iw = 6, .ic = 12, .oc = 40, .kh = 1, .kw = 1, .sh = 2, .sw = 2},
    {.n = 2,
     .ih = 5,
     .iw = 6,
     .ic = 4,
     .oc = 6,
     .kh = 1,
     .kw = 1,
     .sh = 2,
     .sw = 3,
     .top = 1,
     .bottom = 0,
     .left = 2,
     .right = 1},
    {.n = 2,
     .ih = 11,
     .iw = 12,
     .ic = 9,
     .oc = 10,
     .kh = 3,
     .kw = 3,
     .top = 2,
     .bottom = 2,
     .left = 2,
     .right = 2,
     .dh = 2,
     .dw = 2},
    {.n = 2,
     .ih = 13,
     .iw = 11,
     .ic = 6,
     .oc = 18,
     .kh = 3,
     .kw = 2,
     .sh = 2,
     .sw = 3,
     .top = 3,
     .bottom = 1,
     .left = 0,
     .right = 2,
     .dh = 3,
     .dw = 2},
    {.n = 2, .ih = 9, .iw = 8, .ic = 14, .oc = 15, .kh = 5, .kw = 1, .top = 2, .bottom = 2},
    {.n = 2, .ih = 6, .iw = 17, .ic = 10, .oc = 8, .kh = 1, .kw = 7, .left = 3, .right = 3},
    {.n = 3, .ih = 1, .iw = 40, .ic = 7, .oc = 13, .kh = 1, .kw = 5, .sh = 1, .sw = 2, .left = 1, .right = 2},
    {.n = 37, .ic = 65, .oc = 10, .kh = 1, .kw = 1},
    {.n = 1, .ic = 130, .oc = 300, .kh = 1, .kw = 1},
    {.n = 1, .ic = 39, .oc = 42, .kh = 1, .kw = 1, .groups = 3},
    {.n = 1, .ih = 65, .iw = 60, .ic = 30, .oc = 42, .kh = 1, .kw = 1, .groups = 3},
    {.n = 300, .ic = 21, .oc = 40, .kh = 1, .kw = 1},
    {.n = 20, .ic = 1024, .oc = 5, .kh = 1, .kw = 1},
    {.n = 3, .ic = 11000, .oc = 3, .kh = 1, .kw = 1},
    {.n = 1,
     .ih = 3,
     .iw = 3,
     .ic = 1201,
     .oc = 9,
     .kh = 3,
     .kw = 3,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1},
    {.n = 1,
     .ih = 4,
     .iw = 4,
     .ic = 3,
     .oc = 1200,
     .kh = 3,
     .kw = 3,
     .sh = 2,
     .sw = 2,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1},
    {.n = 2,
     .ih = 9,
     .iw = 9,
     .ic = 64,
     .oc = 96,
     .kh = 3,
     .kw = 3,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1,
     .groups = 2},
    {.n = 2,
     .ih = 8,
     .iw = 7,
     .ic = 24,
     .oc = 36,
     .kh = 3,
     .kw = 3,
     .sh = 2,
     .sw = 2,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1,
     .groups = 6},
    {.n = 2,
     .ih = 40,
     .iw = 24,
     .ic = 19,
     .oc = 19,
     .kh = 3,
     .kw = 3,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1,
     .groups = 19},
    {.n = 2,
     .ih = 10,
     .iw = 9,
     .ic = 27,
     .oc = 27,
     .kh = 3,
     .kw = 3,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1,
     .groups = 9},
    {.n = 2,
     .ih = 8,
     .iw = 7,
     .ic = 36,
     .oc = 36,
     .kh = 3,
     .kw = 3,
     .sh = 2,
     .sw = 2,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1,
     .groups = 6},
    {.n = 2,
     .ih = 9,
     .iw = 10,
     .ic = 8,
     .oc = 24,
     .kh = 5,
     .kw = 5,
     .sh = 2,
     .sw = 2,
     .top = 2,
     .bottom = 2,
     .left = 2,
     .right = 2,
     .groups = 8},
    {.n = 3,
     .ih = 40,
     .iw = 41,
     .ic = 4,
     .oc = 4,
     .kh = 3,
     .kw = 3,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1},
    {.n = 70,
     .ih = 4,
     .iw = 4,
     .ic = 6,
     .oc = 18,
     .kh = 3,
     .kw = 3,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1},
    // Winograd's: more tiles than a block and than a slab, all paddings, partial tiles, many weights, groups.
    {.n = 13,
     .ih = 16,
     .iw = 16,
     .ic = 16,
     .oc = 16,
     .kh = 3,
     .kw = 3,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1},
    {.n = 2,
     .ih = 14,
     .iw = 15,
     .ic = 24,
     .oc = 40,
     .kh = 3,
     .kw = 3,
     .top = 0,
     .bottom = 2,
     .left = 2,
     .right = 1},
    {.n = 3, .ih = 7, .iw = 6, .ic = 33, .oc = 17, .kh = 3, .kw = 3},
    {.n = 1,
     .ih = 5,
     .iw = 40,
     .ic = 48,
     .oc = 19,
     .kh = 3,
     .kw = 3,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1},
    {.n = 12,
     .ih = 3,
     .iw = 2,
     .ic = 130,
     .oc = 100,
     .kh = 3,
     .kw = 3,
     .top = 2,
     .bottom = 2,
     .left = 2,
     .right = 2},
    {.n = 2,
     .ih = 5,
     .iw = 6,
     .ic = 147,
     .oc = 200,
     .kh = 3,
     .kw = 3,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1},
    {.n = 2,
     .ih = 12,
     .iw = 12,
     .ic = 48,
     .oc = 64,
     .kh = 3,
     .kw = 3,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1,
     .groups = 2},
    {.n = 1,
     .ih = 2,
     .iw = 2,
     .ic = 3,
     .oc = 3,
     .kh = 3,
     .kw = 3,
     .top = 4,
     .bottom = 5,
     .left = 6,
     .right = 3},
    // Dense layers: one row, whose weights are read as they lie; several, in slices and groups of panels.
    {.n = 1, .ic = 333, .oc = 320},
    {.n = 3, .ic = 700, .oc = 300},
};

std::string label(const ConvShape& s) {
  return text("x [", s.n, ",", s.ih, ",", s.iw, ",", s.ic, "] oc ", s.oc, " kernel ", s.kh, "x", s.kw,
              " stride ", s.sh, ",", s.sw, " pad ", s.top, ",", s.bottom, ",", s.left, ",", s.right,
              " dilation ", s.dh, ",", s.dw, " groups ", s.groups);
}

Attributes attributes(const ConvShape& s, bool exact = false) {
  return {{"stride", list(s.sh, s.sw)},
          {"pad", list(s.top, s.bottom, s.left, s.right)},
          {"dilation", list(s.dh, s.dw)},
          {"groups", static_cast<double>(s.groups)},
          {"exact", exact}};
}

Attributes with(Attributes a, const Attributes& more) {
  a.insert(more.begin(), more.end());
  return a;
}

/// What is done to the input while it is read.
Attributes prologue(bool given, const std::string& activation = "none", bool affine = true,
                    double epsilon = 1e-5) {
  return {{"prologue", given},
          {"prologueActivation", activation},
          {"prologueAffine", affine},
          {"prologueEpsilon", epsilon}};
}

/// The gradient sums of the norm before the convolution.
Attributes sums(bool given, const std::string& activation = "none", bool affine = true,
                double epsilon = 1e-5) {
  return {{"sums", given}, {"sumsActivation", activation}, {"sumsAffine", affine}, {"sumsEpsilon", epsilon}};
}

/// What is done to the sums; all attributes cross the wire.
Attributes epilogue(bool bias, bool residual, const std::string& activation, bool moments, bool norm = false,
                    bool affine = true, double epsilon = 1e-5) {
  return {{"bias", bias}, {"residual", residual}, {"activation", activation}, {"moments", moments},
          {"norm", norm}, {"affine", affine},     {"epsilon", epsilon}};
}

/// So many weights that Winograd's sums for their gradient are made for some output channels at a time.
const ConvShape kWide{.n = 4,
                      .ih = 7,
                      .iw = 7,
                      .ic = 400,
                      .oc = 408,
                      .kh = 3,
                      .kw = 3,
                      .top = 1,
                      .bottom = 1,
                      .left = 1,
                      .right = 1};

Value image(const ConvShape& s) {
  return batch({s.n, s.ih, s.iw, s.ic});
}
Value result(const ConvShape& s) {
  return batch({s.n, s.oh(), s.ow(), s.oc});
}
Value weights(const ConvShape& s) {
  return fixed({s.kh, s.kw, s.ic / s.groups, s.oc});
}

/// With and without Winograd's transforms, where they are possible.
std::vector<bool> exact_modes(const ConvShape& s) {
  if (s.kh == 3 && s.kw == 3 && s.sh == 1 && s.sw == 1 && s.dh == 1 && s.dw == 1) return {false, true};
  return {false};
}

/// Sums of k products: each addition rounds by at most half a unit of a partial sum.
double tolerance(int64_t k) {
  return (8 + static_cast<double>(k)) * 6e-8;
}

TEST(conv2d) {
  for (const ConvShape& s : kShapes) {
    Context context(label(s));
    const Value x = random(image(s), 1), w = random(weights(s), 2);
    const Value y = with_data(result(s), reference::conv2d<double>(s, x.data, w.data));
    for (const bool exact : exact_modes(s)) {
      check_op({.op = "conv2d",
                .attributes =
                    with(with(attributes(s, exact), prologue(false)), epilogue(false, false, "none", false)),
                .inputs = {x, w},
                .outputs = {result(s)}},
               {y}, tolerance(s.kh * s.kw * s.ic / s.groups));
    }
  }
}

TEST(conv2d_epilogue) {
  for (const ConvShape& s : kShapes) {
    for (const std::string activation : {"none", "relu", "relu6"}) {
      Context context(label(s) + " " + activation);
      const Value x = random(image(s), 1), w = random(weights(s), 2);
      const Value bias = random(fixed({s.oc}), 3, 2, 4), residual = random(result(s), 4, -3, 3);
      Value y = with_data(result(s), reference::conv2d<double>(s, x.data, w.data));
      Value mean = fixed({s.oc}), variance = fixed({s.oc}), unbiased = fixed({s.oc});
      for (int64_t i = 0; i < y.elements(); i++) {
        y[i] += bias[i % s.oc] + residual[i];
        if (activation != "none") y[i] = std::max(0.0, y[i]);
        if (activation == "relu6") y[i] = std::min(6.0, y[i]);
      }
      const double count = static_cast<double>(y.elements() / s.oc);
      for (int64_t i = 0; i < y.elements(); i++) mean[i % s.oc] += y[i] / count;
      for (int64_t i = 0; i < y.elements(); i++)
        variance[i % s.oc] += std::pow(y[i] - mean[i % s.oc], 2) / count;
      for (int64_t j = 0; j < s.oc; j++) unbiased[j] = variance[j] * count / std::max(1.0, count - 1);
      check_op(
          {.op = "conv2d",
           .attributes = with(with(attributes(s), prologue(false)), epilogue(true, true, activation, true)),
           .inputs = {x, w, bias, residual},
           .outputs = {result(s), fixed({s.oc}), fixed({s.oc}), fixed({s.oc})}},
          {y, mean, variance, unbiased}, 4 * tolerance(s.kh * s.kw * s.ic / s.groups));
    }
  }
}

// The norm of the sums, with weights and bias derived from both; every algorithm has a shape above.
TEST(conv2d_norm) {
  for (const ConvShape& s : kShapes) {
    for (const bool affine : {true, false}) {
      Context context(label(s) + (affine ? " affine" : ""));
      const double epsilon = 1e-3;
      const Value x = random(image(s), 1), w = random(weights(s), 2), bias = random(fixed({s.oc}), 3, -2, 2);
      const Value residual = random(result(s), 4, -3, 3), mean = random(fixed({s.oc}), 5, -2, 2),
                  variance = random(fixed({s.oc}), 6, 0.5, 3), gamma = random(fixed({s.oc}), 7, -2, 2),
                  beta = random(fixed({s.oc}), 8, -2, 2);
      Value y = with_data(result(s), reference::conv2d<double>(s, x.data, w.data));
      for (int64_t i = 0; i < y.elements(); i++) {
        const int64_t c = i % s.oc;
        y[i] += (affine ? bias[c] : 0) - mean[c];
        y[i] /= std::sqrt(variance[c] + epsilon);
        if (affine) y[i] = y[i] * gamma[c] + beta[c] + residual[i];
        y[i] = std::max(0.0, y[i]);
      }
      std::vector<Value> inputs{x, w, mean, variance};
      if (affine) inputs = {x, w, bias, mean, variance, gamma, beta, residual};
      check_op({.op = "conv2d",
                .attributes = with(with(attributes(s), prologue(false)),
                                   epilogue(affine, affine, "relu", false, true, affine, epsilon)),
                .inputs = inputs,
                .outputs = {result(s)}},
               {y}, 6 * tolerance(s.kh * s.kw * s.ic / s.groups));
    }
  }
}

TEST(conv2d_grad_input) {
  for (const ConvShape& s : kShapes) {
    Context context(label(s));
    const Value dy = random(result(s), 5), w = random(weights(s), 2);
    const Value dx = with_data(image(s), reference::conv2d_grad_input<double>(s, dy.data, w.data));
    for (const bool exact : exact_modes(s)) {
      check_op({.op = "conv2d_grad_input",
                .attributes = with(attributes(s, exact), sums(false)),
                .inputs = {dy, w},
                .outputs = {image(s)}},
               {dx}, tolerance(s.kh * s.kw * s.oc / s.groups));
    }
  }
}

void check_grad_weight(const ConvShape& s) {
  Context context(label(s));
  const Value x = random(image(s), 1), dy = random(result(s), 5);
  const Value dw = with_data(weights(s), reference::conv2d_grad_weight<double>(s, x.data, dy.data));
  Value db = fixed({s.oc});
  for (int64_t i = 0; i < dy.elements(); i++) db[i % s.oc] += dy[i];
  const double limit = tolerance(s.n * s.oh() * s.ow());
  for (const bool exact : exact_modes(s)) {
    check_op({.op = "conv2d_grad_weight",
              .attributes = with(with(attributes(s, exact), prologue(false)), {{"bias", true}}),
              .inputs = {x, dy},
              .outputs = {weights(s), fixed({s.oc})}},
             {dw, db}, limit);
  }
  check_op({.op = "conv2d_grad_weight",
            .attributes = with(with(attributes(s), prologue(false)), {{"bias", false}}),
            .inputs = {x, dy},
            .outputs = {weights(s)}},
           {dw}, limit);
}

TEST(conv2d_grad_weight) {
  for (const ConvShape& s : kShapes) check_grad_weight(s);
}

TEST(conv2d_grad_weight_wide) {
  check_grad_weight(kWide);
}

// The input of the convolution is a norm of what is given; the padding is 0 behind it.
TEST(conv2d_prologue) {
  for (const ConvShape& s : kShapes) {
    const bool affine = (&s - kShapes.data()) % 2 == 0;
    Context context(label(s) + (affine ? " affine" : ""));
    const std::string activation = affine ? "relu" : "none";
    const double epsilon = 1e-3;
    const Value x = random(image(s), 1), w = random(weights(s), 2), dy = random(result(s), 5);
    const Value mean = random(fixed({s.ic}), 6, -2, 2), variance = random(fixed({s.ic}), 7, 0.5, 3),
                gamma = random(fixed({s.ic}), 8, -2, 2), beta = random(fixed({s.ic}), 9, 1, 3);
    Value read = x;
    for (int64_t i = 0; i < x.elements(); i++) {
      const int64_t c = i % s.ic;
      read[i] = (x[i] - mean[c]) / std::sqrt(variance[c] + epsilon);
      if (affine) read[i] = std::max(0.0, read[i] * gamma[c] + beta[c]);
    }
    std::vector<Value> parameters{mean, variance};
    if (affine) parameters = {mean, variance, gamma, beta};
    const auto inputs = [&](std::vector<Value> first) {
      first.insert(first.end(), parameters.begin(), parameters.end());
      return first;
    };
    const Attributes given = with(attributes(s), prologue(true, activation, affine, epsilon));
    const Value residual = random(result(s), 4, -3, 3);
    Value y = with_data(result(s), reference::conv2d<double>(s, read.data, w.data));
    for (int64_t i = 0; i < y.elements(); i++) y[i] += residual[i];
    check_op({.op = "conv2d",
              .attributes = with(given, epilogue(false, true, "none", false)),
              .inputs = inputs({x, w, residual}),
              .outputs = {result(s)}},
             {y}, 10 * tolerance(s.kh * s.kw * s.ic / s.groups));
    const Value dw = with_data(weights(s), reference::conv2d_grad_weight<double>(s, read.data, dy.data));
    check_op({.op = "conv2d_grad_weight",
              .attributes = with(given, {{"bias", false}}),
              .inputs = inputs({x, dy}),
              .outputs = {weights(s)}},
             {dw}, 10 * tolerance(s.n * s.oh() * s.ow()));
  }
}

// The gradients of the parameters of the norm that made the convolution's input.
TEST(conv2d_grad_input_sums) {
  for (const ConvShape& s : kShapes) {
    if (s.sh != 1 || s.sw != 1) continue;
    const bool affine = (&s - kShapes.data()) % 2 == 0;
    Context context(label(s) + (affine ? " affine" : ""));
    const std::string activation = affine ? "relu" : "none";
    const double epsilon = 1e-3;
    const Value dy = random(result(s), 5), w = random(weights(s), 2), x = random(image(s), 1);
    const Value mean = random(fixed({s.ic}), 6, -1, 1), variance = random(fixed({s.ic}), 7, 0.5, 3),
                gamma = random(fixed({s.ic}), 8, -2, 2), beta = random(fixed({s.ic}), 9, 0, 1);
    const Value dx = with_data(image(s), reference::conv2d_grad_input<double>(s, dy.data, w.data));
    Value dbeta = fixed({s.ic}), dgamma = fixed({s.ic});
    for (int64_t i = 0; i < x.elements(); i++) {
      const int64_t c = i % s.ic;
      const double normal = (x[i] - mean[c]) / std::sqrt(variance[c] + epsilon);
      if (affine && normal * gamma[c] + beta[c] <= 0) continue;
      dbeta[c] += dx[i];
      dgamma[c] += dx[i] * normal;
    }
    std::vector<Value> inputs{dy, w, x, mean, variance};
    if (affine) inputs = {dy, w, x, mean, variance, gamma, beta};
    check_op({.op = "conv2d_grad_input",
              .attributes = with(attributes(s), sums(true, activation, affine, epsilon)),
              .inputs = inputs,
              .outputs = {image(s), fixed({s.ic}), fixed({s.ic})}},
             {dx, dbeta, dgamma}, tolerance(s.kh * s.kw * s.oc / s.groups + s.n * s.ih * s.iw));
  }
}

// Where Winograd's transforms pay they are used, unless exact sums are asked for.
TEST(conv2d_exact) {
  const auto differ = [](const ConvShape& s, const std::string& op, const Attributes& more,
                         const std::vector<Value>& inputs, const Value& output) {
    for_each_isa([&](Isa isa) {
      std::vector<Value> got;
      for (const bool exact : {false, true}) {
        got.push_back(run_op({.op = op,
                              .attributes = with(attributes(s, exact), more),
                              .inputs = inputs,
                              .outputs = {output}},
                             isa)
                          .outputs[0]);
      }
      compare(got[0], got[1], 4 * tolerance(s.n * s.ih * s.iw), op);
      CHECK(got[0].data != got[1].data);
    });
  };
  const ConvShape many_pixels{.n = 4, .ih = 16, .iw = 16, .ic = 64, .oc = 64, .kh = 3, .kw = 3};
  for (const ConvShape& s : {many_pixels, kWide}) {
    const Value x = random(image(s), 1), w = random(weights(s), 2), dy = random(result(s), 5);
    differ(s, "conv2d", with(prologue(false), epilogue(false, false, "none", false)), {x, w}, result(s));
    differ(s, "conv2d_grad_input", sums(false), {dy, w}, image(s));
    differ(s, "conv2d_grad_weight", with(prologue(false), {{"bias", false}}), {x, dy}, weights(s));
  }
}

// The statistics of values far from zero: what single-pass sums in float would lose.
TEST(conv2d_moments_far_from_zero) {
  const ConvShape s{.n = 6, .ih = 16, .iw = 16, .ic = 4, .oc = 20, .kh = 1, .kw = 1};
  const Value x = random(image(s), 1), w = random(weights(s), 2), bias = random(fixed({s.oc}), 3, 1000, 1001);
  const auto y = reference::conv2d<double>(s, x.data, w.data);
  Value mean = fixed({s.oc}), variance = fixed({s.oc});
  const double count = static_cast<double>(s.n * s.ih * s.iw);
  for (size_t i = 0; i < y.size(); i++) mean[static_cast<int64_t>(i) % s.oc] += y[i] / count;
  for (size_t i = 0; i < y.size(); i++) {
    variance[static_cast<int64_t>(i) % s.oc] +=
        std::pow(y[i] - mean[static_cast<int64_t>(i) % s.oc], 2) / count;
  }
  for_each_isa([&](Isa isa) {
    const auto got =
        run_op({.op = "conv2d",
                .attributes = with(with(attributes(s), prologue(false)), epilogue(true, false, "none", true)),
                .inputs = {x, w, bias},
                .outputs = {result(s), fixed({s.oc}), fixed({s.oc}), fixed({s.oc})}},
               isa);
    // y itself is rounded to 6e-5 at 1000: that much noise, not more, may be in a variance of about 0.4.
    compare(got.outputs[2], variance, 1e-3, "variance ");
  });
}

TEST(conv2d_keeps_nan_under_relu) {
  const ConvShape s{.n = 1, .ih = 5, .iw = 5, .ic = 3, .oc = 4, .kh = 1, .kw = 1};
  Value x = random(image(s), 1);
  x[7] = std::nan("");
  for_each_isa([&](Isa isa) {
    for (const std::string activation : {"relu", "relu6"}) {
      const auto got = run_op({.op = "conv2d",
                               .attributes = with(with(attributes(s), prologue(false)),
                                                  epilogue(false, false, activation, false)),
                               .inputs = {x, random(weights(s), 2)},
                               .outputs = {result(s)}},
                              isa);
      for (int64_t j = 0; j < s.oc; j++) CHECK(std::isnan(got.outputs[0][2 * s.oc + j]));
    }
  });
}

TEST(conv2d_refuses) {
  const ConvShape s{.n = 1, .ih = 5, .iw = 5, .ic = 4, .oc = 6, .kh = 3, .kw = 3};
  auto run = [&](const ConvShape& shape, const Value& w, const Value& y) {
    run_op({.op = "conv2d_grad_input",
            .attributes = with(attributes(shape), sums(false)),
            .inputs = {y, w},
            .outputs = {image(s)}},
           Isa::scalar);
  };
  CHECK_ERROR("E_PLAN", run(s, weights(s), batch({1, 4, 3, 6})));
  CHECK_ERROR("E_PLAN", run(s, fixed({3, 3, 2, 6}), result(s)));
  ConvShape bad = s;
  bad.groups = 3;
  CHECK_ERROR("E_PLAN", run(bad, weights(s), result(s)));
  bad = s;
  bad.sh = 0;
  CHECK_ERROR("E_PLAN", run(bad, weights(s), result(s)));
}

}  // namespace
}  // namespace dl::test
