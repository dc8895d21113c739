// The worker threads of the process. Which thread takes an item never shows in a result, nor does how many
// there are: sums are cut by shape alone, and where items follow the number of threads, each result is
// computed by one of them.
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
  bool has_new_job(uint64_t seen) const;
  bool join(uint64_t& seen);

  std::vector<std::thread> workers_;
  // The current job; written by the caller while the gate is closed and nobody is inside.
  Call call_ = nullptr;
  void* context_ = nullptr;
  int limit_ = 0;
  /// What is left of each thread's range.
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  std::vector<Share> shares_;
  // A job's gate is open while its caller takes items. A worker that comes in time joins, one that comes late
  // finds it closed: so nobody waits for a worker that the system has not woken yet, and none meets the next
  // job unawares.
  static constexpr uint64_t kJob = uint64_t{1} << 32, kOpen = uint64_t{1} << 31, kInside = 1;
  /// Whether a job is open that is not the seen one.
  static bool is_new(uint64_t gate, uint64_t seen) { return (gate & kOpen) && gate / kJob != seen; }
  /// The number of the job, whether it is open, and how many workers are inside.
  alignas(64) std::atomic<uint64_t> gate_{0};
  alignas(64) std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int> sleeping_{0};
};

}  // namespace dl
