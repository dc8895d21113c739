// The N-API surface: decode, check, queue, settle. No arithmetic, no op names.
// Worker threads never see a JavaScript value: feeds are copied in and results copied out, so nothing that
// JavaScript does to its buffers during a run (detach, shrink, collect) can matter.
#include <napi.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

#include "base/buffer.h"
#include "base/error.h"
#include "isa/isa.h"
#include "kernels/kernels.h"
#include "plan/engine.h"
#include "plan/executable.h"
#include "plan/store.h"

namespace {

using dl::require;

// ---- Environment ----------------------------------------------------------------------------------------

/// What one Node environment owns. It outlives the environment until its last run has ended.
struct Environment {
  napi_threadsafe_function settle = nullptr;
  int pending = 0;  // JavaScript thread only
  std::mutex mutex;
  std::condition_variable idle;
  int running = 0;
  bool closing = false;
  std::vector<std::weak_ptr<dl::Executable>> executables;
};

/// The engine is held here and not by Environment, which jobs hold too: its last owner must not be its own
/// thread.
struct AddonData {
  std::shared_ptr<Environment> environment;
  std::shared_ptr<dl::Engine> engine = dl::Engine::instance();
};

// ---- Errors ---------------------------------------------------------------------------------------------

Napi::Error to_js(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", code);
  return error;
}

/// Runs a verb; what the engine throws becomes a JavaScript error with the same code.
template <class Verb>
Napi::Value guarded(const Napi::CallbackInfo& info, Verb verb) {
  try {
    return verb();
  } catch (const dl::Error& error) {
    throw to_js(info.Env(), error.code(), error.what());
  } catch (const std::bad_alloc&) {
    throw to_js(info.Env(), "E_MEMORY", "out of memory");
  } catch (const std::out_of_range&) {  // an op asked for an operand that its step does not have
    throw to_js(info.Env(), "E_PLAN", "an operand is missing");
  } catch (const std::length_error&) {
    throw to_js(info.Env(), "E_MEMORY", "more than any memory holds");
  }
}

[[noreturn]] void bad_argument(const std::string& where, const char* expected) {
  throw dl::Error("E_ARGUMENT", where + ": expected " + expected);
}

// ---- Handles --------------------------------------------------------------------------------------------

template <class T>
struct Handle {
  std::shared_ptr<T> value;
};

constexpr napi_type_tag kStoreTag{0x646c636f75727365, 0x73746f7265000001};
constexpr napi_type_tag kArenaTag{0x646c636f75727365, 0x6172656e61000001};
constexpr napi_type_tag kExecutableTag{0x646c636f75727365, 0x6578656375746501};

template <class T>
Napi::Value make_handle(Napi::Env env, std::shared_ptr<T> value, const napi_type_tag& tag) {
  auto external = Napi::External<Handle<T>>::New(env, new Handle<T>{std::move(value)},
                                                 [](Napi::Env, Handle<T>* handle) { delete handle; });
  external.TypeTag(&tag);
  return external;
}

template <class T>
Handle<T>& handle_of(Napi::Value value, const napi_type_tag& tag, const char* what) {
  if (!value.IsExternal()) bad_argument("handle", what);
  auto external = value.As<Napi::External<Handle<T>>>();
  if (!external.CheckTypeTag(&tag)) bad_argument("handle", what);
  return *external.Data();
}

template <class T>
std::shared_ptr<T> held(Napi::Value value, const napi_type_tag& tag, const char* what) {
  auto& handle = handle_of<T>(value, tag, what);
  if (!handle.value) throw dl::Error("E_DISPOSED", std::string(what) + " has been disposed of");
  return handle.value;
}

std::shared_ptr<dl::Store> store_of(Napi::Value v) {
  return held<dl::Store>(v, kStoreTag, "a store");
}
std::shared_ptr<dl::Arena> arena_of(Napi::Value v) {
  return held<dl::Arena>(v, kArenaTag, "an arena");
}
std::shared_ptr<dl::Executable> executable_of(Napi::Value v) {
  return held<dl::Executable>(v, kExecutableTag, "a compiled plan");
}

// ---- Decoding -------------------------------------------------------------------------------------------

std::string text(Napi::Value value, const std::string& where) {
  if (!value.IsString()) bad_argument(where, "a string");
  return value.As<Napi::String>().Utf8Value();
}

int64_t integer(Napi::Value value, const std::string& where) {
  if (!value.IsNumber()) bad_argument(where, "a whole number");
  double number = value.As<Napi::Number>().DoubleValue();
  if (!(std::abs(number) <= 9007199254740991.0) || number != std::floor(number))
    bad_argument(where, "a whole number");
  return static_cast<int64_t>(number);
}

int index(Napi::Value value, const std::string& where) {
  int64_t number = integer(value, where);
  if (number < -1 || number > 0x3fffffff) bad_argument(where, "an index");
  return static_cast<int>(number);
}

Napi::Object object(Napi::Value value, const std::string& where) {
  if (!value.IsObject() || value.IsArray() || value.IsFunction()) bad_argument(where, "an object");
  return value.As<Napi::Object>();
}

Napi::Array array(Napi::Value value, const std::string& where) {
  if (!value.IsArray()) bad_argument(where, "an array");
  return value.As<Napi::Array>();
}

template <class Decode>
auto list(Napi::Value value, const std::string& where, Decode decode) {
  Napi::Array items = array(value, where);
  std::vector<decltype(decode(Napi::Value(), where))> out;
  out.reserve(items.Length());
  for (uint32_t i = 0; i < items.Length(); i++) {
    Napi::HandleScope scope(items.Env());
    out.push_back(decode(items.Get(i), where));
  }
  return out;
}

std::vector<int> indices(Napi::Value value, const std::string& where) {
  return list(value, where, index);
}
std::vector<int64_t> integers(Napi::Value value, const std::string& where) {
  return list(value, where, integer);
}

dl::DType dtype_of(Napi::Value value, const std::string& where) {
  std::string name = text(value, where);
  if (name == "f32") return dl::DType::f32;
  if (name == "i32") return dl::DType::i32;
  if (name == "u8") return dl::DType::u8;
  bad_argument(where, "one of f32, i32, u8");
}

dl::Shape shape_of(Napi::Value value, const std::string& where) {
  auto dims = integers(value, where);
  if (dims.size() > dl::kMaxRank) bad_argument(where, "at most 6 dimensions");
  dl::Shape shape;
  shape.rank = static_cast<int>(dims.size());
  int64_t elements = 1;
  for (size_t i = 0; i < dims.size(); i++) {
    shape.dims[i] = dims[i];
    elements = dl::checked_mul(elements, dims[i]);
  }
  return shape;
}

dl::Attributes attributes_of(Napi::Value value, const std::string& where) {
  dl::Attributes attributes;
  Napi::Object source = object(value, where);
  Napi::Array names = source.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); i++) {
    std::string name = text(names.Get(i), where);
    Napi::Value field = source.Get(name);
    std::string path = where + "." + name;
    if (field.IsNumber()) {
      attributes[name] = field.As<Napi::Number>().DoubleValue();
    } else if (field.IsBoolean()) {
      attributes[name] = field.As<Napi::Boolean>().Value();
    } else if (field.IsString()) {
      attributes[name] = field.As<Napi::String>().Utf8Value();
    } else if (field.IsArray()) {
      attributes[name] = list(field, path, [](Napi::Value item, const std::string& at) {
        if (!item.IsNumber()) bad_argument(at, "numbers");
        return item.As<Napi::Number>().DoubleValue();
      });
    } else {
      bad_argument(path, "a number, string, boolean or list of numbers");
    }
  }
  return attributes;
}

