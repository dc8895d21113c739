// augment: the input op. From uint8 pictures to normalised floats, with everything that augmentation does to
// pixels on the way; what is to be done to each sample comes as data.
//
//   in  images u8 [n, ih, iw, c]
//       boxes [n, 4]      x0 y0 x1 y1: the window of the source, in its pixels, that fills the output
//       flip i32 [n]      1: the output is mirrored left to right
//       erase [n, 4]      rectangle of the output that is 0 after normalisation; empty: none
//       mean [c], std [c]
//       color [n, 4], lighting [n, c]          with the attribute `color`
//       partner i32 [n], mix [n], cut [n, 4]   with the attribute `mixing`
//   out y [n, oh, ow, c]
//
// A window of the output's size at a whole corner is copied; any other is resized as torchvision does after
// cropping (bilinear, the filter as wide as the reduction, no pixels from outside of the window). Outside of
// the source there is black (fill 'zero'), the mean (fill 'mean': 0 after normalisation) or its mirror image
// without the outermost pixels (fill 'reflect'; a window that is resized reaches no further than one such
// image on each side). Then, on values in [0, 1]: colour jitter (kernels/augment; grey pictures know
// brightness and contrast only), lighting (an offset per channel, AlexNet 4.1, not clamped), (v - mean) /
// std, erasing. A sample with a partner takes from it, after all that, either the rectangle `cut` (cutmix)
// or, where that is empty, the share 1 - mix of every pixel (mixup).
#include <cmath>

#include "base/carve.h"
#include "kernels/kernels.h"
#include "ops/image.h"

namespace dl {
namespace {

/// Windows do not reach further than this.
constexpr float kFar = 1 << 20;

/// The pixel of 0 <= i < n that position i shows where the source is followed by its mirror images.
int64_t reflected(int64_t i, int64_t n) {
  const int64_t period = std::max<int64_t>(2 * (n - 1), 1);
  const int64_t at = ((i % period) + period) % period;
  return at < n ? at : period - at;
}

/// A window of one axis, mapped onto `out` positions.
struct Span {
  double begin, end;
  int64_t out;
  bool reflects = false;

  /// Nothing that comes as data may lead out of bounds or into endless loops: NaN is 0, and far is far
  /// enough.
  static Span of(float begin, float end, int64_t out) {
    auto near = [](float x) { return x >= -kFar ? std::min(x, kFar) : x < 0 ? -kFar : 0.0f; };
    return {near(begin), std::max(near(begin), near(end)), out};
  }
  /// At most one mirror image of n pixels on each side.
  Span mirrored(int64_t n) const {
    const auto edge = static_cast<double>(n);
    return {std::clamp(begin, -edge, 2 * edge), std::clamp(end, -edge, 2 * edge), out, true};
  }
  bool copies() const { return begin == std::floor(begin) && end - begin == static_cast<double>(out); }

  /// Calls link(i, weight) for the source pixels 0 <= i < in of output o; returns the sum of their weights,
  /// which is below 1 where the window hangs over the edge.
  template <class Link>
  double links(int64_t o, int64_t in, Link&& link) const {
    const double scale = (end - begin) / static_cast<double>(out), support = std::max(scale, 1.0);
    const double center = begin + (static_cast<double>(o) + 0.5) * scale;
    const auto low = static_cast<int64_t>(std::floor(begin));
    const auto high = std::max(low + 1, static_cast<int64_t>(std::ceil(end)));
    const auto first = std::clamp(static_cast<int64_t>(std::floor(center - support + 0.5)), low, high - 1);
    const auto last = std::clamp(static_cast<int64_t>(std::floor(center + support + 0.5)), first + 1, high);
    auto weight = [&](int64_t i) {
      return std::max(0.0, 1 - std::abs(static_cast<double>(i) + 0.5 - center) / support);
    };
    double total = 0, inside = 0;
    for (int64_t i = first; i < last; i++) total += weight(i);
    if (total <= 0) return 0;
    for (int64_t i = first; i < last; i++) {
      if (weight(i) <= 0 || (!reflects && (i < 0 || i >= in))) continue;
      link(reflects ? reflected(i, in) : i, static_cast<float>(weight(i) / total));
      inside += weight(i) / total;
    }
    return inside;
  }
};

/// Whole pixels [x0, x1) x [y0, y1) within the output.
struct Rectangle {
  int64_t x0, y0, x1, y1;

