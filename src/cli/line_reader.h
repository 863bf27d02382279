// Lines of a file or of standard input, of a limited length.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pixellm::cli {

class LineReader {
 public:
  enum class Kind : uint8_t { kLine, kTooLong, kEnd };

  // "-" is standard input. Any file that can be read, pipes too.
  static Result<LineReader> open(const std::string& path, uint64_t max_length);
  LineReader(LineReader&& other) noexcept;
  LineReader& operator=(LineReader&&) = delete;
  ~LineReader();

  // The next line without its end, valid until the next call. kTooLong: it was skipped. kEnd also after
  // Ctrl-C, without the line that was being read then. kIo: it cannot be read.
  Result<Kind> next(std::string_view& line);

 private:
  LineReader() = default;
  Result<bool> fill();  // false at the end
  std::string path_;
  int fd_ = -1;
  uint64_t max_length_ = 0;
  std::string buffer_;
  size_t begin_ = 0;     // of what was not given out
  size_t searched_ = 0;  // no line ends before it
};

}  // namespace pixellm::cli
