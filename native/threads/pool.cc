// See pool.h. A worker spins for about 200 µs after a job, for a training step has hundreds of them back to
// back and the next run comes by way of JavaScript, then sleeps: image decoding shares the cores.
#include "threads/pool.h"

#include <algorithm>
#include <chrono>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace dl {
namespace {

constexpr auto kSpin = std::chrono::microseconds(200);

inline void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
  asm volatile("yield");
#endif
}

/// Spins until `ready()` or the time is over; says whether it became ready. Whoever else wants the processor
/// gets it: it may be the thread that is waited for.
template <class Ready>
bool spin(Ready ready) {
  auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; i++) {
      if (ready()) return true;
      relax();
    }
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

}  // namespace

Pool::Pool(int threads) : shares_(static_cast<size_t>(std::max(threads, 1))) {
  for (int i = 1; i < threads; i++) workers_.emplace_back([this, i] { work(i); });
}

Pool::~Pool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void Pool::take_items(int thread) {
  for (int i = 0; i < limit_; i++) {
    Share& share = shares_[static_cast<size_t>((thread + i) % limit_)];
    for (int64_t item; (item = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;)
      call_(context_, item, thread);
  }
}

void Pool::run(int64_t items, int limit, Call call, void* context) {
  limit = std::clamp(limit, 1, threads());
  if (items <= 1 || limit == 1) {
    for (int64_t item = 0; item < items; item++) call(context, item, 0);
    return;
  }
  call_ = call;
  context_ = context;
  limit_ = limit;
  for (int i = 0; i < limit; i++) {
    Share& share = shares_[static_cast<size_t>(i)];
    share.next.store(items * i / limit, std::memory_order_relaxed);
    share.end = items * (i + 1) / limit;
  }
  const uint64_t job = gate_.load(std::memory_order_relaxed) + kJob;
  gate_.store(job | kOpen, std::memory_order_seq_cst);
  if (sleeping_.load(std::memory_order_seq_cst) > 0) {
    std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  take_items(0);
  gate_.fetch_sub(kOpen, std::memory_order_acq_rel);
  const auto done = [&] { return gate_.load(std::memory_order_acquire) == job; };
  while (!spin(done)) continue;
}

bool Pool::has_new_job(uint64_t seen) const {
  return stopping_ || is_new(gate_.load(std::memory_order_seq_cst), seen);
}

/// Whether the worker is inside of a new job, whose number is then the seen one.
bool Pool::join(uint64_t& seen) {
  uint64_t gate = gate_.load(std::memory_order_acquire);
  while (is_new(gate, seen)) {
    if (!gate_.compare_exchange_weak(gate, gate + kInside, std::memory_order_acq_rel)) continue;
    seen = gate / kJob;
    return true;
  }
  return false;
}

void Pool::work(int thread) {
  uint64_t seen = 0;
  for (;;) {
    if (!spin([&] { return has_new_job(seen); })) {
      std::unique_lock lock(mutex_);
      sleeping_.fetch_add(1, std::memory_order_seq_cst);
      // Woken too late for the job it spins, for more will follow.
      if (!has_new_job(seen)) wake_.wait(lock);
      sleeping_.fetch_sub(1, std::memory_order_seq_cst);
    }
    if (stopping_) return;
    if (!join(seen)) continue;
    if (thread < limit_) take_items(thread);
    gate_.fetch_sub(kInside, std::memory_order_acq_rel);
  }
}

}  // namespace dl
