// What a browser needs of the C++ side to run a model whose weights are on the GPU: the picture's head, the
// plan, the tokenizer, the sampler, the rotation tables. It never sees the matrices: only the head's rows are
// fetched for it, and the vectors' bytes, whose floats it gives back.
//
//   auto model = PIXELLM_TRY(BrowserModel::open(start, file_bytes));   // start: at least head_bytes(...)
//   bytes std::string plan = PIXELLM_TRY(model->plan(context, batch, limits));   // spec/plan.md for (size_t
//   i = 0; i < model->vectors().size(); i++) model->vector(i, bytes_of_it); auto ids =
//   PIXELLM_TRY(model->encode_prompt("Hello", true)); model->begin(ids, sampler_options, true); id =
//   model->sample(logits); model->push(id);
// One thread. Spec: spec/plan.md, "What the host provides".
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "gpu/adapter.h"
#include "infer/answer_text.h"
#include "infer/config.h"
#include "infer/sampler.h"
#include "model/model.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

// A tensor of one dimension that the host has to fetch: where its bytes are in the payload, and where its
// floats belong in the plan's `vectors`; kNowhere: they are only for this side.
struct VectorPlace {
  static constexpr uint64_t kNowhere = ~uint64_t{0};
  const TensorInfo* tensor = nullptr;
  uint64_t at = kNowhere;
};

class BrowserModel {
 public:
  // How many bytes of the file hold the head, from the file's first on; `start` holds at least row 0. Errors
  // as PixelPlane::open_start.
  static Result<uint64_t> head_bytes(Bytes start, uint64_t file_bytes);

  // Opens and checks the head: all that Model::open checks, the rows' CRC-32 and the head's SHA-256.
  static Result<std::unique_ptr<BrowserModel>> open(std::vector<uint8_t> start, uint64_t file_bytes);

  std::string describe() const;  // JSON, see exports.cpp
  const Model& model() const { return model_; }

  // kCorrupt naming the damaged rows and their tensors.
  Result<void> check_rows(uint64_t first, uint64_t count, Bytes chunks) const;

  // The plan's JSON for a device of these limits; context and batch 0: the defaults.
  Result<std::string> plan(uint32_t context, uint32_t batch, const gpu::Limits& limits);
  const std::vector<VectorPlace>& vectors() const { return vectors_; }  // after plan()
  Result<std::vector<float>> vector(size_t index, Bytes stored);

  // The rows of the plan's `rope` (or `rope_local`) for n positions from `position` on.
  std::vector<float> rope(uint32_t position, uint32_t n, bool local) const;

  std::vector<TokenId> encode(std::string_view text, bool special) const {
    return tokenizer_.encode(text, special);
  }
  // As `pixellm run`: the text as it is behind the model's start token, or as a user's message in the model's
  // chat template.
  Result<std::vector<TokenId>> encode_prompt(std::string_view text, std::string_view system, bool chat) const;
  std::string decode(std::span<const TokenId> ids) const { return tokenizer_.decode(ids); }

  // A new answer, to a chat's prompt or a plain one. True when the largest logit is all that its tokens
  // depend on.
  Result<bool> begin(std::span<const TokenId> prompt, const SamplerOptions& options, bool chat);
  TokenId sample(
      std::span<float> logits);   // the GPU's; requires begin() and vocab_size of them. Changes them
  bool is_end(TokenId id) const;  // requires begin() and a valid id
  std::string push(TokenId id);   // requires begin(); the text that has become sure
  bool holds_text() const;        // whether flush() would give something: a character that is not whole
  std::string flush();

  uint32_t vocab_size() const { return config_.vocab_size; }

 private:
  BrowserModel(std::vector<uint8_t> start, Model model, ModelConfig config, Tokenizer tokenizer)
      : start_(std::move(start)),
        model_(std::move(model)),
        config_(std::move(config)),
        tokenizer_(std::move(tokenizer)) {}

  std::vector<uint8_t> start_;  // the plane's rows
  Model model_;
  ModelConfig config_;
  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_;
  std::string no_chat_;  // why there is none
  std::vector<VectorPlace> vectors_;
  std::vector<float> rope_factors_;
  std::optional<Sampler> sampler_;
  std::optional<AnswerText> answer_;
  std::optional<TokenId> end_;  // of a chat's answer, besides the tokenizer's own
};

}  // namespace pixellm
