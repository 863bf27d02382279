#include "tokenizer/chat_template.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "tokenizer/chat_layout.h"

namespace pixellm {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"chatml", "llama3", "gemma", "qwen", "mistral"};

std::string all_names() {
  std::string names;
  for (const std::string_view name : kNames) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

// What Jinja's trim filter takes off, as UTF-8.
constexpr std::array<std::string_view, 29> kSpaces = {" ",
                                                      "\t",
                                                      "\n",
                                                      "\v",
                                                      "\f",
                                                      "\r",
                                                      "\x1C",
                                                      "\x1D",
                                                      "\x1E",
                                                      "\x1F",
                                                      "\xC2\x85",
                                                      "\xC2\xA0",
                                                      "\xE1\x9A\x80",
                                                      "\xE2\x80\x80",
                                                      "\xE2\x80\x81",
                                                      "\xE2\x80\x82",
                                                      "\xE2\x80\x83",
                                                      "\xE2\x80\x84",
                                                      "\xE2\x80\x85",
                                                      "\xE2\x80\x86",
                                                      "\xE2\x80\x87",
                                                      "\xE2\x80\x88",
                                                      "\xE2\x80\x89",
                                                      "\xE2\x80\x8A",
                                                      "\xE2\x80\xA8",
                                                      "\xE2\x80\xA9",
                                                      "\xE2\x80\xAF",
                                                      "\xE2\x81\x9F",
                                                      "\xE3\x80\x80"};

std::string_view trim(std::string_view text) {
  const auto at_begin = [&](std::string_view space) { return text.starts_with(space); };
  const auto at_end = [&](std::string_view space) { return text.ends_with(space); };
  for (auto s = kSpaces.end();
       (s = std::find_if(kSpaces.begin(), kSpaces.end(), at_begin)) != kSpaces.end();) {
    text.remove_prefix(s->size());
  }
  for (auto s = kSpaces.end(); (s = std::find_if(kSpaces.begin(), kSpaces.end(), at_end)) != kSpaces.end();) {
    text.remove_suffix(s->size());
  }
  return text;
}

std::string_view trim_newlines(std::string_view text, bool left, bool right) {
  while (left && text.starts_with('\n')) text.remove_prefix(1);
  while (right && text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

// What Qwen 3 takes an answer apart into.
struct Thought {
  std::string_view thinking, answer;
};

Thought take_apart(std::string_view content) {
  constexpr std::string_view kOpen = "<think>", kClose = "</think>";
  const size_t first = content.find(kClose), last = content.rfind(kClose);
  if (first == std::string_view::npos) return {{}, content};
  std::string_view thinking = trim_newlines(content.substr(0, first), false, true);
  if (const size_t open = thinking.rfind(kOpen); open != std::string_view::npos)
    thinking.remove_prefix(open + kOpen.size());
  return {trim_newlines(thinking, true, false),
          trim_newlines(content.substr(last + kClose.size()), true, false)};
}

// Collects the conversation as parts; they are views of the layout, of `eos` and of the messages.
class Writer {
 public:
  Writer(const ChatLayout& layout, std::string_view eos) : layout_(layout), eos_(eos) {}

  void marker(std::string_view text) { parts_.push_back({text, true}); }
  void plain(std::string_view text) { parts_.push_back({text, false}); }

  void turn(const TurnLayout& turn, std::string_view before, std::string_view content) {
    marker(turn.open);
    plain(before);
    plain(turn.trims ? trim(content) : content);
    if (turn.closes_with_eos) marker(eos_);
    marker(turn.close);
  }

  void system(std::string_view content) {
    marker(layout_.system.open);
    plain(layout_.system_prefix);
    plain(layout_.system.trims ? trim(content) : content);
    marker(layout_.system.close);
  }

  // An answer of Qwen 3: earlier ones without their thinking, the last one with it.
  void thoughtful_answer(std::string_view content, bool after_last_user, bool is_last) {
    const Thought thought = take_apart(content);
    marker(layout_.assistant.open);
    if (after_last_user && (is_last || !thought.thinking.empty())) {
      marker("<think>\n");
      plain(trim_newlines(thought.thinking, true, true));
      marker("\n</think>\n\n");
      plain(trim_newlines(thought.answer, true, false));
    } else {
      plain(thought.answer);
    }
    marker(layout_.assistant.close);
  }

  const std::vector<TextPart>& parts() const { return parts_; }

 private:
  const ChatLayout& layout_;
  std::string_view eos_;
  std::vector<TextPart> parts_;
};

Result<void> check_order(const ChatLayout& layout, std::span<const ChatMessage> messages) {
  const std::string_view family = kNames[static_cast<size_t>(layout.family)];
  if (messages.empty()) return fail(ErrorCode::kInvalidArgument, "chat: there is no message");
  size_t n_turns = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    if (role == "system") {
      if (layout.system_place == SystemPlace::kRefused) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("chat: this model's {} template takes no system message", family));
      }
      if (i > 0 && (layout.system_place != SystemPlace::kOwnTurn || layout.alternates)) {
        return fail(
            ErrorCode::kInvalidArgument,
            fmt::format("chat: message {} is a system message; in {} only the first may be one", i, family));
      }
      continue;
    }
    if (role != "user" && role != "assistant") {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("chat: message {} has the role \"{}\"; system, user and assistant are known", i, role));
    }
    if (layout.alternates && (role == "user") != (n_turns % 2 == 0)) {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("chat: message {} is the {}'s; in {} user and assistant take turns, the user first", i,
                      role, family));
    }
    ++n_turns;
  }
  return {};
}

