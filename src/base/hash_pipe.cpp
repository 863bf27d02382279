#include "base/hash_pipe.h"

#include <array>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/error.h"

namespace pixellm {
namespace {

constexpr uint64_t kChunks = 64;  // how far the hash may lag behind
// Who has to wait for the hash sleeps until several chunks are free: fewer wake-ups than one a chunk.
constexpr uint64_t kLagAfterWait = kChunks / 2;

}  // namespace

struct HashPipe::Impl {
  // Taken when first needed: a short stream needs one or two. The owner fills in a place before it pushes the
  // chunk.
  std::array<std::unique_ptr<uint8_t[]>, kChunks> memory;
  std::array<size_t, kChunks> sizes{};
  Sha256 sha;
  std::thread thread;
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t pushed = 0,
           hashed = 0;      // chunks; these and what follows are guarded by `mutex` while the thread runs
  uint64_t wanted_lag = 0;  // at which the owner, if it waits, is to be woken
  bool stop = false, no_thread = false;

  uint8_t* chunk_to_fill() {
    auto& place = memory[pushed % kChunks];
    if (!place) place = std::make_unique_for_overwrite<uint8_t[]>(kChunkBytes);
    return place.get();
  }

  void hash_one() { sha.update({memory[hashed % kChunks].get(), sizes[hashed % kChunks]}); }

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return stop || hashed < pushed; });
      if (stop) return;
      lock.unlock();
      hash_one();
      lock.lock();
      hashed++;
      if (pushed - hashed == wanted_lag) changed.notify_all();
    }
  }

  // A stream of one chunk needs no thread.
  void start() {
    if (thread.joinable() || no_thread || pushed < 2) return;
    try {
      thread = std::thread([this] { work(); });
    } catch (const std::system_error&) {
      no_thread = true;
    }
  }

  void hash_here() {
    for (; hashed < pushed; hashed++) hash_one();
  }
};

HashPipe::HashPipe() : impl_(std::make_unique<Impl>()) {}
HashPipe::HashPipe(HashPipe&&) noexcept = default;

HashPipe::~HashPipe() {
  if (!impl_ || !impl_->thread.joinable()) return;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->changed.notify_all();
  impl_->thread.join();
}

MutableBytes HashPipe::next() {
  Impl& s = *impl_;
  if (s.thread.joinable()) {
    std::unique_lock lock(s.mutex);
    if (s.pushed - s.hashed == kChunks) {
      s.wanted_lag = kLagAfterWait;
      s.changed.wait(lock, [&] { return s.pushed - s.hashed <= kLagAfterWait; });
    }
  }
  return {s.chunk_to_fill(), kChunkBytes};
}

void HashPipe::push(size_t n) {
  Impl& s = *impl_;
  PIXELLM_ASSERT(n <= kChunkBytes);
  {
    const std::lock_guard lock(s.mutex);
    s.sizes[s.pushed % kChunks] = n;
    s.pushed++;
  }
  s.start();
  if (s.no_thread)
    s.hash_here();
  else
    s.changed.notify_all();
}

Digest HashPipe::finish() {
  Impl& s = *impl_;
  if (s.thread.joinable()) {
    std::unique_lock lock(s.mutex);
    s.wanted_lag = 0;
    s.changed.wait(lock, [&] { return s.hashed == s.pushed; });
  } else {
    s.hash_here();
  }
  return s.sha.finish();
}

}  // namespace pixellm
