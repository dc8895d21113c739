// See resample.h.
#include "ops/resample.h"

#include "kernels/kernels.h"

namespace dl {

Resample::Resample(const StepSpec& spec, Axis rows, Axis columns)
    : rows_(std::move(rows)), columns_(std::move(columns)), kernels_(spec.kernels) {
  require_operands(spec, 1, 1);
  const Image x = Image::of(spec.inputs[0]), y = Image::of(spec.outputs[0]);
  require_same_rows(spec.inputs[0], spec.outputs[0]);
  require(x.c == y.c && x.h == rows_.inputs && x.w == columns_.inputs && y.h == rows_.outputs() &&
              y.w == columns_.outputs(),
          "input and output do not fit");
  channels_ = x.c;
  const auto links = static_cast<int64_t>(rows_.index.size()) / std::max<int64_t>(1, y.h);
  const auto taps = static_cast<int64_t>(columns_.index.size());
  grain_ = grain_of((links * x.w + taps) * channels_);
}

void Resample::run(const Run& run) const {
  const Tensor &x = run.inputs[0], &y = run.outputs[0];
  const int64_t oh = rows_.outputs(), iw = columns_.inputs, ow = columns_.outputs();
  const int64_t x_row = iw * x.stride, y_row = ow * y.stride;
  run.parallel_blocks(x.shape[0] * oh, grain_, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t item = begin; item < end; item++) {
      const int64_t n = item / oh, oy = item % oh, first = rows_.start[static_cast<size_t>(oy)];
      const ResampleRow row{.row_index = rows_.index.data() + first,
                            .row_weight = rows_.weight.data() + first,
                            .row_count = rows_.count(oy),
                            .column_start = columns_.start.data(),
                            .column_index = columns_.index.data(),
                            .column_weight = columns_.weight.data(),
                            .iw = iw,
                            .ow = ow,
                            .channels = channels_};
      kernels_.resample.row(row, x.f32() + n * rows_.inputs * x_row, x_row, x.stride, y.f32() + item * y_row,
                            y.stride, run.scratch(thread));
    }
  });
}

}  // namespace dl
