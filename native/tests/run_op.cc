// See harness.h: one op run in guarded memory.
#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "base/buffer.h"
#include "base/checked.h"
#include "plan/op.h"
#include "tests/harness.h"

namespace dl::test {
namespace {

// Guard bytes: NaN around inputs, so that reading them shows in results; something else around outputs, so
// that copying a gap shows as well.
constexpr int kInputGuard = 0xFF;
constexpr int kOutputGuard = 0xA5;
constexpr int64_t kZone = 512;
constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();

/// An operand in guarded memory.
struct Operand {
  Value value;
  TensorSpec spec;
  Buffer memory;
  std::byte* data = nullptr;
  int guard = 0;

  int64_t item() const { return size_of(value.dtype); }
  std::byte* at(int64_t pixel, int64_t channel) const {
    return data + (pixel * spec.stride + channel) * item();
  }
  int64_t pixels() const { return value.channels() ? value.elements() / value.channels() : 0; }
};

Shape shape_of(const std::vector<int64_t>& dims) {
  require(dims.size() <= kMaxRank, "too many dimensions");
  Shape shape;
  shape.rank = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), shape.dims.begin());
  return shape;
}

void write_item(DType dtype, std::byte* to, double x) {
  if (dtype == DType::f32) {
    float v = static_cast<float>(x);
    std::memcpy(to, &v, 4);
  } else if (dtype == DType::i32) {
    int32_t v = static_cast<int32_t>(x);
    std::memcpy(to, &v, 4);
  } else {
    *to = static_cast<std::byte>(static_cast<uint8_t>(x));
  }
}

double read_item(DType dtype, const std::byte* from) {
  if (dtype == DType::u8) return static_cast<double>(*from);
  if (dtype == DType::i32) {
    int32_t v;
    std::memcpy(&v, from, 4);
    return v;
  }
  float v;
  std::memcpy(&v, from, 4);
  return v;
}

/// `position`: among the operands, each of which has a gap of its own.
Operand place(const Value& value, const Layout& layout, int64_t position, bool output) {
  Operand operand;
  operand.value = value;
  operand.guard = output ? kOutputGuard : kInputGuard;
  operand.spec.dtype = value.dtype;
  operand.spec.shape = shape_of(value.shape);
  if (value.counted) {
    operand.spec.shape[0] += layout.spare_rows;
    operand.spec.count = 0;
  }
  operand.spec.stride = operand.spec.shape.channels() +
                        (value.strided && value.shape.size() > 1 ? layout.gap * (1 + position) : 0);
  int64_t bytes = operand.spec.shape.pixels() * operand.spec.stride * operand.item();
  operand.memory = Buffer(static_cast<size_t>(round_up(bytes, 64) + 2 * kZone + 64));
  std::memset(operand.memory.data(), operand.guard, operand.memory.size());
  operand.data = operand.memory.data() + kZone + layout.shift * operand.item();
  for (int64_t p = 0; p < operand.pixels(); p++)
    for (int64_t c = 0; c < value.channels(); c++) {
      double x = output ? (value.dtype == DType::f32 ? kPoison : 77) : value[p * value.channels() + c];
      write_item(value.dtype, operand.at(p, c), x);
    }
  return operand;
}

Tensor tensor_of(const Operand& operand) {
  Tensor tensor;
  tensor.dtype = operand.value.dtype;
  tensor.shape = shape_of(operand.value.shape);
  tensor.stride = operand.spec.stride;
  tensor.data = operand.data;
  return tensor;
}

Value read_back(const Operand& operand) {
  Value value = operand.value;
  for (int64_t p = 0; p < operand.pixels(); p++)
    for (int64_t c = 0; c < value.channels(); c++)
      value[p * value.channels() + c] = read_item(value.dtype, operand.at(p, c));
  return value;
}

