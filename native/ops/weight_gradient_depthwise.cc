// The weight gradient of depthwise convolutions and of groups of four or eight channels. Pixels are cut into
// slabs by shape; each slab sums its own dw, a few rows at a time, and the sums are added in their order.
#include <algorithm>

#include "kernels/kernels.h"
#include "ops/convolution.h"

namespace dl {
namespace {

/// Pixels that a set of register sums goes over: enough that loading and storing the sums does not count.
constexpr int64_t kPixels = 32;
/// Elements of dy in a slab, at least, and slabs at most.
constexpr int64_t kSlab = int64_t{64} << 10;
constexpr int64_t kMostSlabs = 64;
/// Pixels whose source rows are normalised at a time, and strips of them at least.
constexpr int64_t kNormalizedPixels = 512;
constexpr int64_t kLeastStrips = 2;

class DepthwiseWeightGradient final : public WeightGradient {
 public:
  explicit DepthwiseWeightGradient(const WeightGradientSpec& spec)
      : spec_(spec),
        kernels_(spec.kernels),
        group_(spec.shape.ic_per_group()),
        channels_(spec.shape.ic),
        sliding_(sliding_forward(spec.shape)),
        kernel_(kernels_.depthwise.grad_weight[group_ / 4]),
        strip_(std::max<int64_t>(1, kPixels * ceil_div(spec.shape.ow, kDepthwiseGradColumns) /
                                        std::max<int64_t>(1, spec.shape.ow))),
        strips_(std::max(kLeastStrips, kNormalizedPixels / (strip_ * spec.shape.ow))) {
    for (int64_t k = 0; k < spec.shape.kw; k++)
      offsets_.push_back(k * spec.shape.attributes.dilation[1] - spec.shape.attributes.pad[2]);
  }

  Needs needs() const override {
    return {.scratch = spec_.prologue >= 0
                           ? sliding_.window_rows(std::min(strips_ * strip_, spec_.shape.oh)) *
                                 spec_.shape.iw * channels_ * int64_t{sizeof(float)}
                           : 0,
            .workspace = workspace(nullptr, slabs(spec_.shape.n)).bytes};
  }

  void run(const Run& run, const Tensor& x, const NormVectors& prologue, const Tensor& dy, float* dw,
           float* db) const override {
    const int64_t rows = x.shape[0] * spec_.shape.oh, count = slabs(x.shape[0]),
                  weights = spec_.shape.weights();
    const Workspace sums = workspace(run.workspace, count);
    run.parallel_for(count, [&](int64_t slab, int thread) {
      float* sum = count > 1 ? sums.weights + slab * weights : dw;
      std::fill_n(sum, weights, 0.0f);
      const int64_t begin = cut(rows, count, slab), end = cut(rows, count, slab + 1);
      // Strips do not cross images.
      for (int64_t row = begin; row < end;) {
        const int64_t image = row / spec_.shape.oh, image_end = (image + 1) * spec_.shape.oh;
        const int64_t next = std::min({row + strips_ * strip_, end, image_end});
        const Image source =
            spec_.prologue >= 0
                ? normalized(x, prologue, row, next, run.scratch(thread))
                : Image{x.f32() + image * spec_.shape.ih * spec_.shape.iw * x.stride, x.stride};
        for (; row < next; row += std::min(strip_, next - row))
          add_strip(source, dy, row, std::min(row + strip_, next), sum);
      }
      if (db) add_bias(dy, begin, end, sums.bias + slab * channels_);
    });
    if (count > 1) {
      constexpr int64_t kGrain = 4096;
      run.parallel_blocks(weights, kGrain, [&](int64_t begin, int64_t end, int) {
        kernels_.conv.add_parts(sums.weights + begin, weights, count, end - begin, dw + begin);
      });
    }
    if (db) join_bias(sums.bias, count, channels_, db);
  }

 private:
  struct Workspace {
    float* weights;
    double* bias;
    int64_t bytes;
  };
  Workspace workspace(std::byte* base, int64_t slabs) const {
    Carve carve(base);
    Workspace w;
    w.weights = carve.take<float>(slabs > 1 ? slabs * spec_.shape.weights() : 0);
    w.bias = carve.take<double>(spec_.bias ? slabs * channels_ : 0);
    w.bytes = carve.used();
    return w;
  }
  int64_t slabs(int64_t n) const {
    const int64_t rows = n * spec_.shape.oh, elements = rows * spec_.shape.ow * channels_;
    return std::clamp<int64_t>(elements / kSlab, 1, std::min(kMostSlabs, rows));
  }

