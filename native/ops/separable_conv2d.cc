// separable_conv2d: a depthwise convolution and a pointwise one behind it, with or without a pointwise one
// before: y = project(depthwise(shuffle(expand(x)))) + residual, each with a bias, a norm with constant
// statistics and an activation, the pointwise ones of groups or not. For evaluation: what lies between them
// never leaves the cache.
//
// An item is a block of images or of rows of one image, in bands that fit the second-level cache: expand the
// rows that the band reads and does not have yet (in a ring, for neighbouring bands share rows), filter them,
// project. Where weights are many and pixels few the weights are what has to be read: items then share them
// out. With an expansion they are slices of the expanded channels, and the parts of the sums are added in the
// end; without one, or with a small one, they are parts of the columns, and each filters all channels, which
// costs little. Channels are shuffled by weights alone: they stay where they are, the filter's weights are
// put in their order, and the projection reads them as they lie.
#include <algorithm>
#include <numeric>

#include "base/carve.h"
#include "kernels/kernels.h"
#include "ops/channel_shuffle.h"
#include "ops/depthwise_rows.h"
#include "ops/folded_weights.h"
#include "ops/fused_activation.h"
#include "ops/pointwise.h"

namespace dl {
namespace {

/// Of a band: what it reads, what lies between the convolutions, and what it writes.
constexpr int64_t kBandBytes = 384 << 10;
/// Of outputs in a band at least: each band reads all weights.
constexpr int64_t kBandPixels = 96;
constexpr int64_t kMostSlices = 4;
/// Weights for each output from which on items share the weights and not the pixels.
constexpr int64_t kWeightsPerOutput = 6;
/// Pixels whose parts are added at a time.
constexpr int64_t kPixelsAdded = 32;
/// Items for each thread, unless there are fewer images.
constexpr int64_t kItemsPerThread = 4;

constexpr const char* kExpandNames[] = {"expandBias", "expandNorm", "expandEpsilon", "expandAffine"};
constexpr const char* kDepthwiseNames[] = {"bias", "norm", "epsilon", "affine"};
constexpr const char* kProjectNames[] = {"projectBias", "projectNorm", "projectEpsilon", "projectAffine"};

/// What items share out: pixels alone or, where weights are many, slices of the expanded channels or columns
/// of the projection too.
enum class Sharing { pixels, slices, columns };

class SeparableConv2d final : public Op {
 public:
  struct Attributes {
    /// Of the depthwise convolution.
    std::array<int64_t, 2> stride{1, 1};
    std::array<int64_t, 4> pad{};
    std::array<int64_t, 2> dilation{1, 1};
    bool expands = false;
    FoldedWeightsAttributes expand, depthwise, project;
    std::string expand_activation = "none", activation = "none", project_activation = "none";
    int64_t expand_groups = 1, project_groups = 1;
    /// Groups in which the channels are shuffled before the depthwise convolution.
    int64_t shuffle = 1;
    bool residual = false;

    template <class V>
    void visit(V&& v) {
      v("stride", stride);
      v("pad", pad);
      v("dilation", dilation);
      v("expand", expands);
      expand.visit(v, kExpandNames);
      v("expandActivation", expand_activation);
      v("expandGroups", expand_groups);
      v("shuffle", shuffle);
      depthwise.visit(v, kDepthwiseNames);
      v("activation", activation);
      project.visit(v, kProjectNames);
      v("projectGroups", project_groups);
      v("projectActivation", project_activation);
      v("residual", residual);
    }
  };