Result<void> check_markers(const ChatLayout& layout, const Tokenizer& tokenizer) {
  for (const std::string_view marker : layout.markers) {
    if (!tokenizer.find(marker)) {
      return fail(ErrorCode::kUnsupported,
                  fmt::format("chat: {} needs the token {}, which this vocabulary lacks",
                              kNames[static_cast<size_t>(layout.family)], marker));
    }
  }
  if (layout.assistant.closes_with_eos && !tokenizer.eos()) {
    return fail(ErrorCode::kUnsupported,
                "chat: mistral ends answers with the eos token, and this vocabulary names none");
  }
  return {};
}

}  // namespace

Result<ChatTemplate> ChatTemplate::detect(std::string_view jinja) {
  auto layout = recognise_layout(jinja);
  if (!layout) {
    return fail(
        ErrorCode::kUnsupported,
        fmt::format("chat: the model's template is of no known family; give one by name, --template NAME: {}",
                    all_names()));
  }
  return ChatTemplate(std::make_shared<const ChatLayout>(std::move(*layout)));
}

Result<ChatTemplate> ChatTemplate::from_name(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) {
    return fail(ErrorCode::kNotFound,
                fmt::format("chat: no template \"{}\"; there are {}", name, all_names()));
  }
  const auto family = static_cast<ChatFamily>(found - kNames.begin());
  return ChatTemplate(std::make_shared<const ChatLayout>(published_layout(family)));
}

std::span<const std::string_view> ChatTemplate::names() { return kNames; }
ChatFamily ChatTemplate::family() const { return layout_->family; }
std::string_view ChatTemplate::name() const { return kNames[static_cast<size_t>(layout_->family)]; }
const std::string& ChatTemplate::default_system() const { return layout_->default_system; }
std::string_view ChatTemplate::end_marker() const { return layout_->end_marker; }

Result<std::vector<TokenId>> ChatTemplate::encode(const Tokenizer& tokenizer,
                                                  std::span<const ChatMessage> messages,
                                                  bool open_answer, std::string* dropped) const {
  const ChatLayout& layout = *layout_;
  PIXELLM_CHECK(check_order(layout, messages));
  PIXELLM_CHECK(check_markers(layout, tokenizer));
  const std::string eos = tokenizer.eos() ? tokenizer.token_bytes(*tokenizer.eos(), true) : std::string();
  Writer writer(layout, eos);
  const bool own_turn = layout.system_place == SystemPlace::kOwnTurn;
  const bool has_system = messages[0].role == "system";
  const std::string system_text =
      has_system && !own_turn ? messages[0].content + layout.system_separator : std::string();
  if (!has_system && !layout.default_system.empty()) {
    writer.marker(layout.system.open);
    writer.plain(layout.default_system);
    writer.marker(layout.system.close);
  }
  size_t last_user = messages.size();
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role == "user") last_user = i;
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    const bool is_last = i + 1 == messages.size();
    if (message.role == "system") {
      if (own_turn) writer.system(message.content);
    } else if (message.role == "user") {
      const bool here = layout.system_place == SystemPlace::kLastUser ? is_last : i == (has_system ? 1u : 0u);
      writer.turn(layout.user, here ? std::string_view(system_text) : std::string_view(), message.content);
    } else if (layout.drops_thinking) {
      writer.thoughtful_answer(message.content, i > last_user || last_user == messages.size(), is_last);
    } else {
      writer.turn(layout.assistant, {}, message.content);
    }
  }
  if (open_answer) writer.marker(layout.answer);

  std::vector<TokenId> ids;
  if (tokenizer.bos() && (layout.bos || tokenizer.should_add_bos())) ids.push_back(*tokenizer.bos());
  const std::vector<TokenId> conversation = tokenizer.encode_parts(writer.parts(), dropped);
  ids.insert(ids.end(), conversation.begin(), conversation.end());
  return ids;
}

}  // namespace pixellm
