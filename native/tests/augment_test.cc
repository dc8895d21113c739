// The input op: literals from torchvision (0.29, functional, float images) for resizing and colours, plain
// loops for everything else.
#include <cmath>
#include <limits>

#include "kernels/resample/reference.h"
#include "tests/harness.h"

namespace dl::test {
namespace {

/// A value per sample: counted, dense.
Value sample(std::vector<int64_t> shape, DType dtype = DType::f32) {
  Value value = batch(std::move(shape), dtype);
  value.strided = false;
  return value;
}

/// The picture that the torchvision literals were made from.
Value pictures(int64_t n, int64_t h, int64_t w, int64_t c) {
  Value value = sample({n, h, w, c}, DType::u8);
  for (int64_t i = 0; i < value.elements(); i++) {
    const int64_t k = i % c, x = i / c % w, y = i / c / w % h, which = i / c / w / h;
    value[i] = static_cast<double>((x * 37 + y * 91 + k * 53 + x * y % 7 * 11 + which * 29) % 256);
  }
  return value;
}

/// All operands of a case, with neutral values.
struct Inputs {
  int64_t h, w;
  Value images, boxes, flip, erase, mean, std, color, lighting, partner, mix, cut;
  std::string fill = "zero";
  bool with_color = false, with_mixing = false;

