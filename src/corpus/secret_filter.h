// Finds files that hold secrets: by their names, and by what stands in them (spec/corpus.md, section 4). A
// finding says where and by which rule, never the secret itself. The scanner reads a text once, piece by
// piece, in linear time whatever the text is, with a few kilobytes of memory.
//
//   if (auto rule = secret_file_rule("credentials.json")) ...      // left out unread
//   SecretScanner scanner(TextKind::kPython);
//   scanner.push(text);
//   if (auto found = scanner.finish()) report(path, found->line, found->rule);
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pixellm {

// How literals are written: in Python an assigned word without quotes is a name, elsewhere it can be the
// value.
enum class TextKind : uint8_t { kPython, kOther };

struct SecretFinding {
  uint64_t line = 0;      // counted from 1
  std::string_view rule;  // a name of section 4's table; lives as long as the program
};

// The rule by which a file of this name (without folders) is taken for secrets, or nullopt. Pure and
// thread-safe.
std::optional<std::string_view> secret_file_rule(std::string_view name);

// One text's search for its first secret. One thread at a time.
class SecretScanner {
 public:
  explicit SecretScanner(TextKind kind) : kind_(kind) {}

  // The text's next bytes, newlines as LF. After a finding further text is ignored.
  void push(std::string_view piece);

  // The text ends here; its first secret in reading order, if any.
  std::optional<SecretFinding> finish();

  // The finding so far: lets a caller stop early.
  const std::optional<SecretFinding>& found() const { return found_; }

 private:
  void scan(size_t end);
  TextKind kind_;
  std::string
      window_;       // what rules may look at: kBehind bytes before the next position, up to a piece after it
  size_t next_ = 0;  // first position in window_ not yet examined
  uint64_t line_ = 1;
  std::optional<SecretFinding> found_;
};

}  // namespace pixellm