  /// Inputs: x, those of the expansion, of the depthwise convolution and of the projection
  /// (folded_weights.h), residual.
  SeparableConv2d(const Attributes& a, const StepSpec& spec)
      : kernels_(spec.kernels),
        expands_(a.expands),
        residual_(a.residual),
        expand_weights_(a.expands ? a.expand : FoldedWeightsAttributes{}, spec, 1),
        depthwise_weights_(a.depthwise, spec, 1 + (a.expands ? expand_weights_.inputs() : 0)),
        project_weights_(a.project, spec,
                         1 + (a.expands ? expand_weights_.inputs() : 0) + depthwise_weights_.inputs()),
        shape_(depthwise_shape(a, spec)),
        channels_(shape_.ic),
        sliding_(sliding_forward(shape_)),
        taps_(sliding_.phases[0], channels_),
        shuffle_(checked_groups(a.shuffle, {channels_})),
        expand_(
            kernels_, spec.inputs[0].shape.channels(), channels_,
            a.expands ? checked_groups(a.expand_groups, {spec.inputs[0].shape.channels(), channels_}) : 1),
        project_(kernels_, channels_, spec.outputs[0].shape.channels(),
                 checked_groups(a.project_groups, {channels_, spec.outputs[0].shape.channels()}), shuffle_),
        expand_activation_(fused_activation(a.expand_activation, false)),
        activation_(fused_activation(a.activation, false)),
        project_activation_(fused_activation(a.project_activation, false)),
        bounds_(activation_),
        sharing_(sharing(a, spec)),
        slices_(sharing_ == Sharing::slices
                    ? std::min(kMostSlices, ceil_div(channels_, int64_t{kernels_.gemm.panel}))
                    : 1),
        stride_(copied_stride(round_up(
            std::min(channels_,
                     ceil_div(ceil_div(channels_, kernels_.gemm.panel), slices_) * kernels_.gemm.panel),
            kernels_.lanes))) {
    const TensorSpec &x = spec.inputs[0], &y = spec.outputs.at(0);
    const size_t inputs =
        (a.expands ? expand_weights_.inputs() : 0) + depthwise_weights_.inputs() + project_weights_.inputs();
    require_operands(spec, 1 + inputs + a.residual, 1);
    require_type(x, DType::f32);
    require_type(y, DType::f32);
    const auto fits = [](const FoldedWeights& w, int64_t channels, int64_t columns, int64_t groups) {
      return w.rows() * groups == channels && w.columns() == columns;
    };
    require((a.expands ? fits(expand_weights_, x.shape.channels(), channels_, a.expand_groups)
                       : x.shape.channels() == channels_) &&
                fits(project_weights_, channels_, y.shape.channels(), a.project_groups),
            "separable_conv2d: weights do not fit the channels");
    if (a.residual) require_like(spec.inputs.back(), y);

    const int64_t before = (x.shape.channels() + (expands_ ? stride_ : 0)) * int64_t{sizeof(float)};
    const int64_t after = (stride_ + y.shape.channels()) * int64_t{sizeof(float)};
    const int64_t image = shape_.ih * shape_.iw * before + shape_.oh * shape_.ow * after;
    images_ =
        std::clamp(std::max(kBandBytes / image, kBandPixels / (shape_.oh * shape_.ow)), int64_t{1}, shape_.n);
    rows_ = shape_.oh;
    if (image > kBandBytes) {
      const int64_t row = sliding_.step[0] * shape_.iw * before + shape_.ow * after;
      const int64_t halo = (sliding_.window_rows(1) - sliding_.step[0]) * shape_.iw * before;
      const int64_t most =
          std::clamp(std::max((kBandBytes - halo) / row, kBandPixels / shape_.ow), int64_t{1}, shape_.oh);
      rows_ = ceil_div(shape_.oh, ceil_div(shape_.oh, most));
    }
    ring_ = rows_ == shape_.oh ? images_ * shape_.ih : std::min(shape_.ih, sliding_.window_rows(rows_));
  }

  Needs needs() const override {
    Needs needs;
    needs.scratch = scratch(nullptr).bytes;
    needs.workspace = workspace(nullptr).bytes;
    needs.derived = derived(nullptr).bytes;
    return needs;
  }

