// The process's one executor: a thread that takes runs from a queue and spreads each over the pool.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "threads/pool.h"

namespace dl {

/// Shared by all Node environments (worker threads) of the process; lives as long as one of them holds it.
class Engine {
 public:
  static std::shared_ptr<Engine> instance();
  ~Engine();

  /// Queues `job`; it gets a pool of at least `threads` threads.
  void submit(int threads, std::function<void(Pool&)> job);

 private:
  struct Job {
    int threads;
    std::function<void(Pool&)> call;
  };
  Engine();
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::unique_ptr<Pool> pool_;
  std::thread thread_;
};

}  // namespace dl
