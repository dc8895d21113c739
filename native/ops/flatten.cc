// flatten, unflatten: between images and PyTorch's vectors, where the channel is the slowest index.
#include "ops/image.h"

namespace dl {
namespace {

void check(const TensorSpec& images, const TensorSpec& vectors) {
  const Image x = Image::of(images);
  require_same_rows(images, vectors);
  require_type(vectors, DType::f32);
  // Vectors have one pixel a row, however many dimensions of one the plan gives them.
  require(vectors.shape.channels() == x.h * x.w * x.c && vectors.shape.pixels() == x.n,
          "expected vectors of " + std::to_string(x.h * x.w * x.c) + " elements, got shape " +
              to_string(vectors.shape));
}

/// Channels that are moved together, so that a line is used while it is in the cache.
constexpr int64_t kTile = 16;

/// Calls move(pixel, channel) for all of an image in tiles.
template <class Move>
void tiles(int64_t pixels, int64_t channels, Move&& move) {
  for (int64_t p0 = 0; p0 < pixels; p0 += kTile)
    for (int64_t c0 = 0; c0 < channels; c0 += kTile)
      for (int64_t c = c0; c < std::min(c0 + kTile, channels); c++)
        for (int64_t p = p0; p < std::min(p0 + kTile, pixels); p++) move(p, c);
}

/// in x [n, h, w, c]; out y [n, c · h · w]: y[n, (c · h + y) · w + x]
class Flatten : public Op {
 public:
  using Attributes = NoAttributes;
  Flatten(const Attributes&, const StepSpec& spec) {
    require_operands(spec, 1, 1);
    check(spec.inputs[0], spec.outputs[0]);
  }
  void run(const Run& run) const override {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    const int64_t pixels = x.shape[1] * x.shape[2], c = x.channels();
    run.parallel_blocks(x.shape[0], grain_of(pixels * c), [&](int64_t begin, int64_t end, int) {
      for (int64_t n = begin; n < end; n++) {
        const float* from = x.f32() + n * pixels * x.stride;
        float* to = y.f32() + n * y.stride;
        tiles(pixels, c, [&](int64_t p, int64_t k) { to[k * pixels + p] = from[p * x.stride + k]; });
      }
    });
  }
};

/// in y [n, c · h · w]; out x [n, h, w, c]: the inverse of flatten, and so its gradient
class Unflatten : public Op {
 public:
  using Attributes = NoAttributes;
  Unflatten(const Attributes&, const StepSpec& spec) {
    require_operands(spec, 1, 1);
    check(spec.outputs[0], spec.inputs[0]);
  }
  void run(const Run& run) const override {
    const Tensor &y = run.inputs[0], &x = run.outputs[0];
    const int64_t pixels = x.shape[1] * x.shape[2], c = x.channels();
    run.parallel_blocks(x.shape[0], grain_of(pixels * c), [&](int64_t begin, int64_t end, int) {
      for (int64_t n = begin; n < end; n++) {
        const float* from = y.f32() + n * y.stride;
        float* to = x.f32() + n * pixels * x.stride;
        tiles(pixels, c, [&](int64_t p, int64_t k) { to[p * x.stride + k] = from[k * pixels + p]; });
      }
    });
  }
};

}  // namespace

DL_DEFINE_OP(flatten, Flatten)
DL_DEFINE_OP(unflatten, Unflatten)

}  // namespace dl