dl::PlanTensor tensor_of(Napi::Value value, const std::string& where) {
  Napi::Object source = object(value, where);
  dl::PlanTensor tensor;
  tensor.spec.dtype = dtype_of(source.Get("dtype"), where + ".dtype");
  tensor.spec.shape = shape_of(source.Get("shape"), where + ".shape");
  tensor.spec.count = index(source.Get("count"), where + ".count");
  tensor.spec.stride = integer(source.Get("stride"), where + ".stride");
  std::string place = text(source.Get("place"), where + ".place");
  if (place == "arena") {
    tensor.place = dl::Place::arena;
  } else if (place == "state") {
    tensor.place = dl::Place::state;
  } else if (place == "feed") {
    tensor.place = dl::Place::feed;
  } else {
    bad_argument(where + ".place", "one of arena, state, feed");
  }
  tensor.offset = integer(source.Get("offset"), where + ".offset");
  return tensor;
}

dl::PlanStep step_of(Napi::Value value, const std::string& where) {
  Napi::Object source = object(value, where);
  dl::PlanStep step;
  step.op = text(source.Get("op"), where + ".op");
  std::string at = where + " (" + step.op + ")";
  step.attributes = attributes_of(source.Get("attributes"), at);
  step.inputs = indices(source.Get("inputs"), at + ".inputs");
  step.outputs = indices(source.Get("outputs"), at + ".outputs");
  step.workspace = integer(source.Get("workspace"), at + ".workspace");
  step.derived = integer(source.Get("derived"), at + ".derived");
  return step;
}

