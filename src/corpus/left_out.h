// What a corpus does not take, and why (spec/corpus.md, section 2).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace pixellm {

enum class LeftOutReason : uint8_t {
  kSkippedFolder,  // on the skip list; named once for all that is below it
  kSymbolicLink,   // never followed
  kSpecialFile,    // a pipe, socket or device
  kName,           // not UTF-8, or with control characters
  kTooDeep,        // more than 200 folders below each other
  kUnreadable,     // the system refused; detail says how
  kNotUtf8,        // of its content
  kChanged,        // or vanished, while it was read
  kOwnOutput,      // of this or an earlier run
  kSecret,         // rule says which; line where, unless the name alone decided
};

// The word for it in reports: "symbolic link".
std::string_view left_out_reason_name(LeftOutReason reason);

struct LeftOut {
  std::string path;  // relative, a folder with '/' at its end; other than printable UTF-8 as \xNN
  LeftOutReason reason;
  std::string detail = {};  // for people; may be empty
  uint64_t line = 0;        // kSecret: from 1; 0 for the name
  std::string_view rule = {};
};

// Text for one line of a report: bytes that are not UTF-8, control characters and then also backslashes as
// \xNN.
std::string escaped_path(std::string_view path);

// A name or path that can stand in a title line: UTF-8 without control characters (U+0000 to U+001F, U+007F).
bool is_lawful_path(std::string_view path);

}  // namespace pixellm
