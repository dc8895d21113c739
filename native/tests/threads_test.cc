// The pool: every item is computed once, by a thread that may, before the call returns, whoever sleeps.
#include "threads/pool.h"

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "tests/harness.h"

namespace dl::test {
namespace {

TEST(pool_computes_every_item_once) {
  for (int threads : {1, 2, 3, 8}) {
    Context context(text(threads, " threads"));
    Pool pool(threads);
    // Jobs of all lengths back to back, which workers reach in time or late.
    std::vector<int> computed(100);
    for (int64_t job = 0; job < 20'000; job++) {
      const int64_t items = job % 101;
      const int limit = 1 + static_cast<int>(job % threads);
      std::atomic<bool> allowed{true};
      pool.parallel_for(items, limit, [&](int64_t item, int thread) {
        computed[static_cast<size_t>(item)]++;
        if (thread < 0 || thread >= limit) allowed = false;
      });
      for (int64_t item = 0; item < items; item++) {
        if (std::exchange(computed[static_cast<size_t>(item)], 0) == 1) continue;
        return fail(__FILE__, __LINE__, text("job ", job, ": item ", item, " was not computed once"));
      }
      CHECK(allowed.load());
    }
  }
}

TEST(pool_wakes_its_threads) {
  Pool pool(2);
  for (int job = 0; job < 5; job++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    // No item ends before both have begun, unless a thread is alone.
    std::atomic<int> begun{0};
    std::array<int, 2> thread_of{};
    pool.parallel_for(2, 2, [&](int64_t item, int thread) {
      thread_of[static_cast<size_t>(item)] = thread;
      begun++;
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
      while (begun < 2 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    });
    CHECK(thread_of[0] != thread_of[1]);
  }
}

}  // namespace
}  // namespace dl::test
