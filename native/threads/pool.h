// The worker threads of the process. Work is cut into items by shape alone, so which thread takes an item
// never shows in a result.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace dl {

/// A pool of `threads` threads, the caller among them. One job at a time, from one caller at a time.
class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const noexcept { return static_cast<int>(shares_.size()); }

  /// Calls `body(item, thread)` once for every item in [0, items), on up to `limit` threads; returns when all
  /// are done. `thread` is in [0, limit). Each thread begins with an equal range of the items, the same one
  /// in every call of as many, for what it wrote in the last call is in its own cache; then it takes over
  /// from others. Calls one after the other cost about 1 µs each, waking a thread about 5.
  template <class Body>
  void parallel_for(int64_t items, int limit, Body&& body) {
    using B = std::remove_reference_t<Body>;
    run(
        items, limit,
        [](void* context, int64_t item, int thread) { (*static_cast<B*>(context))(item, thread); },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Call = void (*)(void* context, int64_t item, int thread);
  void run(int64_t items, int limit, Call call, void* context);
  void work(int thread);
  void take_items(int thread);

  std::vector<std::thread> workers_;
  // The current job; written by the caller before `generation_` advances.
  Call call_ = nullptr;
  void* context_ = nullptr;
  int limit_ = 0;
  /// What is left of each thread's range.
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  std::vector<Share> shares_;
  alignas(64) std::atomic<uint32_t> generation_{0};
  alignas(64) std::atomic<int> busy_{0};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int> sleeping_{0};
};

}  // namespace dl