  static Rectangle of(const float* r, int64_t h, int64_t w) {
    auto pixel = [](float x, int64_t most) {
      return x > 0 ? static_cast<int64_t>(std::lround(std::min(x, static_cast<float>(most)))) : 0;
    };
    return {pixel(r[0], w), pixel(r[1], h), pixel(r[2], w), pixel(r[3], h)};
  }
  bool empty() const { return x1 <= x0 || y1 <= y0; }
};

/// The first pixel of a picture, and floats from one pixel to the next.
struct Picture {
  float* data;
  int64_t stride;
};

class Augment : public Op {
 public:
  struct Attributes {
    std::string fill;
    bool color, mixing;
    template <class V>
    void visit(V&& visitor) {
      visitor("fill", fill);
      visitor("color", color);
      visitor("mixing", mixing);
    }
  };

  Augment(const Attributes& a, const StepSpec& spec) : a_(a), kernels_(spec.kernels.augment) {
    require_operands(spec, size_t{6} + (a.color ? 2 : 0) + (a.mixing ? 3 : 0), 1);
    const auto& in = spec.inputs;
    const Image x = Image::of(in[0], DType::u8), y = Image::of(spec.outputs[0]);
    ih_ = x.h, iw_ = x.w, c_ = x.c, oh_ = y.h, ow_ = y.w;
    require(y.c == c_ && c_ > 0 && ih_ > 0 && iw_ > 0,
            "pictures and output differ in channels, or are empty");
    require(in[0].stride == c_, "pictures must be dense");
    require(a.fill == "zero" || a.fill == "mean" || a.fill == "reflect",
            "fill: expected 'zero', 'mean' or 'reflect', got '" + a.fill + "'");
    reflects_ = a.fill == "reflect";
    require_same_rows(in[0], spec.outputs[0]);
    size_t at = 1;
    auto sample = [&](int64_t width, DType dtype) {
      require_same_rows(in[at], in[0]);
      require_dense(in[at++], x.n * width, dtype);
    };
    sample(4, DType::f32);
    sample(1, DType::i32);
    sample(4, DType::f32);
    require_dense(in[at++], c_);
    require_dense(in[at++], c_);
    if (a.color) {
      sample(4, DType::f32);
      sample(c_, DType::f32);
    }
    if (a.mixing) {
      sample(1, DType::i32);
      sample(1, DType::f32);
      sample(4, DType::f32);
    }
  }

  Needs needs() const override {
    return {.scratch = scratch(nullptr).bytes, .workspace = patterns(nullptr).bytes};
  }

  void run(const Run& run) const override {
    const Operands o = operands(run);
    run.parallel_for(o.n, [&](int64_t i, int thread) {
      const Scratch s = scratch(run.scratch<std::byte>(thread));
      const Picture own{o.y + i * oh_ * ow_ * o.y_stride, o.y_stride};
      paint(o, i, own, s);
      if (a_.mixing) take_from_partner(o, i, own, s);
    });
  }

 private:
  /// Factors for a row of pixels, so that any number of channels runs in full vectors: from bytes to
  /// normalised, and from bytes to [0, 1].
  struct Patterns {
    float *scale, *shift, *unit_scale, *unit_shift;
    int64_t bytes;
  };
  struct Operands {
    int64_t n;
    const uint8_t* images;
    const float *boxes, *erase, *mean, *std;
    const int32_t* flip;
    /// With `color`.
    const float *color, *lighting;
    /// With `mixing`.
    const int32_t* partner;
    const float *mix, *cut;
    float* y;
    int64_t y_stride;
    Patterns patterns;
  };
  struct Scratch {
    /// Columns of a resized window: the links of output column o are start[o] <= k < start[o + 1], and
    /// inside[o] is the sum of their weights.
    int32_t *start, *index;
    float *weight, *inside;
    /// How much of each pixel of a row lies outside of the source, and what is there.
    float *rest, *fill;
    /// Links of one output row.
    const uint8_t** lines;
    float* line_weight;
    /// A row of the source, combined; a row of the output, as floats, as bytes, as three planes.
    float *source, *row, *planes;
    uint8_t* gathered;
    /// A dense picture: the partner's.
    float* picture;
    int64_t bytes;
  };

