// The text of a generation in the making: token bytes, whole characters, stop texts. Internal to infer.
#pragma once
#include <string>
#include <vector>

#include "infer/stop_text.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

// A copy goes on independently. Borrows the tokenizer.
class AnswerText {
 public:
  AnswerText(const Tokenizer& tokenizer, const std::vector<std::string>& stops)
      : decoder_(tokenizer), scanner_(stops) {}

  std::string push(TokenId id) { return scanner_.push(decoder_.push(id)); }  // what has become sure
  bool stopped() const { return scanner_.found(); }
  std::string flush() {
    std::string text = scanner_.push(decoder_.flush());
    return text += scanner_.flush();
  }

 private:
  StreamDecoder decoder_;
  StopScanner scanner_;
};

}  // namespace pixellm
