// A conversation with a model: messages, and a KV cache that is kept from turn to turn.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "infer/generate.h"
#include "tokenizer/chat_template.h"

namespace pixellm::cli {

// Borrows everything that it is made from.
class Conversation {
 public:
  Conversation(const Tokenizer& tokenizer, Session& session, const ChatTemplate& chat,
               const GenerateOptions& options, const std::string& system);

  // One turn; the answer goes to standard output as it comes. Only tokens that the cache does not hold are
  // fed. A message that no longer fits is not kept: says so on stderr and changes nothing.
  Result<void> answer(const std::string& text);

  void reset();  // forgets everything but the system message

 private:
  const Tokenizer& tokenizer_;
  Session& session_;
  const ChatTemplate& chat_;
  GenerateOptions options_;
  std::vector<ChatMessage> messages_;
  size_t n_fixed_ = 0;
  std::vector<TokenId> cached_;  // what the session holds
};

}  // namespace pixellm::cli