  Patterns patterns(std::byte* base) const {
    Carve carve(base);
    Patterns p;
    for (float** row : {&p.scale, &p.shift, &p.unit_scale, &p.unit_shift}) *row = carve.take<float>(ow_ * c_);
    p.bytes = carve.used();
    return p;
  }
  Scratch scratch(std::byte* base) const {
    Carve carve(base);
    Scratch s;
    // A pixel has a part in at most three outputs, or an output takes at most three pixels.
    const int64_t images = reflects_ ? 3 : 1, links = 3 * (images * iw_ + ow_);
    s.start = carve.take<int32_t>(ow_ + 1);
    s.index = carve.take<int32_t>(links);
    s.weight = carve.take<float>(links);
    s.inside = carve.take<float>(ow_);
    s.rest = carve.take<float>(ow_);
    s.fill = carve.take<float>(c_);
    s.lines = carve.take<const uint8_t*>(images * ih_);
    s.line_weight = carve.take<float>(images * ih_);
    s.source = carve.take<float>(iw_ * c_);
    s.row = carve.take<float>(ow_ * c_);
    s.planes = carve.take<float>(ow_ * 3);
    s.gathered = carve.take<uint8_t>(ow_ * c_);
    s.picture = carve.take<float>(a_.mixing ? oh_ * ow_ * c_ : 0);
    s.bytes = carve.used();
    return s;
  }
  Operands operands(const Run& run) const {
    const auto& in = run.inputs;
    Operands o{};
    o.n = in[0].shape[0];
    o.images = in[0].u8();
    o.boxes = in[1].f32(), o.flip = in[2].i32(), o.erase = in[3].f32();
    o.mean = in[4].f32(), o.std = in[5].f32();
    size_t at = 6;
    if (a_.color) o.color = in[at].f32(), o.lighting = in[at + 1].f32(), at += 2;
    if (a_.mixing) o.partner = in[at].i32(), o.mix = in[at + 1].f32(), o.cut = in[at + 2].f32();
    o.y = run.outputs[0].f32();
    o.y_stride = run.outputs[0].stride;
    o.patterns = patterns(run.workspace);
    for (int64_t k = 0; k < ow_ * c_; k++) {
      o.patterns.scale[k] = 1 / (255 * o.std[k % c_]);
      o.patterns.shift[k] = -o.mean[k % c_] / o.std[k % c_];
      o.patterns.unit_scale[k] = 1.0f / 255;
      o.patterns.unit_shift[k] = 0;
    }
    return o;
  }

  /// Everything but the partner's part.
  void paint(const Operands& o, int64_t i, const Picture& to, const Scratch& s) const {
    const float* box = o.boxes + 4 * i;
    const Span v = Span::of(box[1], box[3], oh_), h = Span::of(box[0], box[2], ow_);
    const bool recolored = a_.color && !neutral(o, i);
    if (v.copies() && h.copies())
      copy(o, i, v, h, recolored, to, s);
    else if (reflects_)
      resize(o, i, v.mirrored(ih_), h.mirrored(iw_), recolored, to, s);
    else
      resize(o, i, v, h, recolored, to, s);
    if (recolored) recolor(o, i, to, s);
    const Rectangle erased = Rectangle::of(o.erase + 4 * i, oh_, ow_);
    for (int64_t y = erased.y0; y < erased.y1; y++)
      for (int64_t x = erased.x0; x < erased.x1; x++)
        std::fill_n(to.data + (y * ow_ + x) * to.stride, c_, 0.0f);
  }

  bool neutral(const Operands& o, int64_t i) const {
    const float *f = o.color + 4 * i, *l = o.lighting + c_ * i;
    return f[0] == 1 && f[1] == 1 && f[2] == 1 && f[3] == 0 &&
           std::all_of(l, l + c_, [](float x) { return x == 0; });
  }