dl::PlanSegment segment_of(Napi::Value value, const std::string& where) {
  Napi::Object source = object(value, where);
  dl::PlanSegment segment;
  segment.name = text(source.Get("name"), where + ".name");
  segment.begin = index(source.Get("begin"), where + ".begin");
  segment.end = index(source.Get("end"), where + ".end");
  segment.guard = index(source.Get("guard"), where + ".guard");
  segment.changes_state = source.Get("changesState").ToBoolean();
  return segment;
}

dl::PlanPort port_of(Napi::Value value, const std::string& where) {
  Napi::Object source = object(value, where);
  return {text(source.Get("name"), where + ".name"), index(source.Get("tensor"), where + ".tensor")};
}

dl::Plan plan_of(Napi::Value value) {
  Napi::Object source = object(value, "plan");
  dl::Plan plan;
  plan.counts = integers(source.Get("counts"), "plan.counts");
  plan.state = list(source.Get("state"), "plan.state", text);
  plan.tensors = list(source.Get("tensors"), "plan.tensors", tensor_of);
  plan.steps = list(source.Get("steps"), "plan.steps", step_of);
  plan.segments = list(source.Get("segments"), "plan.segments", segment_of);
  plan.feeds = list(source.Get("feeds"), "plan.feeds", port_of);
  plan.results = list(source.Get("results"), "plan.results", port_of);
  plan.arena_bytes = integer(source.Get("arenaBytes"), "plan.arenaBytes");
  plan.feed_bytes = integer(source.Get("feedBytes"), "plan.feedBytes");
  plan.derived_bytes = integer(source.Get("derivedBytes"), "plan.derivedBytes");
  return plan;
}

/// The bytes of a typed array of the given type. A detached or out-of-bounds array has length 0.
struct Bytes {
  const std::byte* data;
  size_t size;
};

Bytes typed_bytes(Napi::Value value, dl::DType dtype, const std::string& where) {
  if (!value.IsTypedArray()) bad_argument(where, "a typed array");
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  napi_status status = napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr);
  if (status != napi_ok) bad_argument(where, "a readable typed array");
  bool right = (dtype == dl::DType::f32 && type == napi_float32_array) ||
               (dtype == dl::DType::i32 && type == napi_int32_array) ||
               (dtype == dl::DType::u8 && (type == napi_uint8_array || type == napi_uint8_clamped_array));
  if (!right) {
    bad_argument(where, dtype == dl::DType::f32   ? "a Float32Array"
                        : dtype == dl::DType::i32 ? "an Int32Array"
                                                  : "a Uint8Array");
  }
  return {static_cast<const std::byte*>(data), length * static_cast<size_t>(dl::size_of(dtype))};
}

Napi::Value typed_array(Napi::Env env, dl::DType dtype, const void* data, size_t bytes) {
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, bytes);
  if (bytes > 0) std::memcpy(buffer.Data(), data, bytes);
  size_t length = bytes / static_cast<size_t>(dl::size_of(dtype));
  if (dtype == dl::DType::f32) return Napi::Float32Array::New(env, length, buffer, 0);
  if (dtype == dl::DType::i32) return Napi::Int32Array::New(env, length, buffer, 0);
  return Napi::Uint8Array::New(env, length, buffer, 0);
}

/// The elements of a tensor without the gaps between its pixels.
std::vector<std::byte> dense_copy(const dl::Tensor& tensor) {
  auto size = static_cast<size_t>(dl::size_of(tensor.dtype));
  auto row = static_cast<size_t>(tensor.channels()) * size;
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.elements()) * size);
  for (int64_t p = 0; p < tensor.pixels(); p++) {
    std::memcpy(bytes.data() + static_cast<size_t>(p) * row,
                static_cast<const std::byte*>(tensor.data) + static_cast<size_t>(p * tensor.stride) * size,
                row);
  }
  return bytes;
}

const dl::Kernels& kernels_named(Napi::Value value) {
  return dl::kernels_of(value.IsUndefined() ? dl::default_isa() : dl::parse_isa(text(value, "isa")));
}

// ---- Verbs: what is here --------------------------------------------------------------------------------

