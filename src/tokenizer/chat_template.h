// Chat templates by family. The model's own Jinja text is matched, never executed: a text that matches no family is an
// error that lists the names one can give instead.
//
//   auto family = PIXELLM_TRY(detect_chat_family(template_text));
//   ids = PIXELLM_TRY(encode_chat(tokenizer, family, messages, /*open_answer=*/true));
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

enum class ChatFamily { kChatMl, kLlama3, kGemma, kQwen, kMistral };

struct ChatMessage {
  std::string role;      // "system", "user", "assistant"
  std::string content;
};

std::span<const std::string_view> chat_family_names();   // "chatml", "llama3", "gemma", "qwen", "mistral"
std::optional<ChatFamily> chat_family_from_name(std::string_view name);
Result<ChatFamily> detect_chat_family(std::string_view jinja);

// The default system text that the model's own template inserts when the conversation has none ("" when it does not).
std::string default_system_prompt(ChatFamily family, std::string_view jinja);

// Token ids of the conversation: markers are special tokens, what people wrote is encoded without special tokens, so
// that nobody can type a marker. `open_answer` ends with the assistant's opening marker. No BOS unless the family has it
// in its template (`add_bos` says whether the caller's tokenizer adds one: then it is the first id).
Result<std::vector<TokenId>> encode_chat(const Tokenizer& tokenizer, ChatFamily family,
                                         std::span<const ChatMessage> messages, bool open_answer);

// The marker that ends an answer in this family ("<|im_end|>"), to stop on.
std::string_view chat_end_marker(ChatFamily family);

}  // namespace pixellm
