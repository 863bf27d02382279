// Chat templates by family. The model's own Jinja text is matched, never executed: a text that matches no
// family is an error that lists the names one can give instead. Docs: docs/tokenizer.md.
//
//   auto chat = PIXELLM_TRY(ChatTemplate::detect(jinja));          // or ChatTemplate::from_name("chatml")
//   std::vector<ChatMessage> talk = {{"user", "Why is the sky blue?"}};
//   auto ids = PIXELLM_TRY(chat.encode(tokenizer, talk, /*open_answer=*/true));   // BOS included where the
//   model wants it
//   ... generate until tokenizer.is_end_of_generation(id) ...
// Immutable; may be used by several threads.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

enum class ChatFamily { kChatMl, kLlama3, kGemma, kQwen, kMistral };

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

struct ChatLayout;  // chat_layout.h

class ChatTemplate {
 public:
  // Recognises the family of a `tokenizer.chat_template`. kUnsupported for any other text, with the names
  // that from_name takes.
  static Result<ChatTemplate> detect(std::string_view jinja);

  // The family's published form. kNotFound lists the names.
  static Result<ChatTemplate> from_name(std::string_view name);
  static std::span<const std::string_view> names();  // "chatml", "llama3", "gemma", "qwen", "mistral"

  ChatFamily family() const;
  std::string_view name() const;

  // The system text that the template puts in when the conversation brings none; "" when it puts in nothing.
  const std::string& default_system() const;

  // Token ids of the whole conversation, with BOS first where the template or the tokenizer asks for one: the
  // caller adds nothing. Only the template's own markers become special tokens; what people wrote is plain
  // text, so nobody can type a marker. `open_answer` ends with what opens the assistant's turn. Bytes
  // that the vocabulary cannot express are appended to `dropped`, when given.
  // kInvalidArgument: an unknown role, or an order of roles that the family does not allow; kUnsupported: a
  // marker is no token of this vocabulary.
  Result<std::vector<TokenId>> encode(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                      bool open_answer,
                                      std::string* dropped = nullptr) const;

  // The marker that ends an answer ("<|im_end|>"): stop on its token (Tokenizer::find) as well as on the
  // tokenizer's end-of-generation set. "" where that is the tokenizer's eos alone.
  std::string_view end_marker() const;

 private:
  explicit ChatTemplate(std::shared_ptr<const ChatLayout> layout) : layout_(std::move(layout)) {}

  std::shared_ptr<const ChatLayout> layout_;
};

}  // namespace pixellm