/// The first of `bytes` that is no longer `guard`; -1 if none. Most of what the tests do is looking at
/// guards.
int64_t first_changed(const std::byte* from, int64_t bytes, int guard) {
  const auto kept = static_cast<std::byte>(guard);
  if (bytes <= 0 || (from[0] == kept && std::memcmp(from, from + 1, static_cast<size_t>(bytes - 1)) == 0))
    return -1;
  return std::find_if(from, from + bytes, [&](std::byte b) { return b != kept; }) - from;
}

void check_guards(const Operand& operand, const std::string& what) {
  const std::byte* first = operand.memory.data();
  const int64_t pixel = operand.spec.stride * operand.item(),
                used = operand.value.channels() * operand.item();
  const int64_t start = operand.data - first, end = start + operand.pixels() * pixel;
  const int64_t after = static_cast<int64_t>(operand.memory.size()) - end;
  if (int64_t at = first_changed(first, start, operand.guard); at >= 0)
    return fail(nullptr, 0, text(what, ": wrote ", start - at, " bytes before the start"));
  if (int64_t at = first_changed(first + end, after, operand.guard); at >= 0)
    return fail(nullptr, 0, text(what, ": wrote ", at, " bytes after the last pixel of the run"));
  for (int64_t p = 0; p < operand.pixels(); p++) {
    const int64_t at = first_changed(operand.data + p * pixel + used, pixel - used, operand.guard);
    if (at >= 0)
      return fail(nullptr, 0, text(what, ": wrote between pixels, byte ", used + at, " of pixel ", p));
  }
}

/// Blocks of planned memory: NaN inside, guards around each.
struct Planned {
  Buffer memory;
  int64_t size = 0, stride = 0;
  int blocks = 0;

  Planned(int64_t bytes, int count) : size(bytes), stride(round_up(bytes, 64) + kZone), blocks(count) {
    memory = Buffer(static_cast<size_t>(kZone + stride * blocks));
    std::memset(memory.data(), kOutputGuard, memory.size());
    poison();
  }
  void poison() {
    for (int b = 0; b < blocks; b++)
      for (int64_t i = 0; i + 4 <= size; i += 4) std::memcpy(base() + b * stride + i, &kPoison, 4);
  }
  std::byte* base() const { return memory.data() + kZone; }
  void check(const std::string& what) const {
    bool changed = first_changed(memory.data(), kZone, kOutputGuard) >= 0;
    for (int b = 0; b < blocks; b++)
      changed = changed || first_changed(base() + b * stride + size, stride - size, kOutputGuard) >= 0;
    if (changed) fail(nullptr, 0, text(what, ": wrote outside of the ", size, " bytes that it asked for"));
  }
};

constexpr int kMaxThreads = 4;

Pool& pool() {
  static Pool instance(kMaxThreads);
  return instance;
}

}  // namespace

