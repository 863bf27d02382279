// Finding stop texts in text that arrives in pieces.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pixellm {

// Lets text through once it can no longer be part of a stop text. What comes out does not depend on how the
// text was cut into pieces: it ends before the stop text that is complete first (of several ending there, the
// longest).
class StopScanner {
 public:
  explicit StopScanner(std::vector<std::string> stops) : stops_(std::move(stops)) {}  // none empty

  std::string push(std::string_view text);  // what has become sure
  bool found() const { return found_; }     // then push and flush give nothing more
  std::string flush();                      // what was held back, at the end

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool found_ = false;
};

}  // namespace pixellm