  /// What lies outside of the source, as it is stored: in [0, 1], or normalised.
  float outside(const Operands& o, int64_t channel, bool unit) const {
    if (a_.fill == "mean") return unit ? o.mean[channel] : 0;
    return unit ? 0 : o.patterns.shift[channel];
  }

  /// Where a row of `to` can be written: in place, or in scratch when its pixels do not touch.
  float* begin_row(const Picture& to, int64_t y, const Scratch& s) const {
    return to.stride == c_ ? to.data + y * ow_ * c_ : s.row;
  }
  void end_row(const Picture& to, int64_t y, const Scratch& s) const {
    if (to.stride == c_) return;
    copy_pixels(reinterpret_cast<std::byte*>(to.data + y * ow_ * to.stride), to.stride * 4,
                reinterpret_cast<const std::byte*>(s.row), c_ * 4, c_ * 4, ow_);
  }

  void copy(const Operands& o, int64_t i, const Span& v, const Span& h, bool unit, const Picture& to,
            const Scratch& s) const {
    const float* scale = unit ? o.patterns.unit_scale : o.patterns.scale;
    const float* shift = unit ? o.patterns.unit_shift : o.patterns.shift;
    const bool flip = o.flip[i] != 0;
    const auto top = static_cast<int64_t>(v.begin), left = static_cast<int64_t>(h.begin);
    // Output columns [first, last) lie inside; mirrored, the others change sides.
    const int64_t low = reflects_ ? 0 : std::clamp<int64_t>(-left, 0, ow_);
    const int64_t high = reflects_ ? ow_ : std::clamp<int64_t>(iw_ - left, low, ow_);
    const bool gathers = flip || left + low < 0 || left + high > iw_;
    const int64_t first = flip ? ow_ - high : low, last = flip ? ow_ - low : high;
    for (int64_t y = 0; y < oh_; y++) {
      float* row = begin_row(to, y, s);
      const int64_t iy = reflects_ ? reflected(top + y, ih_) : top + y;
      const bool inside = iy >= 0 && iy < ih_ && last > first;
      const int64_t begin = inside ? first : 0, end = inside ? last : 0;
      if (inside) {
        const uint8_t* line = o.images + (i * ih_ + iy) * iw_ * c_;
        const uint8_t* from = line + (left + low) * c_;
        if (gathers) {
          for (int64_t x = first; x < last; x++) {
            const int64_t ix = left + (flip ? ow_ - 1 - x : x);
            std::copy_n(line + (reflects_ ? reflected(ix, iw_) : ix) * c_, c_, s.gathered + (x - first) * c_);
          }
          from = s.gathered;
        }
        kernels_.normalize_bytes(from, scale, shift, (last - first) * c_, row + first * c_);
      }
      for (int64_t k = 0; k < begin * c_; k++) row[k] = outside(o, k % c_, unit);
      for (int64_t k = end * c_; k < ow_ * c_; k++) row[k] = outside(o, k % c_, unit);
      end_row(to, y, s);
    }
  }

  void resize(const Operands& o, int64_t i, const Span& v, const Span& h, bool unit, const Picture& to,
              const Scratch& s) const {
    const float* scale = unit ? o.patterns.unit_scale : o.patterns.scale;
    const float* shift = unit ? o.patterns.unit_shift : o.patterns.shift;
    s.start[0] = 0;
    for (int64_t x = 0; x < ow_; x++) {
      int32_t k = s.start[x];
      s.inside[x] =
          static_cast<float>(h.links(o.flip[i] != 0 ? ow_ - 1 - x : x, iw_, [&](int64_t ix, float w) {
            s.index[k] = static_cast<int32_t>(ix * c_);
            s.weight[k++] = w;
          }));
      s.start[x + 1] = k;
    }
    for (int64_t c = 0; c < c_; c++) s.fill[c] = a_.fill == "mean" ? o.mean[c] : 0;
    const uint8_t* image = o.images + i * ih_ * iw_ * c_;
    for (int64_t y = 0; y < oh_; y++) {
      float* row = begin_row(to, y, s);
      int64_t lines = 0;
      const auto inside = static_cast<float>(v.links(y, ih_, [&](int64_t iy, float w) {
        s.lines[lines] = image + iy * iw_ * c_;
        s.line_weight[lines++] = w;
      }));
      kernels_.combine(s.lines, s.line_weight, lines, iw_ * c_, s.source);
      for (int64_t x = 0; x < ow_; x++) s.rest[x] = 255 * std::max(0.0f, 1 - inside * s.inside[x]);
      kernels_.resample(s.start, s.index, s.weight, ow_, c_, s.source, s.rest, s.fill, row);
      kernels_.normalize(row, scale, shift, ow_ * c_, row);
      end_row(to, y, s);
    }
  }

