// Where a forward pass spends its time: a stopwatch for each thread, laps by operation and weight type.
//
//   Profile profile(pool.size());
//   auto session = PIXELLM_TRY(Session::create(engine, pool, {.profile = &profile}));
//   ...
//   profile.total(Operation::kGateUp, TensorType::kQ4_0).seconds;      // summed over threads and steps
// Without a Profile a session reads no clock. Threads write their own part; read it when no step runs.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace pixellm {

enum class Operation : uint8_t {
  kEmbed,
  kPrepare,
  kAttentionIn,
  kRope,
  kAttention,
  kAttentionOut,
  kGateUp,
  kActivation,
  kDown,
  kOutput,
  kBarrier
};
inline constexpr std::array<std::string_view, 11> kOperationNames = {
    "embed",   "norm_quantize", "qkv",  "rope_store", "attention", "attention_out",
    "gate_up", "activation",    "down", "output",     "barrier"};

class Profile {
 public:
  struct Entry {
    double seconds = 0;
    uint64_t bytes = 0;       // of weights read
    uint64_t operations = 0;  // 2 for each weight and token
  };
  struct alignas(64) Thread {
    std::array<std::array<Entry, kTypes.size() + 1>, kOperationNames.size()>
        entries{};  // the last: no weights
    std::chrono::steady_clock::time_point mark;
  };

  bool on = true;  // off: steps leave it alone

  explicit Profile(int n_threads) : threads_(static_cast<size_t>(n_threads)) {}

  Thread& thread(int index) { return threads_[static_cast<size_t>(index)]; }
  void clear() { threads_.assign(threads_.size(), {}); }

  // Summed over the threads; type nullopt: what reads no weights.
  Entry total(Operation operation, std::optional<TensorType> type) const {
    const size_t column = type ? static_cast<size_t>(type_index(*type)) : kTypes.size();
    Entry sum;
    for (const Thread& t : threads_) {
      const Entry& e = t.entries[static_cast<size_t>(operation)][column];
      sum.seconds += e.seconds, sum.bytes += e.bytes, sum.operations += e.operations;
    }
    return sum;
  }

 private:
  std::vector<Thread> threads_;
};

// A thread's view; does nothing without a Profile.
class Stopwatch {
 public:
  Stopwatch(Profile* profile, int index)
      : thread_(profile && profile->on ? &profile->thread(index) : nullptr) {
    if (thread_) thread_->mark = std::chrono::steady_clock::now();
  }

  // The time since the last lap belongs to `operation`.
  void lap(Operation operation, std::optional<TensorType> type = {}, uint64_t bytes = 0,
           uint64_t operations = 0) {
    if (!thread_) return;
    const size_t column = type ? static_cast<size_t>(type_index(*type)) : kTypes.size();
    Profile::Entry& e = thread_->entries[static_cast<size_t>(operation)][column];
    const auto now = std::chrono::steady_clock::now();
    e.seconds += std::chrono::duration<double>(now - thread_->mark).count();
    e.bytes += bytes, e.operations += operations;
    thread_->mark = now;
  }

 private:
  Profile::Thread* thread_;
};

}  // namespace pixellm