  void run(const Run& run) const override {
    const Workspace shared = workspace(run.workspace);
    const Derived packed = derived(run.derived);
    if (!run.derived_fresh) derive(run, shared, packed);
    const int64_t n = run.inputs[0].shape[0];
    const Blocks blocks = this->blocks(n, run.threads);
    const int64_t shares = this->shares(run.threads);
    run.parallel_for(blocks.count() * shares, [&](int64_t item, int thread) {
      const int64_t i = item % shares;
      Job job{
          .run = run,
          .packed = packed,
          .scratch = scratch(run.scratch<std::byte>(thread)),
          .part = nullptr,
          .channels = {0, channels_},
          .columns = {0, project_weights_.columns()},
      };
      if (sharing_ == Sharing::slices) {
        job.channels = panels(channels_, shares, i);
        if (i > 0) job.part = shared.parts + (i - 1) * part_floats();
      }
      if (sharing_ == Sharing::columns) job.columns = panels(project_weights_.columns(), shares, i);
      compute(job, blocks.at(item / shares));
    });
    if (slices_ > 1) add_parts(run, shared.parts);
  }

 private:
  /// Some whole images, or some rows of outputs of one.
  struct Block {
    Range images, rows;
  };
  struct Blocks {
    int64_t n, height, image_blocks, row_blocks;
    int64_t count() const { return image_blocks * row_blocks; }
    Block at(int64_t i) const {
      const int64_t image = i / row_blocks, row = i % row_blocks;
      return {{cut(n, image_blocks, image), cut(n, image_blocks, image + 1)},
              {cut(height, row_blocks, row), cut(height, row_blocks, row + 1)}};
    }
  };
  struct Derived {
    float* expand;
    /// Unused where they are those that are given.
    float* depthwise;
    float* bias;
    float* project;
    int64_t bytes;
  };
  struct Workspace {
    /// Sums of the slices behind the first: [slice - 1][pixel][column].
    float* parts;
    /// While weights are folded.
    float* weights;
    float* bias;
    float* scale;
    int64_t bytes;
  };
  struct Scratch {
    const float** lines;
    float* zeros;
    Pointwise::Rows* pixels;
    float* expanded;
    float* filtered;
    int64_t bytes;
  };
  struct Job {
    const Run& run;
    const Derived& packed;
    Scratch scratch;
    /// Sums of a slice behind the first, else null: they go to the output.
    float* part;
    /// Expanded channels, and columns of the projection.
    Range channels, columns;
  };

  /// The shape of the depthwise convolution alone, checked.
  static Conv2dShape depthwise_shape(const Attributes& a, const StepSpec& spec) {
    const TensorSpec &x = spec.inputs[0], &y = spec.outputs.at(0);
    const size_t at = 1 + (a.expands ? FoldedWeights(a.expand, spec, 1).inputs() : 0);
    TensorSpec from = x, to = y;
    require(x.shape.rank == 4 && y.shape.rank == 4, "separable_conv2d: images need rank 4");
    const int64_t channels = spec.inputs[at].shape.channels();
    from.shape[3] = to.shape[3] = channels;
    return conv2d_shape({a.stride, a.pad, a.dilation, channels, false}, from, spec.inputs[at], to);
  }

  static int64_t checked_groups(int64_t groups, std::initializer_list<int64_t> channels) {
    const bool divide =
        groups > 0 && std::ranges::all_of(channels, [&](int64_t c) { return c % groups == 0; });
    require(divide, "separable_conv2d: groups must divide the channels");
    return groups;
  }

  Sharing sharing(const Attributes& a, const StepSpec& spec) const {
    // Groups would have to be shared out each by itself.
    if (a.expand_groups * a.project_groups * a.shuffle > 1) return Sharing::pixels;
    const int64_t weights =
        (expands_ ? expand_weights_.rows() * channels_ : 0) + channels_ * project_weights_.columns();
    if (weights < kWeightsPerOutput * spec.outputs[0].shape.elements()) return Sharing::pixels;
    return expands_ && channels_ > kernels_.gemm.panel ? Sharing::slices : Sharing::columns;
  }
  /// Items for each block.
  int64_t shares(int threads) const {
    if (sharing_ != Sharing::columns) return slices_;
    return std::min<int64_t>(threads, ceil_div(project_weights_.columns(), int64_t{kernels_.gemm.panel}));
  }