  /// A source image: where its row 0 lies, or would lie, and floats from a pixel to the next.
  struct Image {
    const float* data;
    int64_t stride;
  };
  /// What output rows [begin, end) of one image read, by way of the prologue.
  Image normalized(const Tensor& x, const NormVectors& prologue, int64_t begin, int64_t end,
                   float* copy) const {
    const int64_t oh = spec_.shape.oh, top = begin % oh * sliding_.step[0] + sliding_.dh_min;
    return {normalized_rows(kernels_.conv, x, begin / oh, top, sliding_.window_rows(end - begin),
                            spec_.prologue, prologue, copy),
            channels_};
  }

  /// Rows of taps that meet a row of the source.
  struct TapRows {
    int64_t begin, end;
    bool operator==(const TapRows&) const = default;
  };
  TapRows tap_rows(int64_t oy) const {
    const auto& a = spec_.shape.attributes;
    const int64_t above = a.pad[0] - oy * a.stride[0], dilation = a.dilation[0];
    auto taps = [&](int64_t rows) {
      return std::min(ceil_div(std::max<int64_t>(rows, 0), dilation), spec_.shape.kh);
    };
    return {taps(above), taps(above + spec_.shape.ih)};
  }

  /// Output rows [begin, end) of one image, counted over all images: at a time those that the same taps meet.
  void add_strip(const Image& x, const Tensor& dy, int64_t begin, int64_t end, float* sum) const {
    const Conv2dShape& s = spec_.shape;
    const auto& a = s.attributes;
    const int64_t above = begin / s.oh * s.oh, line = s.iw * x.stride, dy_line = s.ow * dy.stride;
    for (int64_t row = begin, next; row < end; row = next) {
      const int64_t oy = row - above;
      const TapRows taps = tap_rows(oy);
      for (next = row + 1; next < end && tap_rows(next - above) == taps;) next++;
      if (taps.begin == taps.end) continue;
      kernel_({
          .source = x.data + (oy * a.stride[0] + taps.begin * a.dilation[0] - a.pad[0]) * line,
          .source_row = a.stride[0] * line,
          .tap_row = a.dilation[0] * line,
          .tap_rows = taps.end - taps.begin,
          .offset = offsets_.data(),
          .tap_columns = s.kw,
          .step = a.stride[1],
          .source_width = s.iw,
          .source_stride = x.stride,
          .dy = dy.f32() + row * dy_line,
          .dy_row = dy_line,
          .dy_stride = dy.stride,
          .rows = next - row,
          .columns = s.ow,
          .channels = channels_,
          .dw = sum + taps.begin * s.kw * group_ * channels_,
          .source_ahead = spec_.prologue < 0 ? strip_ * a.stride[0] * line : 0,
          .dy_ahead = strip_ * dy_line,
      });
    }
  }

  void add_bias(const Tensor& dy, int64_t begin, int64_t end, double* sum) const {
    std::fill_n(sum, channels_, 0.0);
    const int64_t first = begin * spec_.shape.ow, all = (end - begin) * spec_.shape.ow;
    const int64_t count = ceil_div(all, kPixelsAtOnce);
    for (int64_t i = 0; i < count; i++) {
      const int64_t from = first + cut(all, count, i), to = first + cut(all, count, i + 1);
      kernels_.conv.add_sums(dy.f32() + from * dy.stride, dy.stride, to - from, channels_, sum);
    }
  }

  const WeightGradientSpec spec_;
  const Kernels& kernels_;
  const int64_t group_, channels_;
  const Sliding sliding_;
  void (*const kernel_)(const DepthwiseGradRows&);
  /// Output rows that are summed in registers at a time, and so many times that are normalised at a time.
  const int64_t strip_, strips_;
  std::vector<int64_t> offsets_;
};

}  // namespace

std::unique_ptr<WeightGradient> make_depthwise_weight_gradient(const WeightGradientSpec& spec) {
  return std::make_unique<DepthwiseWeightGradient>(spec);
}

}  // namespace dl
