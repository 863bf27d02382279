#include "cli/conversation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "cli/common.h"
#include "cli/runtime.h"

namespace pixellm::cli {
namespace {

constexpr std::string_view kWhatToDo = "/reset begins a new one, --context N sets a larger context";

bool print(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

}  // namespace

Conversation::Conversation(const Tokenizer& tokenizer, Session& session, const ChatTemplate& chat,
                           const GenerateOptions& options, const std::string& system)
    : tokenizer_(tokenizer), session_(session), chat_(chat), options_(options) {
  if (!system.empty()) messages_.push_back({"system", system});
  n_fixed_ = messages_.size();
}

void Conversation::reset() {
  messages_.resize(n_fixed_);
  cached_.clear();
  session_.truncate(0);
}

Result<void> Conversation::answer(const std::string& text) {
  messages_.push_back({"user", text});
  std::string dropped;
  auto ids = chat_.encode(tokenizer_, messages_, true, &dropped);
  warn_of_dropped(dropped);
  if (!ids || ids->size() >= session_.context()) {
    messages_.pop_back();
    if (!ids) return std::unexpected(ids.error());
    note(fmt::format("(with this message the conversation has {} tokens, the context holds {}: {})",
                     ids->size(), session_.context(), kWhatToDo));
    return {};
  }
  // At least one token is fed, for its logits.
  const auto differ = std::ranges::mismatch(cached_, *ids);
  const size_t known = std::min(static_cast<size_t>(differ.in1 - cached_.begin()), ids->size() - 1);
  session_.truncate(static_cast<uint32_t>(known));
  auto g = generate(session_, tokenizer_, std::span(*ids).subspan(known), options_, print);
  if (!g) {
    reset();
    return std::unexpected(g.error());
  }
  print("\n");
  cached_ = std::move(*ids);
  cached_.insert(cached_.end(), g->ids.begin(), g->ids.end());
  cached_.resize(session_.position());
  messages_.push_back({"assistant", g->text});
  options_.sampler.seed++;  // another answer to the same question
  if (g->stop_reason == "context")
    note(fmt::format("(the conversation fills the context of {} tokens: {})", session_.context(), kWhatToDo));
  if (g->stop_reason == "length") note(fmt::format("(stopped after {} tokens, see -n)", g->ids.size()));
  return {};
}

}  // namespace pixellm::cli
