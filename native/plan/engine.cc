// See engine.h.
#include "plan/engine.h"

#include <algorithm>
#include <utility>

namespace dl {

std::shared_ptr<Engine> Engine::instance() {
  static std::mutex mutex;
  static std::weak_ptr<Engine> current;
  std::lock_guard lock(mutex);
  auto engine = current.lock();
  if (!engine) {
    engine.reset(new Engine());
    current = engine;
  }
  return engine;
}

Engine::Engine() : thread_([this] { loop(); }) {}

Engine::~Engine() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Engine::submit(int threads, std::function<void(Pool&)> job) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back({threads, std::move(job)});
  }
  wake_.notify_one();
}

void Engine::loop() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    if (!pool_ || pool_->threads() < job.threads) {
      pool_.reset();
      pool_ = std::make_unique<Pool>(std::max(job.threads, 1));
    }
    job.call(*pool_);
  }
}

}  // namespace dl
