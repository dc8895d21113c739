// dropout: x rate[1] random[4 x i32: seed low, seed high, step, index of the first row] → y = x·mask/(1 -
// rate). Attribute `per`: what is kept or dropped as a whole: each element, the sample (stochastic depth), or
// each channel of a sample. The mask depends on the seed, the step, the row and the attribute `key` alone, so
// the op is its own gradient. The stream of a row (kernels/random/random.h): key = seed, counter = (·, row,
// step, key); element e of the sample, or channel e, takes word e, a sample word 0.
#include <string>

#include "kernels/kernels.h"
#include "ops/operands.h"
#include "ops/samples.h"

namespace dl {
namespace {

class Dropout : public Op {
 public:
  struct Attributes {
    int64_t key = 0;
    std::string per = "element";
    template <class V>
    void visit(V&& v) {
      v("key", key);
      v("per", per);
    }
  };
  Dropout(const Attributes& attributes, const StepSpec& spec)
      : key_(static_cast<uint32_t>(attributes.key)),
        per_(attributes.per),
        samples_(spec.inputs.at(0)),
        binary_(spec.kernels.binary),
        random_(spec.kernels.random) {
    require(attributes.key >= 0 && attributes.key <= UINT32_MAX, "dropout: key is not a 32-bit number");
    require(per_ == "element" || per_ == "sample" || per_ == "channel",
            "dropout: unknown per '" + per_ + "'");
    require_operands(spec, 3, 1);
    const TensorSpec& x = spec.inputs[0];
    require(x.shape.rank >= 2, "dropout: expected [n, ..., c], got " + to_string(x.shape));
    require_like(x, spec.outputs[0]);
    require_scalar(spec.inputs[1]);
    require_dense(spec.inputs[2], 4, DType::i32);
  }
  Needs needs() const override { return {.scratch = scratch_elements() * int64_t{sizeof(float)}}; }
  void run(const Run& run) const override {
    const Tensor& x = run.inputs[0];
    const double rate = static_cast<double>(*run.inputs[1].f32());
    const float scale = rate < 1 ? static_cast<float>(1 / (1 - rate)) : 0;
    const int32_t* random = run.inputs[2].i32();
    auto word = [&](int i) { return static_cast<uint32_t>(random[i]); };
    samples_.run(run, x.shape[0], [&](int64_t s, int thread) {
      const RandomStream stream{{word(0), word(1)}, {word(3) + static_cast<uint32_t>(s), word(2), key_}};
      sample(run, s, stream, static_cast<float>(rate), scale, run.scratch(thread));
    });
  }

 private:
  static constexpr int64_t kGroup = 64;
  static constexpr int64_t kChunk = 4096;
  int64_t scratch_elements() const {
    return per_ == "element" ? kChunk : round_up(samples_.channels(), kGroup);
  }

  void sample(const Run& run, int64_t s, const RandomStream& stream, float rate, float scale,
              float* factors) const {
    const Tensor &x = run.inputs[0], &y = run.outputs[0];
    const Block all = samples_.all(s);
    const int64_t c = samples_.channels();
    if (per_ == "channel") {
      random_.dropout(stream, 0, ceil_div(c, kGroup), rate, scale, factors);
      binary_.scale_channels(all.in(x), factors, all.out(y), all.rows, c);
      return;
    }
    if (per_ == "sample") {
      random_.dropout(stream, 0, 1, rate, scale, factors);
      binary_.scale(all.in(x), factors[0], all.out(y), all.rows, c);
      return;
    }
    const In from = all.in(x);
    const Out to = all.out(y);
    const int64_t elements = all.rows * c;
    for (int64_t begin = 0; begin < elements; begin += kChunk) {
      const int64_t end = std::min(elements, begin + kChunk);
      random_.dropout(stream, static_cast<uint32_t>(begin / kGroup), ceil_div(end - begin, kGroup), rate,
                      scale, factors);
      // The chunk as runs of channels; all of it is one where both tensors are dense.
      const bool dense = x.dense() && y.dense();
      for (int64_t e = begin; e < end;) {
        const int64_t pixel = dense ? 0 : e / c, channel = e - pixel * c;
        const int64_t count = dense ? end - e : std::min(c - channel, end - e);
        binary_.multiply({from.data + pixel * from.stride + channel, 0}, {factors + (e - begin), 0},
                         {to.data + pixel * to.stride + channel, 0}, 1, count);
        e += count;
      }
    }
  }

  uint32_t key_;
  std::string per_;
  Samples samples_;
  const BinaryKernels& binary_;
  const RandomKernels& random_;
};

}  // namespace

DL_DEFINE_OP(dropout, Dropout)

}  // namespace dl
