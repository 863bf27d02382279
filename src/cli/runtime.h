// Opening what a command needs to read and write tokens, with the times that took.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "cli/common.h"
#include "gpu/backend.h"
#include "infer/session.h"
#include "model/model.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace pixellm::cli {

// Members in order of dependence; addresses stay when it is moved.
struct Runtime {
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Model> model;
  std::unique_ptr<Tokenizer> tokenizer;  // null unless asked for
  std::unique_ptr<Engine> engine;
  std::unique_ptr<gpu::GpuBackend> backend;  // null: the CPU
  double load_ms = 0, verify_ms = 0;  // two stretches of time, one after the other

  static Result<Runtime> open(const std::string& path, const ModelFlags& flags, bool with_tokenizer);
  Result<std::unique_ptr<Session>> new_session(const SessionOptions& options) const;
};

// What --device asks for: null for the CPU. "auto" says on stderr which it took, and why not the GPU.
Result<std::unique_ptr<gpu::GpuBackend>> open_backend(const Engine& engine, const std::string& device);

// Options for what a session computes with: --activations and --kv-cache.
void add_session_options(CLI::App& app, SessionOptions& options);

// A model's picture, checked as the flags ask.
Result<Model> open_model(const std::string& path, VerifyLevel level, ThreadPool& pool);

// Only the vocabulary of a model.
Result<Tokenizer> open_tokenizer(const std::string& path, const ModelFlags& flags);

// Warns on stderr of bytes that a vocabulary has no token for, each named once; silent when there are none.
void warn_of_dropped(std::string_view dropped);

// Tokenizer::encode with a warning on stderr about bytes that the vocabulary lacks.
std::vector<TokenId> encode_text(const Tokenizer& tokenizer, std::string_view text, bool special);

// The family named, or that of the model's own template.
Result<ChatTemplate> open_chat_template(const Model& model, const std::optional<std::string>& name);

}  // namespace pixellm::cli
