// Pooling and resizing: literals from PyTorch 2.14 for the rules with traps, reference loops for everything
// else.
#include "kernels/pool/reference.h"

#include "kernels/resample/reference.h"
#include "tests/harness.h"

namespace dl::test {
namespace {

using reference::PoolShape;
using reference::ResizeShape;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Value iota(std::vector<int64_t> shape, double first = 1, double step = 1) {
  Value value = batch(std::move(shape));
  for (int64_t i = 0; i < value.elements(); i++) value[i] = first + step * static_cast<double>(i);
  return value;
}

Value images(const PoolShape& s) {
  return batch({s.n, s.ih, s.iw, s.c});
}
Value pooled(const PoolShape& s, DType dtype = DType::f32) {
  return batch({s.n, s.oh, s.ow, s.c}, dtype);
}

Attributes window(const PoolShape& s, bool dilated) {
  Attributes a{{"kernel", list(s.kh, s.kw)},
               {"stride", list(s.sh, s.sw)},
               {"pad", list(s.top, s.bottom, s.left, s.right)}};
  if (dilated) a["dilation"] = list(s.dh, s.dw);
  return a;
}

Attributes with(Attributes attributes, const char* name, AttributeValue value) {
  attributes[name] = std::move(value);
  return attributes;
}

Attributes maximum(const PoolShape& s, const char* activation = "none") {
  return with(window(s, true), "activation", activation);
}

Value index_value(const PoolShape& s, const std::vector<int32_t>& index, DType dtype) {
  return with_data(pooled(s, dtype), {index.begin(), index.end()});
}

// Shapes of the nets (3x3/2, 2x2/2, 3x3/1, overlapping) and awkward ones: ceil windows, asymmetric padding,
// dilation, a window larger than the image, channel counts around every vector length.
const std::vector<PoolShape> kShapes{
    {.n = 3, .ih = 8, .iw = 8, .oh = 4, .ow = 4, .c = 16, .kh = 2, .kw = 2, .sh = 2, .sw = 2},
    {.n = 2,
     .ih = 9,
     .iw = 7,
     .oh = 5,
     .ow = 4,
     .c = 19,
     .kh = 3,
     .kw = 3,
     .sh = 2,
     .sw = 2,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1},
    {.n = 2,
     .ih = 6,
     .iw = 5,
     .oh = 6,
     .ow = 5,
     .c = 33,
     .kh = 3,
     .kw = 3,
     .top = 1,
     .bottom = 1,
     .left = 1,
     .right = 1},
    {.n = 1,
     .ih = 6,
     .iw = 6,
     .oh = 4,
     .ow = 3,
     .c = 5,
     .kh = 3,
     .kw = 2,
     .sh = 2,
     .sw = 2,
     .top = 1,
     .bottom = 1},
    {.n = 2,
     .ih = 5,
     .iw = 11,
     .oh = 3,
     .ow = 4,
     .c = 1,
     .kh = 2,
     .kw = 5,
     .sh = 2,
     .sw = 3,
     .top = 0,
     .bottom = 1,
     .left = 2,
     .right = 1},
    {.n = 1, .ih = 3, .iw = 3, .oh = 1, .ow = 1, .c = 67, .kh = 3, .kw = 3},
    {.n = 1, .ih = 1, .iw = 9, .oh = 1, .ow = 4, .c = 3, .kw = 3, .sw = 2},
};

TEST(max_pool2d_like_pytorch) {
  // F.max_pool2d(x, 2, 2): of equal values the first wins, NaN wins over everything.
  PoolShape s{.n = 1, .ih = 4, .iw = 4, .oh = 2, .ow = 2, .c = 1, .kh = 2, .kw = 2, .sh = 2, .sw = 2};
  Value x = with_data(images(s), {3, 3, 1, 2, 5, 5, kNaN, 0, -1, -2, -2, -3, 7, 7, 7, 7});
  Attributes a = maximum(s);
  check_op({"max_pool2d", a, {x}, {pooled(s), pooled(s, DType::u8)}},
           {with_data(pooled(s), {5, kNaN, 7, 7}), with_data(pooled(s, DType::u8), {2, 2, 2, 2})}, 0);
  // F.max_pool2d(-x, 3, 2, 1, ceil_mode=True)
  PoolShape t{.n = 1,
              .ih = 6,
              .iw = 6,
              .oh = 4,
              .ow = 4,
              .c = 1,
              .kh = 3,
              .kw = 3,
              .sh = 2,
              .sw = 2,
              .top = 1,
              .bottom = 1,
              .left = 1,
              .right = 1};
  check_op({"max_pool2d", maximum(t), {iota({1, 6, 6, 1}, -1, -1)}, {pooled(t)}},
           {with_data(pooled(t), {-1, -2, -4, -6, -7, -8, -10, -12, -19, -20, -22, -24, -31, -32, -34, -36})},
           0);
}

TEST(avg_pool2d_like_pytorch) {
  // F.avg_pool2d(x, 3, 2, 1, ceil_mode=True): the third row of windows hangs over, its divisor ends at the
  // padding.
  PoolShape s{.n = 1,
              .ih = 6,
              .iw = 6,
              .oh = 4,
              .ow = 4,
              .c = 1,
              .kh = 3,
              .kw = 3,
              .sh = 2,
              .sw = 2,
              .top = 1,
              .bottom = 1,
              .left = 1,
              .right = 1};
  Value x = iota({1, 6, 6, 1});
  check_op({"avg_pool2d", with(window(s, false), "count_include_pad", true), {x}, {pooled(s)}},
           {with_data(pooled(s), {2, 4, 5.3333335, 3, 9, 15, 17, 9, 17, 27, 29, 15, 10.5, 16.5, 17.5, 9})},
           3e-7);
  check_op({"avg_pool2d", with(window(s, false), "count_include_pad", false), {x}, {pooled(s)}},
           {with_data(pooled(s), {4.5, 6, 8, 9, 13.5, 15, 17, 18, 25.5, 27, 29, 30, 31.5, 33, 35, 36})},
           3e-7);
  // F.avg_pool2d(x, 2, 2, ceil_mode=True)
  PoolShape t{.n = 1, .ih = 5, .iw = 5, .oh = 3, .ow = 3, .c = 1, .kh = 2, .kw = 2, .sh = 2, .sw = 2};
  check_op(
      {"avg_pool2d", with(window(t, false), "count_include_pad", true), {iota({1, 5, 5, 1})}, {pooled(t)}},
      {with_data(pooled(t), {4, 6, 7.5, 14, 16, 17.5, 21.5, 23.5, 25})}, 3e-7);
}

TEST(adaptive_pool2d_like_pytorch) {
  Value x = iota({1, 5, 5, 1});
  Value y3 = batch({1, 3, 3, 1}), i3 = batch({1, 3, 3, 1}, DType::i32);
  check_op({"adaptive_avg_pool2d", {}, {x}, {y3}}, {with_data(y3, {4, 5.5, 7, 11.5, 13, 14.5, 19, 20.5, 22})},
           3e-7);
  check_op(
      {"adaptive_max_pool2d", {}, {x}, {y3, i3}},
      {with_data(y3, {7, 9, 10, 17, 19, 20, 22, 24, 25}), with_data(i3, {6, 8, 9, 16, 18, 19, 21, 23, 24})},
      0);
  Value y = batch({1, 2, 7, 1});
  check_op({"adaptive_avg_pool2d", {}, {x}, {y}},
           {with_data(y, {6, 6.5, 7.5, 8, 8.5, 9.5, 10, 16, 16.5, 17.5, 18, 18.5, 19.5, 20})}, 3e-7);
}

TEST(max_pool2d) {
  int seed = 0;
  for (PoolShape s : kShapes) {
    for (int64_t dilation : {1, 2}) {
      s.dh = s.dw = dilation;
      Value x = random(images(s), ++seed), y = pooled(s), dy = random(y, ++seed);
      std::vector<int32_t> index(y.data.size());
      reference::max_pool2d(s, x.data.data(), y.data.data(), index.data());
      for (DType dtype : {DType::u8, DType::i32}) {
        Value where = index_value(s, index, dtype);
        check_op({"max_pool2d", maximum(s), {x}, {y, where}}, {y, where}, 0);
        Value dx = numeric_gradient(
            x, dy,
            [&](const Value& input) {
              Value output = y;
              std::vector<int32_t> ignored(index.size());
              reference::max_pool2d(s, input.data.data(), output.data.data(), ignored.data());
              return output;
            },
            1e-7);
        // A window whose taps all lie outside has no maximum: -inf there, and nothing to compare differences
        // with.
        for (double& v : dx.data) v = std::isfinite(v) ? v : 0;
        check_op({"max_pool2d_grad", window(s, true), {dy, where}, {dx}}, {dx}, 2e-6);
      }
      check_op({"max_pool2d", maximum(s), {x}, {y}}, {y}, 0);
      for (double& v : y.data) v = std::max(v, 0.0);
      const Value where = index_value(s, index, DType::u8);
      check_op({"max_pool2d", maximum(s, "relu"), {x}, {y, where}}, {y, where}, 0);
    }
  }
}

TEST(avg_pool2d) {
  int seed = 100;
  for (const PoolShape& s : kShapes)
    for (bool include : {false, true}) {
      Value x = random(images(s), ++seed), y = pooled(s), dy = random(y, ++seed);
      Attributes a = with(window(s, false), "count_include_pad", include);
      auto forward = [&](const Value& input) {
        Value output = y;
        reference::avg_pool2d(s, include, input.data.data(), output.data.data());
        return output;
      };
      check_op({"avg_pool2d", a, {x}, {y}}, {forward(x)}, 1e-6);
      check_op({"avg_pool2d_grad", a, {dy}, {x}}, {numeric_gradient(x, dy, forward)}, 1e-6);
    }
}

TEST(adaptive_pool2d) {
  const std::vector<PoolShape> shapes{{.n = 3, .ih = 8, .iw = 8, .oh = 1, .ow = 1, .c = 64},
                                      {.n = 2, .ih = 7, .iw = 5, .oh = 1, .ow = 1, .c = 37},
                                      {.n = 2, .ih = 7, .iw = 10, .oh = 3, .ow = 4, .c = 5},
                                      {.n = 1, .ih = 3, .iw = 2, .oh = 7, .ow = 6, .c = 17}};
  int seed = 200;
  for (const PoolShape& s : shapes) {
    Value x = random(images(s), ++seed), average = pooled(s), maximum = pooled(s),
          dy = random(average, ++seed);
    std::vector<int32_t> index(average.data.size());
    reference::adaptive_pool2d(s, x.data.data(), average.data.data(), maximum.data.data(), index.data());
    Value where = index_value(s, index, DType::i32);
    auto gradient = [&](bool of_average, double step) {
      return numeric_gradient(
          x, dy,
          [&](const Value& input) {
            Value a = average, m = maximum;
            std::vector<int32_t> ignored(index.size());
            reference::adaptive_pool2d(s, input.data.data(), a.data.data(), m.data.data(), ignored.data());
            return of_average ? a : m;
          },
          step);
    };
    check_op({"adaptive_avg_pool2d", {}, {x}, {average}}, {average}, 1e-6);
    check_op({"adaptive_avg_pool2d_grad", {}, {dy}, {x}}, {gradient(true, 1e-3)}, 1e-6);
    check_op({"adaptive_max_pool2d", {}, {x}, {maximum, where}}, {maximum, where}, 0);
    check_op({"adaptive_max_pool2d", {}, {x}, {maximum}}, {maximum}, 0);
    check_op({"adaptive_max_pool2d_grad", {}, {dy, where}, {x}}, {gradient(false, 1e-7)}, 2e-6);
  }
}

TEST(resize_like_pytorch) {
  // F.interpolate(x, size, mode)
  Value x = with_data(batch({1, 3, 4, 1}), {1, 4, 2, 8, 5, 7, 3, 6, 9, 0, 2, 1});
  Attributes half{{"align_corners", false}, {"antialias", false}};
  Attributes corners = with(half, "align_corners", true), smooth = with(half, "antialias", true);
  Value large = batch({1, 5, 7, 1}), small = batch({1, 2, 3, 1});
  check_op({"resize_bilinear", half, {x}, {large}},
           {with_data(large, {1,         2.0714288, 3.7857144, 2.9999998, 2.4285727, 5.8571439, 8,
                              2.6000001, 3.5285716, 5.014286,  3.7999997, 2.7428582, 5.4857149, 7.1999998,
                              5,         5.7142859, 6.8571424, 4.9999995, 3.2142863, 4.9285717, 6,
                              7.4000006, 5.7571425, 3.1285706, 2.5999994, 2.442857,  2.7857139, 2.9999993,
                              9,         5.7857137, 0.6428568, 1.0000002, 1.9285712, 1.3571427, 1})},
           3e-7);
  check_op({"resize_bilinear", half, {x}, {small}},
           {with_data(small, {2.4583335, 3.5, 6.625001, 6.9583335, 2, 2.25})}, 3e-7);
  check_op({"resize_bilinear", corners, {x}, {large}},
           {with_data(large, {1, 2.5, 4, 3, 2,    5,   8, 3,   4.25, 5.5, 4, 2.5, 4.75, 7, 5, 6,   7, 5,
                              3, 4.5, 6, 7, 5.25, 3.5, 3, 2.5, 3,    3.5, 9, 4.5, 0,    1, 2, 1.5, 1})},
           3e-7);
  check_op({"resize_bilinear", corners, {x}, {small}}, {with_data(small, {1, 3, 8, 9, 1, 1})}, 3e-7);
  Value x7 = batch({1, 7, 7, 1});
  for (int64_t i = 0; i < 49; i++) x7[i] = static_cast<float>(std::pow(static_cast<double>(i), 1.5));
  check_op({"resize_bilinear", smooth, {x7}, {batch({1, 3, 3, 1})}},
           {with_data(batch({1, 3, 3, 1}), {22.1228275, 30.5687447, 40.3156815, 105.997673, 121.231926,
                                            137.1336517, 225.4752808, 245.2450867, 265.5231628})},
           3e-7);
  check_op({"resize_nearest", {}, {x}, {large}},
           {with_data(large, {1, 1, 4, 4, 2, 2, 8, 1, 1, 4, 4, 2, 2, 8, 5, 5, 7, 7,
                              3, 3, 6, 5, 5, 7, 7, 3, 3, 6, 9, 9, 0, 0, 2, 2, 1})},
           0);
  // 49 -> 147 would take other neighbours with an exact scale.
  Value wide = batch({1, 1, 147, 1});
  for (int64_t i = 0; i < 147; i++) wide[i] = static_cast<double>(i / 3 + 1);
  check_op({"resize_nearest", {}, {iota({1, 1, 49, 1})}, {wide}}, {wide}, 0);
}

TEST(resize) {
  const std::vector<ResizeShape> shapes{
      {2, 4, 5, 8, 10, 16}, {1, 7, 9, 3, 4, 19}, {2, 3, 2, 5, 1, 5}, {1, 6, 6, 6, 6, 3}};
  int seed = 300;
  for (const ResizeShape& s : shapes) {
    Value x = random(batch({s.n, s.ih, s.iw, s.c}), ++seed), y = batch({s.n, s.oh, s.ow, s.c}),
          dy = random(y, ++seed);
    for (bool corners : {false, true})
      for (bool antialias : {false, true}) {
        if (corners && antialias) continue;
        Attributes a{{"align_corners", corners}, {"antialias", antialias}};
        auto forward = [&](const Value& input) {
          Value output = y;
          reference::resize_bilinear(s, corners, antialias, input.data.data(), output.data.data());
          return output;
        };
        check_op({"resize_bilinear", a, {x}, {y}}, {forward(x)}, 1e-6);
        check_op({"resize_bilinear_grad", a, {dy}, {x}}, {numeric_gradient(x, dy, forward)}, 1e-6);
      }
    auto nearest = [&](const Value& input) {
      Value output = y;
      for (int64_t i = 0; i < y.elements(); i++) {
        const int64_t c = i % s.c, ox = i / s.c % s.ow, oy = i / s.c / s.ow % s.oh, n = i / s.c / s.ow / s.oh;
        output[i] = input[((n * s.ih + oy * s.ih / s.oh) * s.iw + ox * s.iw / s.ow) * s.c + c];
      }
      return output;
    };
    check_op({"resize_nearest", {}, {x}, {y}}, {nearest(x)}, 0);
    check_op({"resize_nearest_grad", {}, {dy}, {x}}, {numeric_gradient(x, dy, nearest)}, 1e-6);
  }
}

TEST(pool_refuses) {
  PoolShape s = kShapes[1];
  s.kh = s.kw = 17;
  Value x = images(s), y = pooled(s);
  Attributes a = maximum(s);
  CHECK_ERROR("E_PLAN", run_op({"max_pool2d", a, {x}, {y, pooled(s, DType::u8)}}, Isa::scalar));
  CHECK_ERROR("E_PLAN", run_op({"max_pool2d", a, {x}, {}}, Isa::scalar));
  CHECK_ERROR("E_PLAN", run_op({"adaptive_avg_pool2d", {}, {x}, {batch({1, 1, 1, s.c})}}, Isa::scalar));
  CHECK_ERROR("E_PLAN", run_op({"adaptive_avg_pool2d", {}, {}, {y}}, Isa::scalar));
}

}  // namespace
}  // namespace dl::test
