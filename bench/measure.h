// What the benchmarks of kernels share: memory, the time of the fastest run, this machine's read bandwidth.
#pragma once
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "base/threads.h"
#include "kernels/kernels.h"

namespace pixellm {

// Memory that begins at a page, a large one where it is that large.
class Buffer {
 public:
  explicit Buffer(uint64_t size)
      : size_(round_up(size, page(size))),
        data_(static_cast<uint8_t*>(std::aligned_alloc(page(size), size_))) {
    PIXELLM_ASSERT(data_ != nullptr);
  }
  ~Buffer() { std::free(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  uint8_t* data() const { return data_; }
  uint64_t size() const { return size_; }

 private:
  static uint64_t page(uint64_t size) { return size < 2 << 20 ? 4096 : 2 << 20; }
  uint64_t size_;
  uint8_t* data_;
};

// Seconds of the fastest of the runs that fit into `seconds`, at least three.
inline double fastest(double seconds, const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  double best = 1e30, spent = 0;
  for (int i = 0; i < 3 || spent < seconds; i++) {
    const auto begin = Clock::now();
    run();
    const double t = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::min(best, t);
    spent += t;
  }
  return best;
}

inline volatile uint64_t g_sink;

inline void read_all(const uint8_t* data, uint64_t size) {
  uint64_t sums[16] = {};
  for (uint64_t i = 0; i + 128 <= size; i += 128)
    for (uint64_t lane = 0; lane < 16; lane++) sums[lane] ^= load_le<uint64_t>(data + i + 8 * lane);
  for (uint64_t sum : sums) g_sink = g_sink + sum;
}

// GB/s of all threads together.
inline double measure_read(ThreadPool& pool, const Buffer& memory, double seconds) {
  const double t = fastest(seconds, [&] {
    pool.run([&](Worker& w) {
      const auto [begin, end] = w.share(memory.size() / 4096);
      read_all(memory.data() + begin * 4096, (end - begin) * 4096);
    });
  });
  return static_cast<double>(memory.size()) / t * 1e-9;
}

// Empty: the active ones. Null, after a line on stderr, where there are none of that name.
inline const Kernels* find_kernels(const std::string& name) {
  if (name.empty()) {
    const auto active = active_kernels();
    if (!active) fmt::print(stderr, "{}\n", active.error().message);
    return active ? *active : nullptr;
  }
  for (const Kernels* k : available_kernels())
    if (k->name == name) return k;
  fmt::print(stderr, "no kernels called {} on this machine\n", name);
  return nullptr;
}

}  // namespace pixellm
