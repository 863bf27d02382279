// What `pixellm bench` measures in one repeat.
#pragma once
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "cli/runtime.h"
#include "infer/profile.h"

namespace pixellm::cli {

struct BenchPlan {
  uint32_t prompt = 512, generate = 128;  // tokens; 0: not measured
  std::vector<uint32_t> sequences;        // generated at once
  SessionOptions session;
  bool with_profile = false;
};

// Laps of one phase, in seconds of a thread on average.
struct BenchPhase {
  double seconds = 0;  // of the whole phase
  uint32_t tokens = 0;
  std::vector<std::pair<Operation, double>> operations;
  struct Format {
    TensorType type;
    double seconds;
    uint64_t bytes, operations;
  };
  std::vector<Format> formats;
};

struct Measured {
  double prompt_per_s = 0, generate_per_s = 0, read_gb_s = 0, int8_gops = 0, ping_ns = 0;
  std::vector<double> together_per_s;       // tokens a second of all sequences, for each of plan.sequences
  BenchPhase prompt_phase, generate_phase;  // with_profile
};

// A model's sessions for one number of threads. runtime must outlive it.
class Bench {
 public:
  static Result<std::unique_ptr<Bench>> create(const Runtime& runtime, int threads, bool pin,
                                               const BenchPlan& plan);
  Result<Measured> measure();

 private:
  Bench(const Runtime& runtime, int threads, bool pin, const BenchPlan& plan);
  Result<double> speed(uint32_t tokens, size_t step);
  Result<BenchPhase> profiled(uint32_t tokens, size_t step);
  Result<double> together(uint32_t count);

  const Runtime& runtime_;
  BenchPlan plan_;
  ThreadPool pool_;
  Profile profile_;
  std::vector<TokenId> tokens_;
  std::vector<std::unique_ptr<Session>> sessions_;
};

}  // namespace pixellm::cli