  Inputs(Value pixels, int64_t oh, int64_t ow) : h(oh), w(ow), images(std::move(pixels)) {
    const int64_t n = images.dim(0), c = images.dim(3);
    boxes = sample({n, 4});
    flip = sample({n}, DType::i32);
    erase = cut = sample({n, 4});
    mean = fixed({c});
    std = fixed({c});
    color = sample({n, 4});
    lighting = sample({n, c});
    partner = sample({n}, DType::i32);
    mix = sample({n});
    for (int64_t i = 0; i < n; i++) {
      set(boxes, i, {0, 0, static_cast<double>(images.dim(2)), static_cast<double>(images.dim(1))});
      set(color, i, {1, 1, 1, 0});
      partner[i] = static_cast<double>(i);
      mix[i] = 1;
    }
    for (double& v : std.data) v = 1;
  }
  static void set(Value& value, int64_t i, const std::vector<double>& row) {
    for (size_t k = 0; k < row.size(); k++)
      value[i * static_cast<int64_t>(row.size()) + static_cast<int64_t>(k)] = static_cast<float>(row[k]);
  }
  OpCase op() const {
    OpCase op{"augment",
              {{"fill", fill}, {"color", with_color}, {"mixing", with_mixing}},
              {images, boxes, flip, erase, mean, std},
              {batch({images.dim(0), h, w, images.dim(3)})}};
    if (with_color) op.inputs.insert(op.inputs.end(), {color, lighting});
    if (with_mixing) op.inputs.insert(op.inputs.end(), {partner, mix, cut});
    return op;
  }
  void check(const std::vector<double>& expected, double tolerance = 1e-6) const {
    OpCase op = this->op();
    check_op(op, {with_data(op.outputs[0], expected)}, tolerance);
  }
};

/// Sample i without colours and mixing, for whole boxes: crop with padding, resize, mirror, normalise, erase.
std::vector<double> paint(const Inputs& in, int64_t i) {
  const int64_t ih = in.images.dim(1), iw = in.images.dim(2), c = in.images.dim(3);
  const bool reflects = in.fill == "reflect";
  auto corner = [&](int64_t k) { return static_cast<int64_t>(in.boxes[4 * i + k]); };
  const bool copies = corner(3) - corner(1) == in.h && corner(2) - corner(0) == in.w;
  auto box = [&](int64_t k) {
    const int64_t n = k % 2 == 0 ? iw : ih;
    return reflects && !copies ? std::clamp(corner(k), -n, 2 * n) : corner(k);
  };
  // Back and forth between the edges.
  auto mirrored = [&](int64_t p, int64_t n) {
    while (reflects && (p < 0 || p >= n)) p = p < 0 ? -p : 2 * (n - 1) - p;
    return p;
  };
  const int64_t ch = box(3) - box(1), cw = box(2) - box(0);
  std::vector<double> crop(static_cast<size_t>(ch * cw * c)), out(static_cast<size_t>(in.h * in.w * c));
  for (int64_t k = 0; k < ch * cw * c; k++) {
    const int64_t x = mirrored(k / c % cw + box(0), iw), y = mirrored(k / c / cw + box(1), ih),
                  channel = k % c;
    const bool inside = x >= 0 && x < iw && y >= 0 && y < ih;
    crop[static_cast<size_t>(k)] = inside ? in.images[((i * ih + y) * iw + x) * c + channel] / 255
                                          : (in.fill == "mean" ? in.mean[channel] : 0.0);
  }
  reference::resize_bilinear<double>({1, ch, cw, in.h, in.w, c}, false, true, crop.data(), out.data());
  std::vector<double> y(out.size());
  for (int64_t k = 0; k < in.h * in.w * c; k++) {
    const int64_t x = k / c % in.w, row = k / c / in.w, from = in.flip[i] != 0 ? in.w - 1 - x : x;
    const bool erased =
        static_cast<double>(x) >= in.erase[4 * i] && static_cast<double>(row) >= in.erase[4 * i + 1] &&
        static_cast<double>(x) < in.erase[4 * i + 2] && static_cast<double>(row) < in.erase[4 * i + 3];
    const double v = out[static_cast<size_t>((row * in.w + from) * c + k % c)];
    y[static_cast<size_t>(k)] = erased ? 0 : (v - in.mean[k % c]) / in.std[k % c];
  }
  return y;
}

std::vector<double> paint_all(const Inputs& in) {
  std::vector<double> all;
  for (int64_t i = 0; i < in.images.dim(0); i++) {
    const auto one = paint(in, i);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

void normalization(Inputs& in) {
  const int64_t c = in.images.dim(3);
  for (int64_t k = 0; k < c; k++) {
    in.mean[k] = static_cast<float>(0.4914 - 0.02 * static_cast<double>(k));
    in.std[k] = static_cast<float>(0.247 + 0.01 * static_cast<double>(k));
  }
}

TEST(augment_resizes_like_torchvision) {
  // resized_crop(image, top, left, height, width, size, BILINEAR, antialias=True)
  Inputs down(pictures(1, 6, 7, 3), 3, 4);
  Inputs::set(down.boxes, 0, {1, 1, 6, 5});
  down.check({0.640098,  0.6220587, 0.6542156, 0.6489215, 0.5639542, 0.3618627, 0.4208497, 0.3358824,
              0.5437255, 0.325,     0.5328431, 0.7406862, 0.5808823, 0.4122549, 0.4946078, 0.4366013,
              0.6444445, 0.3503268, 0.5555556, 0.4705882, 0.469281,  0.6745098, 0.3803921, 0.5882353,
              0.6445098, 0.8523529, 0.2821568, 0.510915,  0.7187582, 0.2154902, 0.2803267, 0.3124837,
              0.3948366, 0.4798039, 0.3864706, 0.5943137});
  Inputs up(pictures(1, 6, 7, 3), 4, 5);
  Inputs::set(up.boxes, 0, {2, 1, 5, 3});
  up.check({0.7333333, 0.9411765, 0.145098,  0.8086275, 0.614902,  0.2203922, 0.9215686, 0.1254902, 0.3333333,
            0.4321567, 0.2384314, 0.4462746, 0.1058824, 0.3137255, 0.5215687, 0.5931373, 0.8009804, 0.2558824,
            0.6727451, 0.5794117, 0.3354902, 0.7921569, 0.2470588, 0.454902,  0.4145097, 0.3211765, 0.5290197,
            0.1627451, 0.3705882, 0.5784314, 0.3127451, 0.5205882, 0.477451,  0.4009804, 0.5084314, 0.5656863,
            0.5333334, 0.4901961, 0.6980392, 0.3792157, 0.4866667, 0.6945098, 0.2764706, 0.4843138, 0.6921569,
            0.172549,  0.3803922, 0.5882353, 0.2650981, 0.4729412, 0.6807843, 0.4039216, 0.6117647, 0.8196079,
            0.3615686, 0.5694118, 0.7772549, 0.3333333, 0.5411765, 0.7490196});
  Inputs(pictures(1, 6, 7, 3), 2, 2)
      .check({0.4724351, 0.5343594, 0.5408345, 0.5214547, 0.4929093, 0.5694254, 0.459975, 0.6123689,
              0.4087209, 0.474715, 0.5162107, 0.4468081});
}

TEST(augment_colors_like_torchvision) {
  auto colored = [](const std::vector<double>& factors) {
    Inputs in(pictures(1, 3, 4, 3), 3, 4);
    in.with_color = true;
    Inputs::set(in.color, 0, factors);
    return in;
  };
  // adjust_brightness(x, 1.4), adjust_contrast(x, 0.6), adjust_saturation(x, 1.7), adjust_hue(x, 0.3)
  colored({1.4, 1, 1, 0}).check({0,         0.2909804, 0.5819608, 0.2031373, 0.4941176, 0.7850981,
                                 0.4062745, 0.6972549, 0.9882353, 0.6094118, 0.9003922, 1,
                                 0.4996079, 0.7905883, 1,         0.7631373, 1,         1,
                                 1,         1,         0.2031373, 1,         0.1756863, 0.4666667,
                                 0.9992157, 1,         0.1756863, 1,         0.2086275, 0.4996079,
                                 0.2415686, 0.532549,  0.8235294, 0.5654902, 0.8564706, 1});
  colored({1, 0.6, 1, 0}).check({0.2019498, 0.3266557, 0.4513615, 0.2890086, 0.4137145, 0.5384204,
                                 0.3760674, 0.5007733, 0.6254792, 0.4631262, 0.5878322, 0.7125381,
                                 0.4160674, 0.5407733, 0.6654792, 0.5290086, 0.6537145, 0.7784204,
                                 0.6419498, 0.7666557, 0.2890086, 0.754891,  0.2772439, 0.4019498,
                                 0.6301851, 0.754891,  0.2772439, 0.7690086, 0.2913615, 0.4160674,
                                 0.3054792, 0.4301851, 0.554891,  0.4443027, 0.5690086, 0.6937145});
  colored({1, 1, 1.7, 0}).check({0,          0.2347588, 0.5880922, 0.02653371, 0.379867,  0.7332004,
                                 0.1716419,  0.5249752, 0.8783086, 0.3167501,  0.6700834, 1,
                                 0.2383132,  0.5916467, 0.9449799, 0.4265617,  0.7798951, 1,
                                 0.6949231,  1,         0,         1,          0,         0.295683,
                                 0.6753139,  1,         0,         1,          0,         0.319214,
                                 0.05398659, 0.40732,   0.7606534, 0.2853753,  0.6387087, 0.9920421});
  colored({1, 1, 1, 0.3}).check({0.4156863, 0,         0.2909805, 0.5607843, 0.145098,  0.4360786,
                                 0.7058824, 0.2901961, 0.5811766, 0.8509804, 0.4352941, 0.7262747,
                                 0.772549,  0.3568628, 0.6478432, 0.9607843, 0.545098,  0.8360786,
                                 0.145098,  0.892549,  0.9411765, 0.4925489, 0.9215686, 0.1254902,
                                 0.1254902, 0.8729411, 0.9215686, 0.5160784, 0.945098,  0.1490196,
                                 0.5882353, 0.172549,  0.4635296, 0.8196079, 0.4039215, 0.6949021});
  colored({1, 1, 1, -0.2}).check({0,         0.4156863, 0.1247058, 0.145098,  0.5607843, 0.2698038,
                                  0.2901961, 0.7058824, 0.4149019, 0.4352941, 0.8509804, 0.5599999,
                                  0.3568628, 0.772549,  0.4815685, 0.545098,  0.9607843, 0.6698038,
                                  0.9411765, 0.1937255, 0.145098,  0.5545101, 0.1254902, 0.9215686,
                                  0.9215686, 0.1741177, 0.1254902, 0.5780395, 0.1490196, 0.945098,
                                  0.172549,  0.5882353, 0.2972548, 0.4039215, 0.8196079, 0.5286273});
  // brightness 0.8, contrast 1.3, saturation 0.5, hue 0.1, then + (0.05, -0.02, 0.01), then normalize
  Inputs all = colored({0.8, 1.3, 0.5, 0.1});
  all.mean = with_data(all.mean, {.4914, .4822, .4465});
  all.std = with_data(all.std, {.247, .2435, .2616});
  Inputs::set(all.lighting, 0, {0.05, -0.02, 0.01});
  all.check(
      {-1.416747,  -1.875097,     -0.8995191,  -1.22255,  -1.578585,  -0.3919289, -0.6116418, -0.9588955,
       0.1848845,  -0.0007328717, -0.3392058,  0.7616982, -0.3309538, -0.6741732, 0.4499071,  0.4615762,
       0.1297483,  1.198206,      -0.07991982, 1.13312,   -0.2765525, 0.4775469,  -0.889153,  -1.112793,
       -0.1624753, 1.049378,      -0.3545005,  0.5766132, -0.7886627, -1.019256,  -1.106973,  -1.461347,
       -0.2828021, -0.1328214,    -0.4731928,  0.6369818},
      2e-6);
  // One channel: brightness 1.2, contrast 0.6; saturation and hue have no meaning there.
  Inputs grey(pictures(1, 3, 4, 1), 3, 4);
  grey.with_color = true;
  Inputs::set(grey.color, 0, {1.2, 0.6, 1.5, 0.2});
  grey.check({0.2185098, 0.3229804, 0.427451, 0.5319216, 0.475451, 0.6109805, 0.7465099, 0.8185098, 0.7323922,
              0.8185098, 0.3427451, 0.5093334});
}

TEST(augment_geometry) {
  for (int64_t c : {1, 3, 4})
    for (const std::string fill : {"zero", "mean", "reflect"}) {
      Context context(text("channels ", c, ", fill ", fill));
      Inputs in(pictures(9, 8, 11, c), 8, 11);
      in.fill = fill;
      normalization(in);
      // Windows of the output's size are copies: shifted over each edge, and beyond the picture.
      Inputs::set(in.boxes, 1, {3, -2, 14, 6});
      Inputs::set(in.boxes, 2, {-4, 3, 7, 11});
      Inputs::set(in.boxes, 3, {40, 0, 51, 8});
      // Others are resized: within, over the edges, from a much larger and a much smaller window.
      Inputs::set(in.boxes, 4, {2, 1, 9, 7});
      Inputs::set(in.boxes, 5, {-3, -2, 6, 5});
      Inputs::set(in.boxes, 6, {-20, -30, 30, 40});
      Inputs::set(in.boxes, 7, {5, 3, 6, 4});
      for (int64_t i = 0; i < 9; i++) {
        in.flip[i] = static_cast<double>(i % 2);
        if (i % 3 == 1) Inputs::set(in.erase, i, {2, 1, 7, 6});
      }
      Inputs::set(in.erase, 8, {0, 0, 11, 8});
      in.check(paint_all(in), 2e-6);
      // Without flips, too: every kind has been mirrored or not.
      for (double& f : in.flip.data) f = 1 - f;
      in.with_color = true;
      in.check(paint_all(in), 2e-6);
    }
}

TEST(augment_mixes) {
  Inputs in(pictures(5, 6, 7, 3), 6, 7);
  in.with_mixing = true;
  normalization(in);
  Inputs::set(in.boxes, 1, {-1, 1, 6, 7});
  in.flip[3] = 1;
  for (int64_t i = 0; i < 5; i++) in.partner[i] = static_cast<double>(4 - i);
  in.mix = with_data(in.mix, {0.75, 1, 0.5, 0.8, 0.25});
  Inputs::set(in.cut, 3, {2, 1, 6, 4});
  const auto plain = paint_all(in);
  auto expected = plain;
  const int64_t size = 6 * 7 * 3;
  auto at = [&](int64_t i, int64_t k) { return plain[static_cast<size_t>(i * size + k)]; };
  for (int64_t i = 0; i < 5; i++)
    for (int64_t k = 0; k < size; k++) {
      const int64_t x = k / 3 % 7, y = k / 21;
      double& v = expected[static_cast<size_t>(i * size + k)];
      // Sample 3 is cut, the middle one is its own partner, sample 1 has its whole weight.
      if (i == 3) v = x >= 2 && x < 6 && y >= 1 && y < 4 ? at(1, k) : at(3, k);
      if (i == 0 || i == 4) v = in.mix[i] * at(i, k) + (1 - in.mix[i]) * at(4 - i, k);
    }
  in.check(expected, 2e-6);
}

TEST(augment_survives_nonsense) {
  // Numbers that no caller should send: anything may come out, but nothing else may be touched.
  const double nan = std::numeric_limits<double>::quiet_NaN(),
               infinity = std::numeric_limits<double>::infinity();
  Inputs in(pictures(6, 5, 5, 3), 4, 4);
  in.with_color = in.with_mixing = true;
  Inputs::set(in.boxes, 0, {nan, nan, nan, nan});
  Inputs::set(in.boxes, 1, {-infinity, 0, infinity, 5});
  Inputs::set(in.boxes, 2, {4, 4, 1, 1});
  Inputs::set(in.boxes, 3, {3e38, 0, 3.1e38, 5});
  Inputs::set(in.boxes, 4, {2.5, 2.5, 2.5, 2.5});
  Inputs::set(in.erase, 0, {-infinity, nan, infinity, 1e30});
  Inputs::set(in.cut, 1, {nan, -5, 1e30, infinity});
  in.partner = with_data(in.partner, {-1, 6, 2147483647, -2147483648.0, 0, 5});
  in.mix = with_data(in.mix, {nan, 0, 0.5, 0.5, infinity, 1});
  for (const std::string fill : {"zero", "reflect"}) {
    in.fill = fill;
    for_each_isa([&](Isa isa) { run_op(in.op(), isa, {.gap = 1, .threads = 2}); });
  }
}

TEST(augment_refuses) {
  Inputs in(pictures(2, 4, 4, 3), 4, 4);
  in.fill = "edge";
  CHECK_ERROR("E_PLAN", run_op(in.op(), Isa::scalar));
  in.fill = "zero";
  OpCase op = in.op();
  op.inputs.pop_back();
  CHECK_ERROR("E_PLAN", run_op(op, Isa::scalar));
  op = in.op();
  op.inputs[1] = sample({2, 3});
  CHECK_ERROR("E_PLAN", run_op(op, Isa::scalar));
}

}  // namespace
}  // namespace dl::test
