// A thread pool for a forward pass: the same function runs on every thread, work is split statically, and
// threads meet at barriers. Barriers spin for some microseconds and then yield, so that a pool with more
// threads than free cores still moves; between runs the workers sleep.
//
//   ThreadPool pool(2);
//   pool.run([&](Worker& w) {
//     auto [a, b] = w.share(n_rows);      // this thread's part of [0, n_rows)
//     multiply(a, b);
//     w.barrier();                        // every thread has finished multiply()
//   });
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace pixellm {

class ThreadPool;

// One thread's view of a run. Valid inside the function given to run().
class Worker {
 public:
  int index() const { return index_; }
  int count() const { return count_; }

  // Part [first, second) of [0, n), the same for the same n and thread count.
  std::pair<uint64_t, uint64_t> share(uint64_t n) const {
    const auto i = static_cast<uint64_t>(index_), c = static_cast<uint64_t>(count_);
    return {n / c * i + n % c * i / c, n / c * (i + 1) + n % c * (i + 1) / c};
  }

  // Returns when every thread of the run has called it; what they wrote before is visible after.
  void barrier();

 private:
  friend class ThreadPool;
  Worker(ThreadPool* pool, int index, int count) : pool_(pool), index_(index), count_(count) {}
  ThreadPool* pool_;
  int index_, count_;
};

// run() may be called from one thread at a time, and not from inside a run.
class ThreadPool {
 public:
  // 0 takes default_thread_count(). At most kMaxThreads, and fewer where the system starts no more: see size(). With `pin` each
  // thread stays on one of allowed_cpus(), in turn; the caller too, until the pool ends.
  explicit ThreadPool(int n_threads = 0, bool pin = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  static constexpr int kMaxThreads = 512;
  int size() const { return n_threads_; }
  // On the first `n` threads, 0: all. The caller is thread 0.
  void run(const std::function<void(Worker&)>& function, int n = 0) noexcept;

 private:
  friend class Worker;
  struct Impl;
  std::unique_ptr<Impl> impl_;
  int n_threads_;
};

// The CPUs this process might run on when it first asked, in increasing order; empty where the system does not say.
const std::vector<int>& allowed_cpus();
// As many as allowed_cpus(), fewer where a cgroup's quota says so, at least 1.
int default_thread_count();

}  // namespace pixellm