  /// The i-th of `parts` parts of so many channels, whole panels.
  Range panels(int64_t channels, int64_t parts, int64_t i) const {
    const int64_t panel = kernels_.gemm.panel, count = ceil_div(channels, panel);
    return {cut(count, parts, i) * panel, std::min(cut(count, parts, i + 1) * panel, channels)};
  }

  /// More threads than images share the rows of an image. What comes out does not depend on it.
  Blocks blocks(int64_t n, int threads) const {
    const int64_t enough = kItemsPerThread * threads;
    if (sharing_ == Sharing::columns) return {n, shape_.oh, ceil_div(n, images_), 1};
    if (sharing_ == Sharing::slices || n >= enough) {
      // As many for each thread.
      const int64_t most = std::min(images_, std::max<int64_t>(1, n / enough));
      return {n, shape_.oh, std::min(n, round_up(ceil_div(n, most), threads)), 1};
    }
    return {n, shape_.oh, n, std::min(shape_.oh, threads / std::gcd(n, int64_t{threads}))};
  }

  Derived derived(std::byte* base) const {
    Carve carve(base);
    Derived d;
    d.expand = carve.take<float>(expands_ ? expand_.floats() : 0);
    d.depthwise = carve.take<float>(filter_prepares() ? depthwise_weights_.rows() * channels_ : 0);
    d.bias = carve.take<float>(filter_prepares() && depthwise_weights_.has_bias() ? channels_ : 0);
    d.project = carve.take<float>(project_.floats());
    d.bytes = carve.used();
    return d;
  }
  Workspace workspace(std::byte* base) const {
    Carve carve(base);
    Workspace w;
    w.parts = carve.take<float>((slices_ - 1) * part_floats());
    w.weights = carve.take<float>(std::max(
        {expands_ ? expand_weights_.floats() : 0, depthwise_weights_.floats(), project_weights_.floats()}));
    const int64_t vector = std::max(channels_, project_weights_.columns());
    w.bias = carve.take<float>(vector);
    w.scale = carve.take<float>(vector);
    w.bytes = carve.used();
    return w;
  }
  int64_t part_floats() const { return shape_.n * shape_.oh * shape_.ow * project_weights_.columns(); }
  Scratch scratch(std::byte* base) const {
    Carve carve(base);
    Scratch s;
    s.lines = carve.take<const float*>(taps_.row_count() + 1);
    s.zeros = carve.take<float>(channels_);
    s.pixels = carve.take<Pointwise::Rows>(1);
    s.expanded = carve.take<float>(expands_ ? ring_ * shape_.iw * stride_ : 0);
    s.filtered = carve.take<float>(images_ * rows_ * shape_.ow * stride_);
    s.bytes = carve.used();
    return s;
  }

  void derive(const Run& run, const Workspace& shared, const Derived& to) const {
    const auto with = [&](const FoldedWeights& of, auto&& prepare) {
      if (of.folds()) of.fold(run, shared.scale, shared.weights, shared.bias);
      prepare(of.folds() ? shared.weights : of.weights(run), of.folds() ? shared.bias : of.bias(run));
    };
    if (expands_)
      with(expand_weights_, [&](const float* w, const float* b) { expand_.pack(w, b, to.expand); });
    if (filter_prepares()) {
      with(depthwise_weights_, [&](const float* w, const float* b) {
        const int64_t inverse = channels_ / shuffle_;
        for (int64_t tap = 0; tap < depthwise_weights_.rows(); tap++)
          shuffle_channels(w + tap * channels_, to.depthwise + tap * channels_, channels_, inverse);
        if (b) shuffle_channels(b, to.bias, channels_, inverse);
      });
    }
    with(project_weights_, [&](const float* w, const float* b) { project_.pack(w, b, to.project); });
  }
  /// Whether the filter has other weights than those that are given.
  bool filter_prepares() const { return depthwise_weights_.folds() || shuffle_ > 1; }

  // ---- a block, band by band

