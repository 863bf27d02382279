#include "infer/probe.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <vector>

namespace pixellm {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kSeconds = 0.2;

std::atomic<uint64_t> sink;  // keeps what was computed from being optimised away

// The xor of all 64-bit words, through 64-byte vectors that the compiler lowers to what the target has.
using Vector = uint64_t __attribute__((vector_size(64)));

[[gnu::always_inline]] inline uint64_t xor_words(const uint8_t* p, uint64_t size) {
  Vector a{}, b{}, c{}, d{};
  uint64_t i = 0;
  for (; i + 256 <= size; i += 256) {
    Vector v[4];
    std::memcpy(v, p + i, sizeof v);
    a ^= v[0], b ^= v[1], c ^= v[2], d ^= v[3];
  }
  a ^= b ^ c ^ d;
  uint64_t x = 0;
  for (int k = 0; k < 8; k++) x ^= a[k];
  for (; i + 8 <= size; i += 8) x ^= load_le<uint64_t>(p + i);
  return x;
}

uint64_t read_plain(const uint8_t* p, uint64_t size) { return xor_words(p, size); }
#if defined(__x86_64__)
__attribute__((target("avx2"))) uint64_t read_avx2(const uint8_t* p, uint64_t size) {
  return xor_words(p, size);
}
__attribute__((target("avx512f"))) uint64_t read_avx512(const uint8_t* p, uint64_t size) {
  return xor_words(p, size);
}
#endif

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

auto reader_for(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512 || isa == Isa::kAvx512Bw) return read_avx512;
  if (isa == Isa::kAvx2 || isa == Isa::kAvxVnni) return read_avx2;
#endif
  static_cast<void>(isa);
  return read_plain;
}

// Seconds that the pool needs for `work` done by every thread at the same time.
double time_once(ThreadPool& pool, const std::function<void(Worker&)>& work) {
  Clock::time_point start, end;
  pool.run([&](Worker& w) {
    w.barrier();
    if (w.index() == 0) start = Clock::now();
    work(w);
    w.barrier();
    if (w.index() == 0) end = Clock::now();
  });
  return std::chrono::duration<double>(end - start).count();
}

// Seconds for one round, from as many rounds at a stretch as take about kSeconds.
double time_round(ThreadPool& pool, const std::function<void(Worker&, uint64_t rounds)>& work) {
  double seconds = 0;
  uint64_t rounds = 1;
  while (true) {
    seconds = time_once(pool, [&](Worker& w) { work(w, rounds); });
    if (seconds >= kSeconds / 2 || rounds >= uint64_t{1} << 40) return seconds / static_cast<double>(rounds);
    const double factor = std::min(100.0, kSeconds / std::max(seconds, 1e-9));
    rounds = std::max(rounds + 1, static_cast<uint64_t>(static_cast<double>(rounds) * factor));
  }
}

}  // namespace

double measure_read_gb_s(const PixelPlane& plane, uint64_t first_row, Isa isa, ThreadPool& pool) {
  if (first_row >= plane.rows()) return 0;
  const auto read = reader_for(isa);
  const uint64_t n_rows = plane.rows() - first_row;
  const double seconds = time_round(pool, [&](Worker& w, uint64_t rounds) {
    const auto [begin, end] = w.share(n_rows);
    uint64_t x = 0;
    for (uint64_t i = 0; i < rounds; i++)
      for (uint64_t r = begin; r < end; r++) x += read(plane.row(first_row + r).data(), plane.row_bytes());
    sink.fetch_xor(x, std::memory_order_relaxed);
  });
  return static_cast<double>(n_rows * plane.row_bytes()) / seconds * 1e-9;
}

double measure_int8_gops(const Kernels& kernels, ThreadPool& pool) {
  std::atomic<uint64_t> operations_per_round{0};
  const double seconds = time_round(pool, [&](Worker& w, uint64_t rounds) {
    const uint64_t operations = kernels.int8_peak(rounds);
    if (w.index() == 0) operations_per_round = operations / rounds;
  });
  return static_cast<double>(operations_per_round.load()) * pool.size() / seconds * 1e-9;
}

// Two threads, each pinned to a CPU of its own, pass a counter to and fro. The median over groups of round
// trips: one in which a thread was stopped says nothing about the cache line.
double measure_ping_ns() {
  constexpr uint64_t kStop = ~uint64_t{0}, kGroup = 16, kMaxGroups = 4000;
  const std::vector<int>& cpus = allowed_cpus();
  cpu_set_t before;
  const bool pins = cpus.size() > 1 && ::sched_getaffinity(0, sizeof before, &before) == 0;

  alignas(128) std::atomic<uint64_t> line{0};
  const auto wait_for = [&line](uint64_t wanted) {  // false when told to stop
    for (uint32_t spins = 0;; spins++) {
      const uint64_t found = line.load(std::memory_order_acquire);
      if (found == wanted || found == kStop) return found == wanted;
      pause_cpu();
      if (spins > 10000) ::sched_yield();
    }
  };
  std::vector<double> seconds;
  const auto lead = [&] {
    const auto start = Clock::now();
    for (uint64_t k = 0;
         seconds.size() < kMaxGroups && Clock::now() - start < std::chrono::milliseconds(200);) {
      const auto group_start = Clock::now();
      for (const uint64_t end = k + kGroup; k < end; k++) {
        line.store(2 * k + 1, std::memory_order_release);
        wait_for(2 * k + 2);
      }
      seconds.push_back(std::chrono::duration<double>(Clock::now() - group_start).count());
    }
    line.store(kStop, std::memory_order_release);
  };
  ThreadPool pair(2);
  pair.run([&](Worker& w) {
    if (pins) {
      cpu_set_t own;
      CPU_ZERO(&own);
      CPU_SET(cpus[static_cast<size_t>(w.index())], &own);
      ::sched_setaffinity(0, sizeof own, &own);
    }
    w.barrier();
    if (w.index() == 0) return lead();
    for (uint64_t k = 0; wait_for(2 * k + 1); k++) line.store(2 * k + 2, std::memory_order_release);
  });
  if (pins) ::sched_setaffinity(0, sizeof before, &before);
  const auto middle = seconds.begin() + static_cast<ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle / static_cast<double>(2 * kGroup) * 1e9;
}

}  // namespace pixellm
