// max_pool2d and adaptive_max_pool2d: the largest of each window and, for the gradient, where it was.
#include "kernels/kernels.h"
#include "ops/axis.h"
#include "ops/fused_activation.h"
#include "ops/image.h"

namespace dl {
namespace {

PoolRow row_of(const Axis& rows, const Axis& columns, int64_t o, int64_t channels, int64_t tap_row) {
  const int64_t first = rows.start[static_cast<size_t>(o)];
  return {.row_index = rows.index.data() + first,
          .row_tap = rows.tap.data() + first,
          .row_count = rows.count(o),
          .columns = {columns.start.data(), columns.index.data(), columns.tap.data()},
          .columns_count = columns.outputs(),
          .channels = channels,
          .tap_row = static_cast<int32_t>(tap_row)};
}

uint8_t* index_u8(const Tensor& t) {
  return t.dtype == DType::u8 ? t.u8() : nullptr;
}
int32_t* index_i32(const Tensor& t) {
  return t.dtype == DType::i32 ? t.i32() : nullptr;
}

/// The windows of one op: of max_pool2d, or the adaptive bins.
struct Windows {
  Axis rows, columns;
  /// The index of a tap is row · tap_row + column.
  int64_t tap_row;
  /// Largest index.
  int64_t last;
};

void require_index(const TensorSpec& index, const TensorSpec& like, int64_t last) {
  require(index.dtype == DType::i32 || (index.dtype == DType::u8 && last <= 255),
          "index: expected i32, or u8 for windows of up to 256 taps");
  require(same_shape(index.shape, like.shape) && index.count == like.count, "index: expected the shape of y");
}

/// in x; out y = act(the largest), and index where a gradient will want it
class MaxPool : public Op {
 public:
  MaxPool(const StepSpec& spec, Windows windows, const std::string& activation = "none")
      : windows_(std::move(windows)),
        activation_(fused_activation(activation, false)),
        kernels_(spec.kernels) {
    const bool index = spec.outputs.size() > 1;
    require_operands(spec, 1, index ? 2 : 1);
    const Image x = Image::of(spec.inputs[0]), y = Image::of(spec.outputs[0]);
    require_same_rows(spec.inputs[0], spec.outputs[0]);
    require(x.c == y.c && x.h == windows_.rows.inputs && x.w == windows_.columns.inputs &&
                y.h == windows_.rows.outputs() && y.w == windows_.columns.outputs(),
            "x and y do not fit");
    if (index) require_index(spec.outputs[1], spec.outputs[0], windows_.last);
    channels_ = x.c;
    const auto taps = static_cast<int64_t>(windows_.columns.index.size());
    grain_ = grain_of(taps * channels_ * std::max<int64_t>(1, windows_.rows.count(y.h / 2)));
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    const Tensor index = run.outputs.size() > 1 ? run.outputs[1] : Tensor{};
    const int64_t oh = windows_.rows.outputs(), ow = windows_.columns.outputs();
    const int64_t x_row = windows_.columns.inputs * x.stride;
    uint8_t* bytes = run.outputs.size() > 1 ? index_u8(index) : nullptr;
    int32_t* words = run.outputs.size() > 1 ? index_i32(index) : nullptr;
    run.parallel_blocks(x.shape[0] * oh, grain_, [&](int64_t begin, int64_t end, int) {
      for (int64_t item = begin; item < end; item++) {
        const int64_t n = item / oh, oy = item % oh, at = item * ow * index.stride;
        kernels_.pool.max(row_of(windows_.rows, windows_.columns, oy, channels_, windows_.tap_row),
                          x.f32() + n * windows_.rows.inputs * x_row, x_row, x.stride,
                          y.f32() + item * ow * y.stride, y.stride, bytes ? bytes + at : nullptr,
                          words ? words + at : nullptr, index.stride);
        if (activation_ != static_cast<int>(FusedActivation::none))
          activate(y.f32() + item * ow * y.stride, y.stride, ow);
      }
    });
  }

 private:
  /// Pixels that are still in the cache.
  void activate(float* y, int64_t stride, int64_t pixels) const {
    kernels_.conv.finish[activation_]({
        .y = y,
        .y_stride = stride,
        .residual = nullptr,
        .residual_stride = 0,
        .pixels = pixels,
        .columns = channels_,
    });
  }

