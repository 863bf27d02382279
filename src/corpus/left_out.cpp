#include "corpus/left_out.h"

#include <fmt/format.h>

#include "base/utf8.h"

namespace pixellm {
namespace {

bool is_control(char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; }

}  // namespace

bool is_lawful_path(std::string_view path) {
  while (!path.empty()) {
    const size_t length = utf8_character_length(path);
    if (length == 0 || is_control(path[0])) return false;
    path.remove_prefix(length);
  }
  return true;
}

std::string escaped_path(std::string_view path) {
  if (is_lawful_path(path)) return std::string(path);
  std::string out;
  while (!path.empty()) {
    const size_t length = utf8_character_length(path);
    if (length == 0 || is_control(path[0]) || path[0] == '\\') {
      out += fmt::format("\\x{:02x}", static_cast<uint8_t>(path[0]));
      path.remove_prefix(1);
    } else {
      out += path.substr(0, length);
      path.remove_prefix(length);
    }
  }
  return out;
}

std::string_view left_out_reason_name(LeftOutReason reason) {
  switch (reason) {
    case LeftOutReason::kSkippedFolder:
      return "skipped folder";
    case LeftOutReason::kSymbolicLink:
      return "symbolic link";
    case LeftOutReason::kSpecialFile:
      return "special file";
    case LeftOutReason::kName:
      return "name";
    case LeftOutReason::kTooDeep:
      return "too deep";
    case LeftOutReason::kUnreadable:
      return "unreadable";
    case LeftOutReason::kNotUtf8:
      return "not UTF-8";
    case LeftOutReason::kChanged:
      return "changed";
    case LeftOutReason::kOwnOutput:
      return "own output";
    case LeftOutReason::kSecret:
      return "secret";
  }
  return "unknown";
}

}  // namespace pixellm
