// The random numbers of NumPy 1.24's numpy.random.default_rng(seed), bit for bit: SeedSequence, PCG64 and the
// methods that v0 needs. Spec: spec/v0.md, section 3.
//
//   NumpyRandom rng(42);
//   double z = rng.standard_normal();          // default_rng(42).standard_normal()
//   int64_t i = rng.integers(0, 500000);       // .integers(0, 500000)
// Calls mix in any order as they do in NumPy. One thread at a time.
#pragma once
#include <cstdint>
#include <span>

namespace pixellm {

class NumpyRandom {
 public:
  explicit NumpyRandom(uint64_t seed);

  uint64_t next_uint64();
  uint32_t next_uint32();    // the low half of a 64-bit draw, then, on the next call, its high half
  double random();           // [0, 1)
  double standard_normal();  // the ziggurat method; tails and wedges use the system's log1p and exp

  // Uniform in [low, high), for int64. Requires low < high. A single possible value takes nothing from the
  // stream.
  int64_t integers(int64_t low, int64_t high);

  // integers(low, high, size=out.size()).
  void integers(int64_t low, int64_t high, std::span<int64_t> out);

 private:
  unsigned __int128 state_ = 0, increment_ = 0;
  bool has_half_ = false;
  uint32_t half_ = 0;

  void step();
  double normal_tail(bool negative);
  uint32_t below_32(uint32_t last);  // uniform in [0, last], last < 2^32 - 1
  uint64_t below_64(uint64_t last);  // the same, last < 2^64 - 1
};

}  // namespace pixellm