Napi::Value info(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Napi::Env env = info.Env();
    Napi::Object out = Napi::Object::New(env);
    out.Set("protocol", 6);
    Napi::Array isas = Napi::Array::New(env);
    for (dl::Isa isa : dl::supported_isas()) isas.Set(isas.Length(), dl::name_of(isa));
    out.Set("isas", isas);
    out.Set("isa", dl::name_of(dl::default_isa()));
    out.Set("hardwareThreads", std::max(1u, std::thread::hardware_concurrency()));
    out.Set("liveBytes", static_cast<double>(dl::Buffer::live_bytes()));
    out.Set("peakBytes", static_cast<double>(dl::Buffer::peak_bytes()));
    return out;
  });
}

Napi::Value ops(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Napi::Object out = Napi::Object::New(info.Env());
    for (const dl::OpInfo& op : dl::op_list()) {
      Napi::Array names = Napi::Array::New(info.Env());
      for (const std::string& name : op.attributes) names.Set(names.Length(), name);
      out.Set(op.name, names);
    }
    return out;
  });
}

// ---- Verbs: state ---------------------------------------------------------------------------------------

Napi::Value create_store(const Napi::CallbackInfo& info) {
  return guarded(info, [&] { return make_handle(info.Env(), std::make_shared<dl::Store>(), kStoreTag); });
}

Napi::Value create_arena(const Napi::CallbackInfo& info) {
  return guarded(info, [&] { return make_handle(info.Env(), std::make_shared<dl::Arena>(), kArenaTag); });
}

/// (store, name, dtype, shape)
Napi::Value define_state(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    store_of(info[0])->define(text(info[1], "name"), dtype_of(info[2], "dtype"), shape_of(info[3], "shape"));
    return info.Env().Undefined();
  });
}

/// (store, name, target)
Napi::Value alias_state(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    store_of(info[0])->alias(text(info[1], "name"), text(info[2], "target"));
    return info.Env().Undefined();
  });
}

std::shared_ptr<dl::Store> idle_store(Napi::Value value) {
  auto store = store_of(value);
  if (store->in_flight > 0) throw dl::Error("E_BUSY", "the store is in use by a run; await it first");
  return store;
}

/// (store, name) -> typed array, a copy
Napi::Value read_state(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    auto store = idle_store(info[0]);
    const dl::Store::Entry& entry = store->at(text(info[1], "name"));
    return typed_array(info.Env(), entry.dtype, entry.memory->data(), entry.bytes());
  });
}

/// (store, name, typed array)
Napi::Value write_state(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    auto store = idle_store(info[0]);
    const dl::Store::Entry& entry = store->at(text(info[1], "name"));
    Bytes bytes = typed_bytes(info[2], entry.dtype, entry.name);
    if (bytes.size != entry.bytes()) {
      throw dl::Error("E_ARGUMENT", entry.name + ": expected " + std::to_string(entry.bytes()) +
                                        " bytes, got " + std::to_string(bytes.size));
    }
    if (bytes.size > 0) std::memcpy(entry.memory->data(), bytes.data, bytes.size);
    store->touch();
    return info.Env().Undefined();
  });
}

/// (handle): gives its memory back as soon as no run needs it.
Napi::Value dispose(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    Napi::Value value = info[0];
    if (!value.IsExternal()) bad_argument("handle", "a handle of this addon");
    auto external = value.As<Napi::External<void>>();
    if (external.CheckTypeTag(&kStoreTag)) {
      handle_of<dl::Store>(value, kStoreTag, "a store").value.reset();
    } else if (external.CheckTypeTag(&kArenaTag)) {
      handle_of<dl::Arena>(value, kArenaTag, "an arena").value.reset();
    } else if (external.CheckTypeTag(&kExecutableTag)) {
      handle_of<dl::Executable>(value, kExecutableTag, "a compiled plan").value.reset();
    } else {
      bad_argument("handle", "a handle of this addon");
    }
    return info.Env().Undefined();
  });
}

// ---- Verbs: plans ---------------------------------------------------------------------------------------

/// (plan without places, isa?) -> [{scratch, workspace, derived}]: bytes that each step asks the planner for.
Napi::Value requirements(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    dl::Plan plan = plan_of(info[0]);
    auto needs = dl::requirements(plan, kernels_named(info[1]));
    Napi::Array out = Napi::Array::New(info.Env(), needs.size());
    for (size_t i = 0; i < needs.size(); i++) {
      Napi::HandleScope scope(info.Env());
      Napi::Object need = Napi::Object::New(info.Env());
      need.Set("scratch", static_cast<double>(needs[i].scratch));
      need.Set("workspace", static_cast<double>(needs[i].workspace));
      need.Set("derived", static_cast<double>(needs[i].derived));
      out.Set(static_cast<uint32_t>(i), need);
    }
    return out;
  });
}