  Windows windows_;
  /// Index in tables by FusedActivation.
  int activation_;
  int64_t channels_, grain_;
  const Kernels& kernels_;
};

/// in dy, index; out dx
class MaxPoolGrad : public Op {
 public:
  MaxPoolGrad(const StepSpec& spec, Windows windows)
      : rows_(windows.rows.transposed()),
        columns_(windows.columns.transposed()),
        tap_row_(windows.tap_row),
        kernels_(spec.kernels) {
    require_operands(spec, 2, 1);
    const Image dy = Image::of(spec.inputs[0]), dx = Image::of(spec.outputs[0]);
    require_same_rows(spec.inputs[0], spec.outputs[0]);
    require(dx.c == dy.c, "dx and dy differ in channels");
    require_index(spec.inputs[1], spec.inputs[0], windows.last);
    channels_ = dx.c;
    grain_ = grain_of(2 * dx.w * channels_);
  }
  void run(const Run& run) const override {
    const Tensor &dy = run.inputs[0], &index = run.inputs[1], &dx = run.outputs[0];
    const int64_t ih = rows_.outputs(), iw = columns_.outputs(), oh = rows_.inputs, ow = columns_.inputs;
    const uint8_t* bytes = index_u8(index);
    const int32_t* words = index_i32(index);
    run.parallel_blocks(dx.shape[0] * ih, grain_, [&](int64_t begin, int64_t end, int) {
      for (int64_t item = begin; item < end; item++) {
        const int64_t n = item / ih, iy = item % ih, at = n * oh * ow * index.stride;
        kernels_.pool.max_grad(row_of(rows_, columns_, iy, channels_, tap_row_),
                               dy.f32() + n * oh * ow * dy.stride, ow * dy.stride, dy.stride,
                               bytes ? bytes + at : nullptr, words ? words + at : nullptr, ow * index.stride,
                               index.stride, dx.f32() + item * iw * dx.stride, dx.stride);
      }
    });
  }

 private:
  Axis rows_, columns_;
  int64_t tap_row_, channels_, grain_;
  const Kernels& kernels_;
};

struct Window {
  std::array<int64_t, 2> kernel, stride, dilation;
  std::array<int64_t, 4> pad;

  template <class V>
  void visit(V&& visitor) {
    visitor("kernel", kernel);
    visitor("stride", stride);
    visitor("pad", pad);
    visitor("dilation", dilation);
  }
  Windows windows(const TensorSpec& x, const TensorSpec& y) const {
    auto axis = [&](int i) {
      const auto d = static_cast<size_t>(i);
      return window_axis(x.shape[1 + i], y.shape[1 + i], kernel[d], stride[d], pad[2 * d], dilation[d]);
    };
    return {axis(0), axis(1), kernel[1], kernel[0] * kernel[1] - 1};
  }
};

Windows bins(const TensorSpec& x, const TensorSpec& y) {
  return {adaptive_axis(x.shape[1], y.shape[1]), adaptive_axis(x.shape[2], y.shape[2]), x.shape[2],
          x.shape[1] * x.shape[2] - 1};
}

struct MaxPool2d : MaxPool {
  struct Attributes : Window {
    std::string activation = "none";

    template <class V>
    void visit(V&& v) {
      Window::visit(v);
      v("activation", activation);
    }
  };
  MaxPool2d(const Attributes& a, const StepSpec& spec)
      : MaxPool(spec, a.windows(first_input(spec), first_output(spec)), a.activation) {}
};

struct MaxPool2dGrad : MaxPoolGrad {
  using Attributes = Window;
  MaxPool2dGrad(const Attributes& a, const StepSpec& spec)
      : MaxPoolGrad(spec, a.windows(first_output(spec), first_input(spec))) {}
};

/// The index is the position h · width + w in the input.
struct AdaptiveMaxPool2d : MaxPool {
  using Attributes = NoAttributes;
  AdaptiveMaxPool2d(const Attributes&, const StepSpec& spec)
      : MaxPool(spec, bins(first_input(spec), first_output(spec))) {}
};

struct AdaptiveMaxPool2dGrad : MaxPoolGrad {
  using Attributes = NoAttributes;
  AdaptiveMaxPool2dGrad(const Attributes&, const StepSpec& spec)
      : MaxPoolGrad(spec, bins(first_output(spec), first_input(spec))) {}
};

}  // namespace

DL_DEFINE_OP(max_pool2d, MaxPool2d)
DL_DEFINE_OP(max_pool2d_grad, MaxPool2dGrad)
DL_DEFINE_OP(adaptive_max_pool2d, AdaptiveMaxPool2d)
DL_DEFINE_OP(adaptive_max_pool2d_grad, AdaptiveMaxPool2dGrad)

}  // namespace dl