  /// Jitter, lighting and normalisation of a picture in [0, 1].
  void recolor(const Operands& o, int64_t i, const Picture& picture, const Scratch& s) const {
    const float *factors = o.color + 4 * i, *lighting = o.lighting + c_ * i;
    ColorJitter jitter{factors[0], factors[1], factors[2], factors[3], 0};
    // A picture of another number of channels has no colours: every plane is grey, its own saturation.
    const int64_t planes = c_ == 3 ? 1 : c_;
    if (c_ != 3) jitter.saturation = 1, jitter.hue = 0;
    auto load = [&](const float* row, int64_t plane) {
      for (int64_t x = 0; x < ow_; x++)
        for (int64_t c = 0; c < 3; c++)
          s.planes[c * ow_ + x] = row[x * picture.stride + (c_ == 3 ? c : plane)];
    };
    if (jitter.contrast != 1) {
      double total = 0;
      for (int64_t y = 0; y < oh_; y++)
        for (int64_t plane = 0; plane < planes; plane++) {
          load(picture.data + y * ow_ * picture.stride, plane);
          total += kernels_.grey_sum(jitter.brightness, s.planes, ow_);
        }
      // The weights of grey add up to 0.9999, which a picture without colours does not have.
      const double weights = c_ == 3 ? 1 : 0.9999;
      jitter.mean = static_cast<float>(total / static_cast<double>(oh_ * ow_ * planes) / weights);
    }
    for (int64_t y = 0; y < oh_; y++)
      for (int64_t plane = 0; plane < planes; plane++) {
        float* row = picture.data + y * ow_ * picture.stride;
        load(row, plane);
        kernels_.jitter(jitter, s.planes, ow_);
        for (int64_t c = 0; c < (c_ == 3 ? 3 : 1); c++) {
          const int64_t channel = c_ == 3 ? c : plane;
          const float offset = lighting[channel] - o.mean[channel], scale = 1 / o.std[channel];
          for (int64_t x = 0; x < ow_; x++)
            row[x * picture.stride + channel] = (s.planes[c * ow_ + x] + offset) * scale;
        }
      }
  }

  void take_from_partner(const Operands& o, int64_t i, const Picture& own, const Scratch& s) const {
    const int64_t partner = o.partner[i];
    const Rectangle cut = Rectangle::of(o.cut + 4 * i, oh_, ow_);
    if (partner == i || partner < 0 || partner >= o.n || (cut.empty() && o.mix[i] == 1)) return;
    const Picture other{s.picture, c_};
    paint(o, partner, other, s);
    for (int64_t y = cut.y0; y < cut.y1; y++)
      for (int64_t x = cut.x0; x < cut.x1; x++)
        std::copy_n(other.data + (y * ow_ + x) * c_, c_, own.data + (y * ow_ + x) * own.stride);
    if (!cut.empty()) return;
    const int64_t run = own.stride == c_ ? oh_ * ow_ : 1;
    for (int64_t p = 0; p < oh_ * ow_; p += run)
      kernels_.blend(o.mix[i], other.data + p * c_, run * c_, own.data + p * own.stride);
  }

  Attributes a_;
  const AugmentKernels& kernels_;
  int64_t ih_, iw_, c_, oh_, ow_;
  bool reflects_;
};

}  // namespace

DL_DEFINE_OP(augment, Augment)

}  // namespace dl