  void compute(const Job& job, const Block& block) const {
    std::fill_n(job.scratch.zeros, channels_, 0.0f);
    const bool whole = rows_ == shape_.oh && block.rows.size() == shape_.oh;
    const int64_t first = block.images.begin * shape_.ih;
    // Rows are counted over all images. Of one image a band expands what those before it have not.
    int64_t expanded = first;
    for (int64_t row = block.rows.begin; row < block.rows.end; row += rows_) {
      const Range rows{row, std::min(row + rows_, block.rows.end)};
      if (expands_) {
        Range needed{first, block.images.end * shape_.ih};
        if (!whole) needed = {first + source_begin(rows), first + source_end(rows)};
        needed.begin = std::max(needed.begin, expanded);
        expand(job, needed, first);
        expanded = std::max(expanded, needed.end);
      }
      filter(job, block.images, rows);
      project(job, block.images, rows);
    }
  }
  int64_t source_begin(Range rows) const {
    return std::clamp<int64_t>(rows.begin * sliding_.step[0] + sliding_.dh_min, 0, shape_.ih);
  }
  int64_t source_end(Range rows) const {
    return std::clamp<int64_t>((rows.end - 1) * sliding_.step[0] + sliding_.dh_max + 1, 0, shape_.ih);
  }

  void expand(const Job& job, Range rows, int64_t first) const {
    const Tensor& x = job.run.inputs[0];
    const int64_t all = x.stride == x.channels() ? x.pixels() : 0;
    for (int64_t begin = rows.begin, end = begin; begin < rows.end; begin = end) {
      const int64_t place = (begin - first) % ring_;
      end = std::min(rows.end, begin + ring_ - place);
      expand_.multiply(
          {
              .x = x.f32() + begin * shape_.iw * x.stride,
              .x_stride = x.stride,
              .channel = 0,
              .channels = x.channels(),
              .y = job.scratch.expanded + place * shape_.iw * stride_,
              .y_stride = stride_,
              .column = job.channels.begin,
              .columns = job.channels.size(),
              .pixels = (end - begin) * shape_.iw,
              .bias = expand_weights_.has_bias(),
              .residual = nullptr,
              .residual_stride = 0,
              .activation = expand_activation_,
              .cached = true,
              .next = std::max<int64_t>(0, all - end * shape_.iw),
          },
          job.packed.expand, *job.scratch.pixels);
    }
  }

  void filter(const Job& job, Range images, Range rows) const {
    const Tensor& x = job.run.inputs[0];
    const int64_t channel = job.channels.begin;
    const bool prepared = filter_prepares();
    const float* weights = prepared ? job.packed.depthwise : depthwise_weights_.weights(job.run);
    const float* bias =
        prepared && depthwise_weights_.has_bias() ? job.packed.bias : depthwise_weights_.bias(job.run);
    const int64_t stride = expands_ ? stride_ : x.stride;
    DepthwiseRow row{
        .source = job.scratch.lines,
        .tap_rows = taps_.row_count(),
        .offset = taps_.columns.data(),
        .tap_columns = static_cast<int64_t>(taps_.columns.size()),
        .step = sliding_.step[1],
        .source_width = shape_.iw,
        .source_stride = stride,
        .weights = weights + channel,
        .weight = taps_.weights.data(),
        .channels = job.channels.size(),
        .y = job.scratch.filtered,
        .y_stride = stride_,
        .rows = 1,
        .y_row = shape_.ow * stride_,
        .columns = shape_.ow,
        .bias = bias ? bias + channel : nullptr,
        .low = bounds_.low,
        .high = bounds_.high,
        .prefetch = nullptr,
        .zeros = job.scratch.zeros,
    };
    // Few enough, for a band lies in the cache.
    const int64_t together = rows_together(taps_, sliding_, 1, shape_.ow, 0);
    /// Row `at` of an image.
    const auto line = [&](int64_t image, int64_t at) {
      if (!expands_) return x.f32() + (image * shape_.ih + at) * shape_.iw * stride + channel;
      return job.scratch.expanded + ((image - images.begin) * shape_.ih + at) % ring_ * shape_.iw * stride;
    };
    for (int64_t image = images.begin; image < images.end; image++) {
      for (int64_t q = rows.begin; q < rows.end; q += row.rows) {
        row.rows = std::min(together, rows.end - q);
        const int64_t first = q * sliding_.step[0];
        taps_.for_source_rows(first, row.rows, [&](int64_t i, int64_t at) {
          job.scratch.lines[i] = at >= 0 && at < shape_.ih ? line(image, at) : nullptr;
        });
        // What comes next in x is fetched; the ring is in the cache.
        if (!expands_) {
          const int64_t next = first + row.rows * sliding_.step[0] + taps_.rows.back();
          row.prefetch = next >= 0 ? line(image, next) : nullptr;
        }
        kernels_.depthwise.row[0](row);
        row.y += row.rows * row.y_row;
      }
    }
    if (bounds_.is_all) return;
    kernels_.conv.finish[activation_]({
        .y = job.scratch.filtered,
        .y_stride = stride_,
        .residual = nullptr,
        .residual_stride = 0,
        .pixels = images.size() * rows.size() * shape_.ow,
        .columns = job.channels.size(),
    });
  }

