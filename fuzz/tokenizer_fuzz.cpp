// A vocabulary and a text from any bytes: creating must end with an error or a tokenizer; encoding must give
// ids of the vocabulary; a byte-level tokenizer that dropped nothing must give back the text, with U+FFFD for
// what is no UTF-8. The same bytes as a chat template: recognising it must end, and encoding a conversation
// too.
//
// Input: byte 0 chooses model and pre-tokenizer, then lines: "t<kind><text>" a token, "m<text>" a merge,
// "x" the rest is the text. Byte-level vocabularies get the 256 byte letters first when bit 7 of byte 0 is
// set. With bit 6 of byte 0 the vocabulary is one of code points instead.
#include <algorithm>
#include <cstdint>
#include <deque>

#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

using namespace pixellm;

namespace {

struct Input {
  TokenizerSpec spec;
  std::deque<std::string> letters;
  std::string_view text;
};

void add_token(Input& input, std::string_view text, uint8_t kind) {
  input.spec.tokens.push_back(text);
  input.spec.kinds.push_back(kind);
  input.spec.scores.push_back(static_cast<float>(static_cast<int>(text.size() * 31 % 17) - 8));
}

void read(std::string_view data, Input& input) {
  static constexpr std::string_view kPre[] = {"gpt-2",   "smollm", "llama-bpe", "qwen2",
                                              "default", "dbrx",   "",          "none"};
  const uint8_t choice = data.empty() ? 0 : static_cast<uint8_t>(data[0]);
  if (!data.empty()) data.remove_prefix(1);
  input.spec.model = (choice & 8) != 0 ? "llama" : "gpt2";
  input.spec.pre = kPre[choice & 7];
  if ((choice & 16) != 0) input.spec.model_name = "phi-3";
  if ((choice & 32) != 0) input.spec.add_space_prefix = false;
  for (int byte = 0; (choice & 128) != 0 && byte < 256; ++byte) {
    std::string letter;
    append_utf8(byte_letter(static_cast<uint8_t>(byte)), letter);
    add_token(input, input.letters.emplace_back(letter), 1);
  }
  while (!data.empty() && data[0] != 'x') {
    const size_t end = std::min(data.find('\n'), data.size());
    const std::string_view line = data.substr(0, end);
    if (line.starts_with('t') && line.size() >= 2)
      add_token(input, line.substr(2), static_cast<uint8_t>(line[1]) & 7);
    if (line.starts_with('m')) input.spec.merges.push_back(line.substr(1));
    data.remove_prefix(std::min(end + 1, data.size()));
  }
  if (!data.empty()) data.remove_prefix(1);
  if ((choice & 64) != 0) {
    input.spec = {};
    input.spec.model = kCodePointModel;
    input.spec.vocab_size = uint64_t{1} << (choice & 31);
  }
  input.text = data;
}

std::string as_utf8(std::string_view text) {
  std::string out;
  for (const Char c : decode_characters(text)) append_utf8(c.code_point(), out);
  return out;
}

void check_chat(const Tokenizer& tokenizer, std::string_view text) {
  const auto chat = ChatTemplate::detect(text);
  const ChatMessage talk[] = {{"system", std::string(text)}, {"user", std::string(text)}};
  if (chat) (void)chat->encode(tokenizer, talk, true);
  for (const std::string_view name : ChatTemplate::names()) {
    (void)ChatTemplate::from_name(name)->encode(tokenizer, std::span(talk).subspan(1), true);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input;
  read({reinterpret_cast<const char*>(data), size}, input);
  const auto tokenizer = Tokenizer::create(input.spec);
  if (!tokenizer) {
    PIXELLM_ASSERT(!tokenizer.error().message.empty());
    return 0;
  }
  for (const bool special : {false, true}) {
    std::string dropped;
    const std::vector<TokenId> ids = tokenizer->encode(input.text, special, &dropped);
    StreamDecoder stream(*tokenizer, true);
    std::string streamed;
    for (const TokenId id : ids) {
      PIXELLM_ASSERT(tokenizer->is_valid(id));
      streamed += stream.push(id);
    }
    streamed += stream.flush();
    PIXELLM_ASSERT(streamed == tokenizer->decode(ids, true));
    const bool lossless = input.spec.model == "gpt2" && dropped.empty() && input.spec.model_name.empty();
    // A merge whose result is no token falls back to tokens of single raw bytes, which decode to themselves.
    bool plain =
        lossless && std::none_of(input.spec.tokens.begin(), input.spec.tokens.end(), [](std::string_view t) {
          return t.size() == 1 && static_cast<uint8_t>(t[0]) >= 0x80;
        });
    for (size_t i = 0; plain && i < ids.size(); i++)
      plain = input.spec.kinds[static_cast<size_t>(ids[i])] == 1;
    if (plain && input.spec.tokens.size() >= 256) PIXELLM_ASSERT(streamed == as_utf8(input.text));
  }
  check_chat(*tokenizer, input.text);
  return 0;
}
