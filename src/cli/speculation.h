// What --speculate and --draft ask for, opened.
#pragma once
#include <memory>
#include <string>

#include "base/error.h"
#include "cli/generate_flags.h"
#include "cli/runtime.h"
#include "infer/speculate.h"

namespace pixellm::cli {

// Members in order of dependence; addresses stay when it is moved.
struct Speculation {
  std::unique_ptr<Model> draft_model;
  std::unique_ptr<Engine> draft_engine;
  std::unique_ptr<Speculator> speculator;  // null: neither flag was given

  // For one session of `runtime` with the context given; the draft model runs on its threads.
  static Result<Speculation> open(const GenerateFlags& flags, const ModelFlags& common,
                                  const Runtime& runtime, uint32_t context);
};

// "accepted 61 of 80 drafted"; warns on stderr when the draft model failed.
std::string speculation_note(const Generation& g, const Speculator& speculator);

}  // namespace pixellm::cli