/// (plan, store, arena, {isa?, threads?}) -> compiled plan
Napi::Value compile(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    auto store = store_of(info[1]);
    auto arena = arena_of(info[2]);
    Napi::Object options = object(info[3], "options");
    int64_t threads = integer(options.Get("threads"), "options.threads");
    if (threads < 1 || threads > 1024) bad_argument("options.threads", "1 to 1024");
    auto executable = std::make_shared<dl::Executable>(
        plan_of(info[0]), store, arena, kernels_named(options.Get("isa")), static_cast<int>(threads));
    auto& environment = *info.Env().GetInstanceData<AddonData>()->environment;
    {
      std::lock_guard lock(environment.mutex);
      std::erase_if(environment.executables, [](const auto& weak) { return weak.expired(); });
      environment.executables.push_back(executable);
    }
    return make_handle(info.Env(), executable, kExecutableTag);
  });
}

/// The way of a queued job back to JavaScript.
struct Completion {
  explicit Completion(Napi::Env env)
      : deferred(env), environment(env.GetInstanceData<AddonData>()->environment) {}
  virtual ~Completion() = default;
  /// On the JavaScript thread: settles the promise. May throw a JavaScript error.
  virtual void settle(Napi::Env env) = 0;
  Napi::Promise::Deferred deferred;
  std::shared_ptr<Environment> environment;
};

void settle(napi_env raw_env, napi_value, void*, void* data) {
  std::unique_ptr<Completion> completion(static_cast<Completion*>(data));
  if (raw_env == nullptr) return;  // the environment is gone
  Napi::Env env(raw_env);
  Napi::HandleScope scope(env);
  Environment& environment = *completion->environment;
  if (--environment.pending == 0) napi_unref_threadsafe_function(raw_env, environment.settle);
  try {
    try {
      completion->settle(env);
    } catch (const Napi::Error& error) {
      completion->deferred.Reject(error.Value());
    }
  } catch (const Napi::Error&) {
    // A thread that is being stopped runs no JavaScript any more: nobody waits for the promise.
  }
}

/// Queues `job(pool, completion)`; the promise settles after it. The job may not throw.
template <class C, class Job>
Napi::Promise queue(Napi::Env env, int threads, std::unique_ptr<C> completion, Job job) {
  auto environment = completion->environment;
  Napi::Promise promise = completion->deferred.Promise();
  if (environment->pending++ == 0) napi_ref_threadsafe_function(env, environment->settle);
  {
    std::lock_guard lock(environment->mutex);
    environment->running++;
  }
  // The raw pointer is freed by settle(), which also runs for an environment that has gone.
  C* raw = completion.release();
  env.GetInstanceData<AddonData>()->engine->submit(
      threads, [raw, job = std::move(job)](dl::Pool& pool) mutable {
        auto environment = raw->environment;
        job(pool, *raw);
        napi_status status = napi_call_threadsafe_function(environment->settle, static_cast<Completion*>(raw),
                                                           napi_tsfn_nonblocking);
        if (status != napi_ok) delete raw;
        std::lock_guard lock(environment->mutex);
        environment->running--;
        environment->idle.notify_all();
      });
  return promise;
}

struct RunCompletion : Completion {
  using Completion::Completion;
  dl::Outcome outcome = dl::Outcome::done;
  std::vector<std::string> names;
  std::vector<dl::DType> dtypes;
  std::vector<std::vector<std::byte>> results;
  std::vector<int64_t> times;
  bool timed = false;

  void settle(Napi::Env env) override {
    if (outcome == dl::Outcome::cancelled) {
      deferred.Reject(to_js(env, "E_CANCELLED", "the run was cancelled").Value());
      return;
    }
    Napi::Object out = Napi::Object::New(env);
    out.Set("complete", outcome == dl::Outcome::done);
    Napi::Object copies = Napi::Object::New(env);
    for (size_t i = 0; i < names.size(); i++) {
      copies.Set(names[i], typed_array(env, dtypes[i], results[i].data(), results[i].size()));
    }
    out.Set("results", copies);
    if (timed) {
      Napi::Array nanoseconds = Napi::Array::New(env, times.size());
      for (size_t i = 0; i < times.size(); i++) {
        nanoseconds.Set(static_cast<uint32_t>(i), static_cast<double>(times[i]));
      }
      out.Set("nanoseconds", nanoseconds);
    }
    deferred.Resolve(out);
  }
};