  void project(const Job& job, Range images, Range rows) const {
    const Tensor &y = job.run.outputs[0], &residual = job.run.inputs.back();
    const int64_t pixel = (images.begin * shape_.oh + rows.begin) * shape_.ow;
    const bool whole = sharing_ != Sharing::slices;
    const int64_t column = job.columns.begin, stride = job.part ? y.channels() : y.stride;
    project_.multiply(
        {
            .x = job.scratch.filtered,
            .x_stride = stride_,
            .channel = job.channels.begin,
            .channels = job.channels.size(),
            .y = (job.part ? job.part : y.f32()) + pixel * stride + column,
            .y_stride = stride,
            .column = column,
            .columns = job.columns.size(),
            .pixels = images.size() * rows.size() * shape_.ow,
            .bias = !job.part && project_weights_.has_bias(),
            .residual = whole && residual_ ? residual.f32() + pixel * residual.stride + column : nullptr,
            .residual_stride = residual.stride,
            .activation = whole ? project_activation_ : static_cast<int>(FusedActivation::none),
            .cached = false,
        },
        job.packed.project, *job.scratch.pixels);
  }

  void add_parts(const Run& run, const float* parts) const {
    const Tensor &y = run.outputs[0], &residual = run.inputs.back();
    const int64_t columns = y.channels();
    run.parallel_blocks(y.pixels(), kPixelsAdded, [&](int64_t begin, int64_t end, int) {
      const auto add = [&](const float* other, int64_t stride, int activation) {
        kernels_.conv.finish[activation]({
            .y = y.f32() + begin * y.stride,
            .y_stride = y.stride,
            .residual = other,
            .residual_stride = stride,
            .pixels = end - begin,
            .columns = columns,
        });
      };
      const int none = static_cast<int>(FusedActivation::none);
      for (int64_t s = 1; s < slices_; s++) {
        const bool last = s == slices_ - 1 && !residual_;
        add(parts + (s - 1) * part_floats() + begin * columns, columns, last ? project_activation_ : none);
      }
      if (residual_) add(residual.f32() + begin * residual.stride, residual.stride, project_activation_);
    });
  }

  const Kernels& kernels_;
  const bool expands_, residual_;
  /// Of the expansion only where there is one.
  const FoldedWeights expand_weights_, depthwise_weights_, project_weights_;
  /// Of the depthwise convolution, and its channels.
  const Conv2dShape shape_;
  const int64_t channels_;
  const Sliding sliding_;
  const TapGrid taps_;
  const int64_t shuffle_;
  const Pointwise expand_, project_;
  const int expand_activation_, activation_, project_activation_;
  const Bounds bounds_;
  const Sharing sharing_;
  /// Of the expanded channels.
  const int64_t slices_;
  /// Floats from a pixel of a band to the next.
  const int64_t stride_;
  /// Of a band: images, or rows of outputs; and the rows of the expanded image that are kept.
  int64_t images_, rows_, ring_;
};

}  // namespace

DL_DEFINE_OP(separable_conv2d, SeparableConv2d)

}  // namespace dl
