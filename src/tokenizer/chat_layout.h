// What a chat template writes around the messages, as plain data. Layouts come from the published form of a
// family or from the model's own template text.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/chat_template.h"

namespace pixellm {

enum class SystemPlace {
  kOwnTurn,    // a turn like the others
  kFirstUser,  // in front of the first user message
  kLastUser,   // in front of the last message, when that is the user's
  kRefused,
};

// Texts around one role's messages. Special tokens are recognised in them, never in the messages.
struct TurnLayout {
  std::string open, close;
  bool trims = false;            // white space around the message goes
  bool closes_with_eos = false;  // between the message and `close`
};

struct ChatLayout {
  ChatFamily family;
  TurnLayout system, user, assistant;
  std::string answer;            // opens the assistant's turn at the end
  std::string default_system;    // "": none
  std::string system_prefix;     // in front of every system text
  std::string system_separator;  // after it, where it stands inside a user message
  SystemPlace system_place = SystemPlace::kOwnTurn;
  bool bos = false;
  bool alternates = false;                // user and assistant must take turns, the user first
  bool drops_thinking = false;            // of earlier answers only what follows </think> stays (Qwen 3)
  std::vector<std::string_view> markers;  // tokens that the vocabulary must have
  std::string_view end_marker;
};

// The family's published form.
ChatLayout published_layout(ChatFamily family);

// The layout that a template's text describes; nullopt when it is none of the known forms.
std::optional<ChatLayout> recognise_layout(std::string_view jinja);

}  // namespace pixellm