/// (compiled plan, {counts, segments, feeds, timed?}) -> Promise<{complete, results, nanoseconds?}>
/// `complete` is false when a guard refused a segment. Results are the plan's, copied out after the last
/// segment.
Napi::Value run(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Napi::Env env = info.Env();
    auto executable = executable_of(info[0]);
    const dl::Plan& plan = executable->plan();
    Napi::Object request = object(info[1], "request");

    auto counts = integers(request.Get("counts"), "request.counts");
    if (counts.size() != plan.counts.size())
      bad_argument("request.counts", "one value for each count of the plan");
    for (size_t i = 0; i < counts.size(); i++) {
      if (counts[i] < 1 || counts[i] > plan.counts[i]) {
        throw dl::Error("E_ARGUMENT", "request.counts: expected 1 to " + std::to_string(plan.counts[i]) +
                                          ", got " + std::to_string(counts[i]));
      }
    }
    auto segments = indices(request.Get("segments"), "request.segments");
    for (int segment : segments) {
      if (segment < 0 || segment >= static_cast<int>(plan.segments.size())) {
        bad_argument("request.segments", "indices of the plan's segments");
      }
    }

    const bool timed = request.Get("timed").ToBoolean();

    auto environment = env.GetInstanceData<AddonData>()->environment;
    if (environment->closing) throw dl::Error("E_CLOSING", "the environment is shutting down");

    int slot = executable->take_slot();
    if (slot < 0) throw dl::Error("E_BUSY", "two runs of this plan are under way; await one first");
    try {
      Napi::Object feeds = object(request.Get("feeds"), "request.feeds");
      for (const dl::PlanPort& feed : plan.feeds) {
        const dl::PlanTensor& tensor = plan.tensors[static_cast<size_t>(feed.tensor)];
        Bytes bytes = typed_bytes(feeds.Get(feed.name), tensor.spec.dtype, "feed " + feed.name);
        auto expected = static_cast<size_t>(executable->bytes_of(feed.tensor, counts));
        if (bytes.size != expected) {
          throw dl::Error("E_ARGUMENT", "feed " + feed.name + ": expected " + std::to_string(expected) +
                                            " bytes, got " + std::to_string(bytes.size));
        }
        if (expected > 0) std::memcpy(executable->slot(slot) + tensor.offset, bytes.data, expected);
      }
    } catch (...) {
      executable->free_slot(slot);
      throw;
    }

    auto completion = std::make_unique<RunCompletion>(env);
    completion->timed = timed;
    executable->store()->in_flight++;
    executable->arena()->in_flight++;
    int threads = executable->threads();
    return queue(env, threads, std::move(completion),
                 [executable, counts = std::move(counts), segments = std::move(segments), slot](
                     dl::Pool& pool, RunCompletion& done) mutable {
                   const dl::Plan& plan = executable->plan();
                   if (done.timed) done.times.assign(plan.steps.size(), 0);
                   done.outcome =
                       executable->run(segments, counts, slot, pool, done.timed ? &done.times : nullptr);
                   if (done.outcome != dl::Outcome::cancelled) {
                     for (const dl::PlanPort& port : plan.results) {
                       dl::Tensor tensor = executable->resolve(port.tensor, counts, slot);
                       done.names.push_back(port.name);
                       done.dtypes.push_back(tensor.dtype);
                       done.results.push_back(dense_copy(tensor));
                     }
                   }
                   executable->free_slot(slot);
                   executable->store()->in_flight--;
                   executable->arena()->in_flight--;
                   executable.reset();
                 });
  });
}

/// (compiled plan): the present run ends before its next step and rejects with E_CANCELLED.
Napi::Value cancel(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    executable_of(info[0])->cancel();
    return info.Env().Undefined();
  });
}

/// (compiled plan): lets runs start again after cancel().
Napi::Value resume(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    executable_of(info[0])->clear_cancel();
    return info.Env().Undefined();
  });
}

/// (compiled plan) -> steps that the present run has executed
Napi::Value progress(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    return Napi::Number::New(info.Env(), static_cast<double>(executable_of(info[0])->progress()));
  });
}

// ---- Verbs: the yardsticks ------------------------------------------------------------------------------

struct RateCompletion : Completion {
  using Completion::Completion;
  double rate = 0;
  void settle(Napi::Env env) override { deferred.Resolve(Napi::Number::New(env, rate)); }
};

/// What a yardstick is asked for: (isa | undefined, threads, seconds).
struct Yardstick {
  using Clock = std::chrono::steady_clock;

