// Convolutions with groups of 1 to 12 channels against plain loops in double: every path of the kernels
// that the nets take, and the awkward shapes between them. (What all convolutions share is in conv_test.cc.)
#include <algorithm>
#include <cmath>

#include "kernels/conv/reference.h"
#include "tests/harness.h"

namespace dl::test {
namespace {

using reference::ConvShape;

/// `channels` stands for groups: shape_of() makes them.
struct Case {
  const char* name;
  int64_t n, h, w, channels, kernel, stride, before, after, dilation = 1;
  /// Of the window, where it is no square.
  int64_t columns = 0;
};

const Case kCases[] = {
    {"3x3", 2, 9, 13, 40, 3, 1, 1, 1},
    {"3x3, rows in several blocks", 1, 47, 50, 64, 3, 1, 1, 1},
    {"3x3, images in several blocks", 40, 4, 4, 136, 3, 1, 1, 1},
    {"3x3 stride 2", 2, 12, 17, 24, 3, 2, 1, 1},
    {"3x3 stride 2, padded after only", 2, 10, 8, 16, 3, 2, 0, 1},
    {"3x3 stride 3", 1, 11, 11, 8, 3, 3, 1, 1},
    {"3x3 dilation 2", 1, 12, 12, 56, 3, 1, 2, 2, 2},
    {"3x3 stride 2 dilation 3", 1, 15, 14, 16, 3, 2, 3, 3, 3},
    {"3x3 on 1x1", 3, 1, 1, 32, 3, 1, 1, 1},
    {"3x3 without padding", 2, 5, 6, 72, 3, 1, 0, 0},
    {"5x5", 2, 11, 14, 24, 5, 1, 2, 2},
    {"5x5 stride 2", 2, 13, 12, 32, 5, 2, 2, 2},
    {"5x5, columns in several parts", 1, 7, 35, 24, 5, 1, 2, 2},
    {"3x3 stride 2, columns in several parts", 1, 9, 50, 40, 3, 2, 1, 1},
    {"4x3", 1, 9, 20, 24, 4, 1, 1, 2, 1, 3},
    {"1x3", 2, 6, 9, 16, 1, 1, 0, 0, 1, 3},
    {"3x5", 1, 8, 19, 32, 3, 1, 2, 2, 1, 5},
    {"5x3 stride 2", 1, 12, 18, 16, 5, 2, 2, 2, 1, 3},
    {"7x7", 1, 9, 12, 16, 7, 1, 3, 3},
    {"2x2, lopsided", 2, 7, 8, 8, 2, 1, 1, 0},
    {"1x1 stride 2", 2, 5, 6, 48, 1, 2, 0, 0},
    {"padding beyond the kernel", 1, 3, 2, 8, 3, 2, 5, 4},
};

ConvShape shape_of(const Case& c, int64_t group) {
  // Depthwise, the channels need not be a multiple of anything.
  const int64_t channels =
      group == 1 && c.channels > 8 ? c.channels - 3 : std::max<int64_t>(1, c.channels / group) * group;
  return {.n = c.n,
          .ih = c.h,
          .iw = c.w,
          .ic = channels,
          .oc = channels,
          .kh = c.kernel,
          .kw = c.columns ? c.columns : c.kernel,
          .sh = c.stride,
          .sw = c.stride,
          .top = c.before,
          .bottom = c.after,
          .left = c.before,
          .right = c.after,
          .dh = c.dilation,
          .dw = c.dilation,
          .groups = channels / group};
}

Attributes attributes(const ConvShape& s) {
  return {{"stride", list(s.sh, s.sw)},
          {"pad", list(s.top, s.bottom, s.left, s.right)},
          {"dilation", list(s.dh, s.dw)},
          {"groups", static_cast<double>(s.groups)},
          {"exact", false}};
}

/// Calls body(shape, x, w, y) for every case and group size of the kernels, and one size of groups that are
/// joined: one after the other, so that all meet several cases.
template <class Body>
void for_each_case(Body body) {
  constexpr int64_t kJoined[] = {3, 6, 2, 12, 5};
  for (const Case& c : kCases)
    for (int64_t group : {int64_t{1}, int64_t{4}, int64_t{8}, kJoined[(&c - kCases) % 5]}) {
      Context context(text(c.name, ", groups of ", group));
      const ConvShape s = shape_of(c, group);
      body(s, random(batch({s.n, s.ih, s.iw, s.ic}), 1), random(fixed({s.kh, s.kw, group, s.oc}), 2),
           random(batch({s.n, s.oh(), s.ow(), s.oc}), 3));
    }
}

double tolerance(int64_t k) {
  return (8 + static_cast<double>(k)) * 6e-8;
}

const Attributes kWithoutNorm{{"norm", false}, {"epsilon", 1e-5}, {"affine", true}};
const Attributes kWithoutPrologue{
    {"prologue", false}, {"prologueActivation", "none"}, {"prologueEpsilon", 1e-5}, {"prologueAffine", true}};

TEST(depthwise_forward) {
  for_each_case([](const ConvShape& s, const Value& x, const Value& w, const Value& like) {
    Attributes a = attributes(s);
    a.insert({{"bias", true}, {"residual", false}, {"activation", "relu6"}, {"moments", true}});
    a.insert(kWithoutNorm.begin(), kWithoutNorm.end());
    a.insert(kWithoutPrologue.begin(), kWithoutPrologue.end());
    const Value bias = random(fixed({s.oc}), 4, -1, 3);
    Value y = with_data(like, reference::conv2d<double>(s, x.data, w.data));
    Value mean = fixed({s.oc}), variance = mean, unbiased = mean;
    for (int64_t i = 0; i < y.elements(); i++) y[i] = std::clamp(y[i] + bias[i % s.oc], 0.0, 6.0);
    const double count = static_cast<double>(y.elements() / s.oc);
    for (int64_t i = 0; i < y.elements(); i++) mean[i % s.oc] += y[i] / count;
    for (int64_t i = 0; i < y.elements(); i++)
      variance[i % s.oc] += std::pow(y[i] - mean[i % s.oc], 2) / count;
    for (int64_t j = 0; j < s.oc; j++) unbiased[j] = variance[j] * count / std::max(1.0, count - 1);
    check_op({"conv2d", a, {x, w, bias}, {y, mean, variance, unbiased}}, {y, mean, variance, unbiased},
             2 * tolerance(s.kh * s.kw * s.ic / s.groups));
  });
}

TEST(depthwise_residual) {
  const ConvShape s = shape_of(kCases[0], 4);
  const Value x = random(batch({s.n, s.ih, s.iw, s.ic}), 1), w = random(fixed({3, 3, 4, s.oc}), 2);
  const Value residual = random(x, 3);
  Value y = with_data(x, reference::conv2d<double>(s, x.data, w.data));
  for (int64_t i = 0; i < y.elements(); i++) y[i] = std::max(0.0, y[i] + residual[i]);
  Attributes a = attributes(s);
  a.insert({{"bias", false}, {"residual", true}, {"activation", "relu"}, {"moments", false}});
  a.insert(kWithoutNorm.begin(), kWithoutNorm.end());
  a.insert(kWithoutPrologue.begin(), kWithoutPrologue.end());
  check_op({"conv2d", a, {x, w, residual}, {y}}, {y}, tolerance(36));
}

TEST(depthwise_grad_input) {
  for_each_case([](const ConvShape& s, const Value& x, const Value& w, const Value& dy) {
    const Value dx = with_data(x, reference::conv2d_grad_input<double>(s, dy.data, w.data));
    Attributes a = attributes(s);
    a.insert({{"sums", false}, {"sumsActivation", "none"}, {"sumsEpsilon", 1e-5}, {"sumsAffine", true}});
    check_op({"conv2d_grad_input", a, {dy, w}, {dx}}, {dx}, tolerance(s.kh * s.kw * s.ic / s.groups));
  });
}

TEST(depthwise_grad_weight) {
  for_each_case([](const ConvShape& s, const Value& x, const Value& w, const Value& dy) {
    const Value dw = with_data(w, reference::conv2d_grad_weight<double>(s, x.data, dy.data));
    Value db = fixed({s.oc});
    for (int64_t i = 0; i < dy.elements(); i++) db[i % s.oc] += dy[i];
    Attributes a = attributes(s);
    a.insert(kWithoutPrologue.begin(), kWithoutPrologue.end());
    a["bias"] = true;
    check_op({"conv2d_grad_weight", a, {x, dy}, {dw, db}}, {dw, db}, tolerance(s.n * s.oh() * s.ow()));
    a["bias"] = false;
    check_op({"conv2d_grad_weight", a, {x, dy}, {dw}}, {dw}, tolerance(s.n * s.oh() * s.ow()));
  });
}

}  // namespace
}  // namespace dl::test
