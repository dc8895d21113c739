// concat, slice_channels, copy: moving pixels between tensors. (Where a producer can write into its slice of
// a concatenation, the plan has no such step.)
#include "ops/image.h"

namespace dl {
namespace {

/// Copies channels [begin, begin + count) of `from` to channel `to_begin` of `to`.
void copy_channels(const Run& run, const Tensor& to, int64_t to_begin, const Tensor& from, int64_t begin,
                   int64_t count) {
  const int64_t item = size_of(to.dtype), to_step = to.stride * item, from_step = from.stride * item;
  std::byte* target = bytes_of(to) + to_begin * item;
  const std::byte* source = bytes_of(from) + begin * item;
  run.parallel_blocks(to.pixels(), grain_of(count), [&](int64_t first, int64_t last, int) {
    copy_pixels(target + first * to_step, to_step, source + first * from_step, from_step, count * item,
                last - first);
  });
}

void require_same_pixels(const TensorSpec& a, const TensorSpec& b) {
  Shape x = a.shape, y = b.shape;
  require(x.rank > 0 && x.rank == y.rank && a.dtype == b.dtype && a.count == b.count,
          "operands differ in kind");
  x[x.rank - 1] = y[y.rank - 1] = 1;
  require(same_shape(x, y),
          "operands differ in pixels: " + to_string(a.shape) + " and " + to_string(b.shape));
}

/// in a, b, ...; out y: their channels one after the other
class Concat : public Op {
 public:
  using Attributes = NoAttributes;
  Concat(const Attributes&, const StepSpec& spec) {
    int64_t channels = 0;
    for (const auto& input : spec.inputs) {
      require_same_pixels(input, first_output(spec));
      channels += input.shape.channels();
    }
    require(channels == first_output(spec).shape.channels(),
            "channels of the inputs do not add up to the output's");
  }
  void run(const Run& run) const override {
    int64_t begin = 0;
    for (const Tensor& input : run.inputs) {
      copy_channels(run, run.outputs[0], begin, input, 0, input.channels());
      begin += input.channels();
    }
  }
};

/// in x; out y = channels [begin, end) of x
class SliceChannels : public Op {
 public:
  struct Attributes {
    int64_t begin, end;
    template <class V>
    void visit(V&& visitor) {
      visitor("begin", begin);
      visitor("end", end);
    }
  };
  SliceChannels(const Attributes& a, const StepSpec& spec) : begin_(a.begin), count_(a.end - a.begin) {
    require_operands(spec, 1, 1);
    require_same_pixels(spec.inputs[0], spec.outputs[0]);
    require(a.begin >= 0 && a.begin <= a.end && a.end <= spec.inputs[0].shape.channels() &&
                count_ == spec.outputs[0].shape.channels(),
            "the slice does not fit the operands");
  }
  void run(const Run& run) const override {
    copy_channels(run, run.outputs[0], 0, run.inputs[0], begin_, count_);
  }

 private:
  int64_t begin_, count_;
};

/// in x; out y: the same with another stride
class Copy : public Op {
 public:
  using Attributes = NoAttributes;
  Copy(const Attributes&, const StepSpec& spec) {
    require_operands(spec, 1, 1);
    const TensorSpec &x = spec.inputs[0], &y = spec.outputs[0];
    require(x.dtype == y.dtype && x.count == y.count && same_shape(x.shape, y.shape),
            "operands differ in kind");
  }
  void run(const Run& run) const override {
    copy_channels(run, run.outputs[0], 0, run.inputs[0], 0, run.inputs[0].channels());
  }
};

}  // namespace

DL_DEFINE_OP(concat, Concat)
DL_DEFINE_OP(slice_channels, SliceChannels)
DL_DEFINE_OP(copy, Copy)

}  // namespace dl