OpResult run_op(const OpCase& op, Isa isa, const Layout& layout) {
  std::vector<Operand> inputs, outputs;
  auto input_of = [&](size_t output) {
    for (auto [o, i] : op.aliases)
      if (o == static_cast<int>(output)) return i;
    return -1;
  };
  for (size_t i = 0; i < op.inputs.size(); i++)
    inputs.push_back(place(op.inputs[i], layout, static_cast<int64_t>(i), false));
  for (size_t o = 0; o < op.outputs.size(); o++) {
    const int64_t own = static_cast<int64_t>(op.inputs.size() + o);
    outputs.push_back(place(op.outputs[o], layout, input_of(o) < 0 ? own : input_of(o), true));
  }

  StepSpec spec{op.attributes, {}, {}, kernels_of(isa)};
  for (const auto& operand : inputs) spec.inputs.push_back(operand.spec);
  for (const auto& operand : outputs) spec.outputs.push_back(operand.spec);
  std::unique_ptr<Op> made = find_op(op.op).make(spec);

  std::vector<Tensor> in, out;
  for (const auto& operand : inputs) in.push_back(tensor_of(operand));
  for (const auto& operand : outputs) out.push_back(tensor_of(operand));
  for (size_t o = 0; o < out.size(); o++)
    if (int i = input_of(o); i >= 0) out[o].data = in[static_cast<size_t>(i)].data;

  const Needs needs = made->needs();
  Planned scratch(needs.scratch, layout.threads), workspace(needs.workspace, 1), derived(needs.derived, 1);
  Run run{in,     out,           workspace.base(), derived.base(), false, scratch.base(), scratch.stride,
          pool(), layout.threads};
  made->run(run);

  auto result_of = [&](size_t o) {
    int i = input_of(o);
    if (i < 0) return read_back(outputs[o]);
    Operand& shared = inputs[static_cast<size_t>(i)];
    std::swap(shared.value.shape, outputs[o].value.shape);
    Value value = read_back(shared);
    std::swap(shared.value.shape, outputs[o].value.shape);
    return value;
  };
  OpResult result;
  for (size_t o = 0; o < outputs.size(); o++) result.outputs.push_back(result_of(o));
  for (const auto& operand : inputs) result.inputs.push_back(read_back(operand));

  if (needs.derived > 0 && op.aliases.empty() && op.mutated.empty()) {
    // Only what is derived is kept between runs.
    workspace.poison();
    run.derived_fresh = true;
    made->run(run);
    for (size_t o = 0; o < outputs.size(); o++)
      compare_bytes(read_back(outputs[o]), result.outputs[o], text(op.op, " with derived_fresh, output ", o));
  }

  scratch.check(op.op + " scratch");
  workspace.check(op.op + " workspace");
  derived.check(op.op + " derived memory");
  for (size_t o = 0; o < outputs.size(); o++) check_guards(outputs[o], text(op.op, " output ", o));
  for (size_t i = 0; i < inputs.size(); i++) {
    check_guards(inputs[i], text(op.op, " input ", i));
    bool free = std::count(op.mutated.begin(), op.mutated.end(), static_cast<int>(i)) > 0;
    for (auto [o, alias] : op.aliases) free = free || alias == static_cast<int>(i);
    if (!free) compare_bytes(result.inputs[i], op.inputs[i], text(op.op, " changed input ", i));
  }
  return result;
}

void check_op(const OpCase& op, const std::vector<Value>& expected, double tolerance) {
  struct Named {
    const char* name;
    Layout layout;
  };
  const Named layouts[] = {{"dense", {}},
                           {"shifted by one element", {.shift = 1}},
                           {"gap of 3", {.gap = 3}},
                           {"gap of 16, shifted", {.gap = 16, .shift = 3}},
                           {"2 threads", {.threads = 2}},
                           {"3 threads", {.gap = 1, .threads = 3}},
                           {"4 threads", {.threads = 4}}};
  auto results = [&](Isa isa, const Layout& layout) {
    OpResult result = run_op(op, isa, layout);
    for (int i : op.mutated) result.outputs.push_back(result.inputs[static_cast<size_t>(i)]);
    return result.outputs;
  };
  auto label = [&](size_t o) { return text(op.op, " output ", o, " "); };
  for_each_isa([&](Isa isa) {
    std::vector<Value> first;
    for (const auto& [name, layout] : layouts) {
      Context context(name);
      auto got = results(isa, layout);
      if (first.empty()) {
        first = got;
        CHECK_EQ(got.size(), expected.size());
        for (size_t o = 0; o < got.size() && o < expected.size(); o++)
          compare(got[o], expected[o], tolerance, label(o));
      } else {
        for (size_t o = 0; o < got.size(); o++) compare_bytes(got[o], first[o], label(o));
      }
    }
    // More room in the plan may change the choice of blocks, so here only the values are compared.
    Context context("2 spare rows");
    auto got = results(isa, {.spare_rows = 2, .threads = 2});
    for (size_t o = 0; o < got.size() && o < expected.size(); o++)
      compare(got[o], expected[o], tolerance, label(o));
  });
}

}  // namespace dl::test