  explicit Yardstick(const Napi::CallbackInfo& info)
      : kernels(kernels_named(info[0]).peak), threads(integer(info[1], "threads")) {
    if (threads < 1 || threads > 1024) bad_argument("threads", "1 to 1024");
    if (!info[2].IsNumber()) bad_argument("seconds", "a number");
    seconds = info[2].As<Napi::Number>().DoubleValue();
    if (!(seconds > 0 && seconds <= 60)) bad_argument("seconds", "a number above 0 and up to 60");
    if (info.Env().GetInstanceData<AddonData>()->environment->closing) {
      throw dl::Error("E_CLOSING", "the environment is shutting down");
    }
  }

  template <class Work>
  static double time(Work work) {
    auto begin = Clock::now();
    work();
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }

  /// `amount` by the time that `work` takes at best, in units of 10⁹ a second: as with the repeats of a
  /// benchmark, the fastest counts.
  template <class Work>
  double rate(double amount, Work work) const {
    double best = 0;
    auto end = Clock::now() + std::chrono::duration<double>(seconds);
    do best = std::max(best, amount / time(work) / 1e9);
    while (Clock::now() < end);
    return best;
  }

  dl::PeakKernels kernels;
  int64_t threads;
  double seconds;
};

/// (isa | undefined, threads, seconds) -> Promise<GFLOP/s>: multiply-adds in registers on all threads at
/// once.
Napi::Value peak(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const Yardstick yardstick(info);
    return queue(info.Env(), static_cast<int>(yardstick.threads),
                 std::make_unique<RateCompletion>(info.Env()),
                 [yardstick](dl::Pool& pool, RateCompletion& done) {
                   const dl::PeakKernels& kernels = yardstick.kernels;
                   const int64_t threads = yardstick.threads;
                   std::atomic<float> sink{0};
                   int64_t rounds = 1000;
                   auto slice = [&] {
                     pool.parallel_for(threads, static_cast<int>(threads),
                                       [&](int64_t, int) { sink = kernels.fma(rounds); });
                   };
                   while (Yardstick::time(slice) < 2e-3) rounds *= 2;
                   done.rate = yardstick.rate(static_cast<double>(rounds * threads * kernels.flops), slice);
                 });
  });
}

/// Elements of each of the triad's three arrays: 64 MiB, beyond the caches of one core's share.
constexpr int64_t kTriadElements = int64_t{1} << 24;
constexpr int64_t kTriadItem = int64_t{1} << 16;

/// (isa | undefined, threads, seconds) -> Promise<GB/s>: bytes that the triad reads and writes, on all
/// threads at once. Throws E_MEMORY when the system has not that much.
Napi::Value bandwidth(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const Yardstick yardstick(info);
    auto arrays = std::make_shared<std::array<dl::Buffer, 3>>();
    for (dl::Buffer& array : *arrays) array = dl::Buffer(kTriadElements * sizeof(float));
    return queue(
        info.Env(), static_cast<int>(yardstick.threads), std::make_unique<RateCompletion>(info.Env()),
        [yardstick, arrays](dl::Pool& pool, RateCompletion& done) {
          float* streams[3];
          for (size_t i = 0; i < 3; i++) streams[i] = reinterpret_cast<float*>((*arrays)[i].data());
          auto pass = [&] {
            pool.parallel_for(
                kTriadElements / kTriadItem, static_cast<int>(yardstick.threads), [&](int64_t item, int) {
                  const int64_t at = item * kTriadItem;
                  yardstick.kernels.triad(streams[0] + at, streams[1] + at, streams[2] + at, kTriadItem);
                });
          };
          // Pages that nobody has written are one page of zeros: each array is written once.
          for (int i = 0; i < 3; i++) {
            pass();
            std::rotate(streams, streams + 1, streams + 3);
          }
          done.rate = yardstick.rate(3.0 * sizeof(float) * kTriadElements, pass);
        });
  });
}

// ---- Verbs: pictures ------------------------------------------------------------------------------------

