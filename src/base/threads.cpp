#include "base/threads.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pixellm {
namespace {

void pause_cpu() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// About 20 to 50 microseconds of spinning covers the waits inside a token; after that the core may be
// wanted by the very thread that we wait for.
constexpr int kSpins = 2000;
constexpr int kSpinsBetweenRuns = 20000;

// Where the system refuses, the thread runs where it likes.
void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

template <class Done>
void spin_then_yield(int spins, Done done) {
  for (int i = 0; i < spins; i++) {
    if (done()) return;
    pause_cpu();
  }
  while (!done()) sched_yield();
}

}  // namespace

struct ThreadPool::Impl {
  alignas(64) std::atomic<uint32_t> arrived{0};
  alignas(64) std::atomic<uint32_t> phase{0};
  // The number of runs, and below it how many threads the last one takes: one word, so that a thread that was left
  // out and wakes late cannot take part in a later run twice.
  static constexpr uint32_t kCountBits = 10;
  alignas(64) std::atomic<uint32_t> epoch{0};
  std::atomic<bool> stop{false};
  const std::function<void(Worker&)>* function = nullptr;
  int spins = kSpins;
  int spins_between_runs = kSpinsBetweenRuns;
  std::vector<std::thread> threads;
  std::optional<cpu_set_t> callers_cpus;  // before it was pinned

  void begin(int count) {
    const uint32_t runs = (epoch.load(std::memory_order_relaxed) >> kCountBits) + 1;
    epoch.store(runs << kCountBits | static_cast<uint32_t>(count), std::memory_order_release);
  }

  void barrier(uint32_t count) {
    const uint32_t now = phase.load(std::memory_order_relaxed);
    if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
      arrived.store(0, std::memory_order_relaxed);
      phase.store(now + 1, std::memory_order_release);
      return;
    }
    spin_then_yield(spins, [&] { return phase.load(std::memory_order_acquire) != now; });
  }
};

ThreadPool::ThreadPool(int n_threads, bool pin) : impl_(std::make_unique<Impl>()) {
  n_threads_ = std::clamp(n_threads > 0 ? n_threads : default_thread_count(), 1, kMaxThreads);
  const auto& cpus = allowed_cpus();
  const auto cpu_of = [&cpus, pin](int i) { return pin && !cpus.empty() ? cpus[static_cast<size_t>(i) % cpus.size()] : -1; };
  if (n_threads_ > default_thread_count()) impl_->spins = impl_->spins_between_runs = 1;
  impl_->threads.reserve(static_cast<size_t>(n_threads_));
  for (int i = 1; i < n_threads_; i++) {
    const auto work = [this, i, cpu = cpu_of(i)] {
      Impl& s = *impl_;
      if (cpu >= 0) pin_to(cpu);
      uint32_t seen = 0;
      for (;;) {
        for (int k = 0; k < s.spins_between_runs && s.epoch.load(std::memory_order_acquire) == seen; k++) pause_cpu();
        s.epoch.wait(seen, std::memory_order_acquire);
        seen = s.epoch.load(std::memory_order_acquire);
        if (s.stop.load(std::memory_order_acquire)) return;
        const auto count = static_cast<int>(seen & ((1u << Impl::kCountBits) - 1));
        if (i >= count) continue;
        Worker worker(this, i, count);
        (*s.function)(worker);
        worker.barrier();
      }
    };
    try {
      impl_->threads.emplace_back(work);
    } catch (const std::system_error&) {   // a limit on processes: go on with those that started
      n_threads_ = i;
    }
  }
  cpu_set_t before;
  if (cpu_of(0) >= 0 && sched_getaffinity(0, sizeof before, &before) == 0) {
    impl_->callers_cpus = before;
    pin_to(cpu_of(0));
  }
}

ThreadPool::~ThreadPool() {
  impl_->stop.store(true, std::memory_order_release);
  impl_->begin(0);
  impl_->epoch.notify_all();
  for (auto& t : impl_->threads) t.join();
  if (impl_->callers_cpus) sched_setaffinity(0, sizeof *impl_->callers_cpus, &*impl_->callers_cpus);
}

void ThreadPool::run(const std::function<void(Worker&)>& function, int n) noexcept {
  const int count = n > 0 ? std::min(n, n_threads_) : n_threads_;
  Worker worker(this, 0, count);
  if (count > 1) {
    impl_->function = &function;
    impl_->begin(count);
    impl_->epoch.notify_all();
  }
  function(worker);
  worker.barrier();
}

void Worker::barrier() {
  if (count_ > 1) pool_->impl_->barrier(static_cast<uint32_t>(count_));
}

const std::vector<int>& allowed_cpus() {
  static const std::vector<int> cpus = [] {
    std::vector<int> list;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
      for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set)) list.push_back(cpu);
    return list;
  }();
  return cpus;
}

int default_thread_count() {
  static const int count = [] {
    int n = allowed_cpus().empty() ? static_cast<int>(std::thread::hardware_concurrency())
                                   : static_cast<int>(allowed_cpus().size());
    // cgroup v2: "max 100000" or "150000 100000"
    std::ifstream quota_file("/sys/fs/cgroup/cpu.max");
    std::string quota;
    double period = 0;
    if (quota_file >> quota >> period && quota != "max" && period > 0)
      n = std::min(n, std::max(1, static_cast<int>(std::ceil(std::atof(quota.c_str()) / period))));
    return std::max(1, n);
  }();
  return count;
}

}  // namespace pixellm
