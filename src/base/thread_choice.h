// How many threads of a pool the next of many equal pieces of work should take. Threads that meet at barriers
// stand still while one of them waits for a core: on a machine that is busy with other things, fewer of them
// are faster. All threads are taken as long as they are the fastest; half as many, and half of those, are
// tried now and then, sooner when a piece took unusually long.
//
//   ThreadChoice choice(pool.size());
//   pool.run(work, choice.next());
//   choice.took(seconds);
// Results must not depend on the number. One thread at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pixellm {

class ThreadChoice {
 public:
  explicit ThreadChoice(int most);
  int next() const { return levels_[trying_ ? tried_ : level_].threads; }
  void took(double seconds);  // of what next() was asked for

 private:
  struct Level {
    int threads;
    double usual = 0;    // running mean, seconds; 0: never seen
    double fastest = 0;  // of late
  };
  static constexpr uint32_t kFirstTrial = 8, kSoonest = 16, kLatest = 256;
  void begin_trial();
  void end_trial(double seconds);

  std::vector<Level> levels_;  // most threads first
  size_t level_ = 0, tried_ = 0;
  bool trying_ = false;
  uint32_t since_trial_ = 0, patience_ = kFirstTrial;
  size_t depth_ = 1;      // how many levels down the next trial goes
  bool up_next_ = false;  // try more threads next, where there are more
};

}  // namespace pixellm