/// (from: Uint8Array, to: Uint8Array, {vertical, line, size, channels, origin, first, count, weights}): one
/// direction of a picture's resampling (kernels/picture), at once. `line`: bytes from row to row of `from`,
/// whose first row or pixel is number `origin`; `size`: what the other direction keeps, bytes of a row or
/// rows.
Napi::Value resample(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const Napi::Object pass = object(info[2], "pass");
    const auto whole = [&](const char* name) {
      const int64_t value = integer(pass.Get(name), name);
      if (value < 0 || value > 0x7fffffff) bad_argument(name, "at least 0");
      return value;
    };
    const bool vertical = pass.Get("vertical").ToBoolean();
    const int64_t line = whole("line"), size = whole("size"), channels = whole("channels"),
                  origin = whole("origin");
    const Napi::Value values[] = {pass.Get("first"), pass.Get("count"), pass.Get("weights")};
    // From here on no code of JavaScript runs, which could take the memory away.
    const Bytes from = typed_bytes(info[0], dl::DType::u8, "from"),
                to = typed_bytes(info[1], dl::DType::u8, "to"),
                firsts = typed_bytes(values[0], dl::DType::i32, "first"),
                counts = typed_bytes(values[1], dl::DType::i32, "count"),
                weights = typed_bytes(values[2], dl::DType::i32, "weights");
    const auto* first = reinterpret_cast<const int32_t*>(firsts.data);
    const auto* count = reinterpret_cast<const int32_t*>(counts.data);
    const auto length = static_cast<int64_t>(firsts.size / 4);
    if (counts.size != firsts.size || length == 0 || weights.size % firsts.size != 0)
      bad_argument("pass", "as many counts as firsts, and equal shares of weights");
    if (channels != 1 && channels != 3) bad_argument("channels", "1 or 3");
    const auto stride = static_cast<int64_t>(weights.size / firsts.size);
    const auto given = static_cast<int64_t>(from.size);
    std::vector<int32_t> begin(static_cast<size_t>(length));
    int64_t end = 0;
    for (int64_t i = 0; i < length; i++) {
      const int64_t at = int64_t{first[i]} - origin;
      if (at < 0 || count[i] < 1 || count[i] > stride) bad_argument("pass", "neighbours that exist");
      begin[static_cast<size_t>(i)] = static_cast<int32_t>(at);
      end = std::max(end, at + count[i]);
    }
    // What is read of a row, the last one too.
    const int64_t rows = vertical ? end : size, row = vertical ? size : end * channels;
    if (row > line || (rows > 0 && dl::checked_mul(rows - 1, line) + row > given))
      bad_argument("from", "all neighbours");
    if (dl::checked_mul(length, vertical ? size : size * channels) != static_cast<int64_t>(to.size))
      bad_argument("to", "as many bytes as results");
    const dl::PictureTaps taps{begin.data(), count, reinterpret_cast<const int32_t*>(weights.data), stride,
                               length};
    const dl::PictureKernels& kernels = dl::kernels_of(dl::default_isa()).picture;
    const auto* source = reinterpret_cast<const uint8_t*>(from.data);
    auto* result = reinterpret_cast<uint8_t*>(const_cast<std::byte*>(to.data));
    if (vertical) {
      kernels.down(taps, source, line, size, result);
    } else {
      kernels.across(taps, source, line, size, channels, result);
    }
    return info.Env().Undefined();
  });
}

// ---- Start and end --------------------------------------------------------------------------------------

/// Before an environment goes, its runs are stopped: their threads must not call into it any more.
void close(void* data) {
  std::shared_ptr<Environment> environment = static_cast<AddonData*>(data)->environment;
  std::unique_lock lock(environment->mutex);
  environment->closing = true;
  for (const auto& weak : environment->executables) {
    if (auto executable = weak.lock()) executable->cancel();
  }
  environment->idle.wait(lock, [&] { return environment->running == 0; });
  napi_release_threadsafe_function(environment->settle, napi_tsfn_abort);
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* data = new AddonData{.environment = std::make_shared<Environment>()};
  Napi::String name = Napi::String::New(env, "dlcourse");
  napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr,
                                                       nullptr, settle, &data->environment->settle);
  if (status != napi_ok) throw to_js(env, "E_INTERNAL", "cannot create a thread-safe function");
  napi_unref_threadsafe_function(env, data->environment->settle);
  env.SetInstanceData(data);
  napi_add_env_cleanup_hook(env, close, data);

  const std::pair<const char*, Napi::Value (*)(const Napi::CallbackInfo&)> verbs[] = {
      {"info", info},
      {"ops", ops},
      {"createStore", create_store},
      {"createArena", create_arena},
      {"defineState", define_state},
      {"aliasState", alias_state},
      {"readState", read_state},
      {"writeState", write_state},
      {"dispose", dispose},
      {"requirements", requirements},
      {"compile", compile},
      {"run", run},
      {"cancel", cancel},
      {"resume", resume},
      {"progress", progress},
      {"peak", peak},
      {"bandwidth", bandwidth},
      {"resample", resample},
  };
  for (const auto& [verb, function] : verbs) exports.Set(verb, Napi::Function::New(env, function, verb));
  return exports;
}

}  // namespace

NODE_API_MODULE(dlcourse, init)
