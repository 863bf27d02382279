#include "tokenizer/chat_layout.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "tokenizer/jinja_text.h"

namespace pixellm {
namespace {

constexpr std::string_view kQwenSystem =
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";

// Patterns are written with ' for the canonical quote.
std::string quoted(std::string_view pattern) {
  std::string text(pattern);
  std::replace(text.begin(), text.end(), '\'', kJinjaQuote);
  return text;
}

bool has(std::string_view canonical, std::string_view pattern) {
  return canonical.find(quoted(pattern)) != std::string_view::npos;
}

template <class... Patterns>
bool has_any(std::string_view canonical, const Patterns&... patterns) {
  return (has(canonical, patterns) || ...);
}

// What stands between `before` and `after` for the first time, with no quote in between.
std::optional<std::string> between(std::string_view canonical, std::string_view before,
                                   std::string_view after) {
  const std::string head = quoted(before), tail = quoted(after);
  for (size_t at = 0; (at = canonical.find(head, at)) != std::string_view::npos; ++at) {
    const size_t begin = at + head.size();
    const size_t end = canonical.find(tail, begin);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view found = canonical.substr(begin, end - begin);
    if (found.find(kJinjaQuote) == std::string_view::npos) return std::string(found);
  }
  return std::nullopt;
}

size_t count(std::string_view canonical, std::string_view pattern) {
  const std::string text = quoted(pattern);
  size_t n = 0;
  for (size_t at = 0; (at = canonical.find(text, at)) != std::string_view::npos; at += text.size()) ++n;
  return n;
}

TurnLayout turn(std::string open, std::string close, bool trims = false) {
  return {std::move(open), std::move(close), trims, false};
}

ChatLayout chatml(ChatFamily family) {
  ChatLayout layout;
  layout.family = family;
  layout.system = turn("<|im_start|>system\n", "<|im_end|>\n");
  layout.user = turn("<|im_start|>user\n", "<|im_end|>\n");
  layout.assistant = turn("<|im_start|>assistant\n", "<|im_end|>\n");
  layout.answer = "<|im_start|>assistant\n";
  layout.markers = {"<|im_start|>", "<|im_end|>"};
  layout.end_marker = "<|im_end|>";
  return layout;
}

ChatLayout llama3() {
  ChatLayout layout;
  layout.family = ChatFamily::kLlama3;
  layout.system = turn("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>", true);
  layout.user = turn("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>", true);
  layout.assistant = turn("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>", true);
  layout.answer = layout.assistant.open;
  layout.bos = true;
  layout.markers = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"};
  layout.end_marker = "<|eot_id|>";
  return layout;
}

ChatLayout gemma(SystemPlace system_place) {
  ChatLayout layout;
  layout.family = ChatFamily::kGemma;
  layout.user = turn("<start_of_turn>user\n", "<end_of_turn>\n", true);
  layout.assistant = turn("<start_of_turn>model\n", "<end_of_turn>\n", true);
  layout.answer = layout.assistant.open;
  layout.system_place = system_place;
  layout.system_separator = "\n\n";
  layout.bos = true;
  layout.alternates = true;
  layout.markers = {"<start_of_turn>", "<end_of_turn>"};
  layout.end_marker = "<end_of_turn>";
  return layout;
}

ChatLayout mistral(std::string_view open, std::string_view close, std::string_view answer_space) {
  ChatLayout layout;
  layout.family = ChatFamily::kMistral;
  layout.user = turn(std::string(open), std::string(close));
  layout.assistant = turn(std::string(answer_space), "");
  layout.assistant.closes_with_eos = true;
  layout.system_separator = "\n\n";
  layout.system_place = SystemPlace::kRefused;
  layout.bos = true;
  layout.alternates = true;
  return layout;
}

std::optional<ChatLayout> recognise_chatml(std::string_view template_text) {
  const std::string text = without_branch(std::string(template_text), "tools");
  const bool whole_turn =
      has_any(text, "'<|im_start|>'+message['role']+'\n'+message['content']+'<|im_end|>\n'",
              "'<|im_start|>'+message['role']+'\n'+content+'<|im_end|>\n'");
  if (!whole_turn || !has(text, "'<|im_start|>assistant\n'")) return std::nullopt;
  ChatLayout layout = chatml(ChatFamily::kChatMl);
  // Every system turn must be the conversation's own or a fixed text.
  const size_t n_fixed = count(text, "'<|im_start|>system\n") -
                         count(text, "'<|im_start|>system\n'+messages[0]['content']+'<|im_end|>\n'");
  if (n_fixed > 1) return std::nullopt;
  if (n_fixed == 1) {
    const auto fixed = between(text, "'<|im_start|>system\n", "<|im_end|>\n'");
    if (!fixed || fixed->empty()) return std::nullopt;
    layout.default_system = *fixed;
  }
  layout.bos = has(text, "bos_token");
  const bool thinks = has(text, "</think>");
  if (thinks && !has(text, "'<|im_start|>'+message['role']+'\n<think>\n'+")) return std::nullopt;
  layout.drops_thinking = thinks;
  if (thinks || layout.default_system == "You are a helpful assistant." ||
      layout.default_system.starts_with("You are Qwen")) {
    layout.family = ChatFamily::kQwen;
  }
  return layout;
}

std::optional<ChatLayout> recognise_llama3(std::string_view text) {
  if (!has(text,
           "'<|start_header_id|>'+message['role']+'<|end_header_id|>\n\n'+message['content']|trim+'<|eot_id|>"
           "'") ||
      !has(text, "<|start_header_id|>assistant<|end_header_id|>\n\n'")) {
    return std::nullopt;
  }
  ChatLayout layout = llama3();
  layout.bos = has(text, "bos_token");
  if (!has(text, "<|start_header_id|>system")) return layout;
  // Llama 3.1 and later begin every system turn with dates; the template's own fixed date is taken, never the
  // clock.
  const auto dates = between(text, "Cutting Knowledge Date:", "'+date_string+'\n\n'");
  const auto today = between(text, "date_string='", "'");
  if (!dates || !today) return std::nullopt;
  layout.system_prefix = "Cutting Knowledge Date:" + *dates + *today + "\n\n";
  layout.default_system = layout.system_prefix;
  return layout;
}

std::optional<ChatLayout> recognise_gemma(std::string_view text) {
  if (!has(text, "role='model'") || !has(text, "'<start_of_turn>'+role+'\n'+") ||
      !has(text, "message['content']|trim") || !has_any(text, "'<end_of_turn>\n'", "+'<end_of_turn>\n") ||
      !has(text, "'<start_of_turn>model\n'")) {
    return std::nullopt;
  }
  const bool takes_system = has_any(text, "first_user_prefix=messages[0]['content']+'\n\n'");
  if (!takes_system && has(text, "first_user_prefix")) return std::nullopt;
  ChatLayout layout = gemma(takes_system ? SystemPlace::kFirstUser : SystemPlace::kRefused);
  layout.alternates = has(text, "must alternate");
  layout.bos = has(text, "bos_token");
  return layout;
}

std::optional<ChatLayout> recognise_mistral(std::string_view text) {
  if (has_any(text, "<<SYS>>", "default_system_message")) return std::nullopt;
  constexpr std::string_view kOpens[] = {" [INST] ", "[INST] ", "[INST]"};
  constexpr std::string_view kCloses[] = {" [/INST]", "[/INST]"};
  const auto literal = [&](auto& forms, bool opens) {
    for (const std::string_view form : forms) {
      if (has(text, opens ? fmt::format("'{}'+", form) : fmt::format("+'{}'", form))) return form;
    }
    return std::string_view();
  };
  const std::string_view open = literal(kOpens, true), close = literal(kCloses, false);
  const bool trims = has(text, "message['content']|trim+eos_token");
  if (open.empty() || close.empty() || !(trims || has(text, "message['content']+eos_token")))
    return std::nullopt;
  const bool space =
      has_any(text, "' '+message['content']+eos_token", "' '+message['content']|trim+eos_token");
  ChatLayout layout = mistral(open, close, space ? " " : "");
  layout.assistant.trims = trims;
  if (has(text, "eos_token+' '")) layout.assistant.close = std::string(1, ' ');
  if (has(text, "system_message+'\n\n'+message['content']")) {
    if (has(text, "loop.first and system_message")) layout.system_place = SystemPlace::kFirstUser;
    if (has(text, "loop.last and system_message")) layout.system_place = SystemPlace::kLastUser;
  }
  if (has(text, "[SYSTEM_PROMPT]")) {
    const bool wide = has(text, "'[SYSTEM_PROMPT] '+message['content']+'[/SYSTEM_PROMPT]'");
    if (!wide && !has(text, "'[SYSTEM_PROMPT]'+message['content']+'[/SYSTEM_PROMPT]'")) return std::nullopt;
    layout.system_place = SystemPlace::kOwnTurn;
    layout.system = turn(wide ? "[SYSTEM_PROMPT] " : "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]");
  }
  layout.alternates = has(text, "must alternate");
  layout.bos = has(text, "bos_token");
  return layout;
}

}  // namespace

ChatLayout published_layout(ChatFamily family) {
  switch (family) {
    case ChatFamily::kChatMl:
      break;
    case ChatFamily::kLlama3:
      return llama3();
    case ChatFamily::kGemma:
      return gemma(SystemPlace::kFirstUser);
    case ChatFamily::kQwen: {
      ChatLayout layout = chatml(ChatFamily::kQwen);
      layout.default_system = kQwenSystem;
      return layout;
    }
    case ChatFamily::kMistral: {  // Mistral 7B Instruct v0.3
      ChatLayout layout = mistral("[INST] ", "[/INST]", " ");
      layout.assistant.trims = true;
      layout.system_place = SystemPlace::kLastUser;
      return layout;
    }
  }
  return chatml(ChatFamily::kChatMl);
}

std::optional<ChatLayout> recognise_layout(std::string_view jinja) {
  const std::string text = canonical_jinja(jinja);
  const bool im = has(text, "<|im_start|>"), header = has(text, "<|start_header_id|>");
  const bool turns = has(text, "<start_of_turn>"), inst = has(text, "[INST]");
  if (im + header + turns + inst != 1) return std::nullopt;
  return im       ? recognise_chatml(text)
         : header ? recognise_llama3(text)
         : turns  ? recognise_gemma(text)
                  : recognise_mistral(text);
}

}  // namespace pixellm
