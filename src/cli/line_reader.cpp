#include "cli/line_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cli/common.h"

namespace pixellm::cli {

Result<LineReader> LineReader::open(const std::string& path, uint64_t max_length) {
  LineReader reader;
  reader.path_ = path == "-" ? "standard input" : path;
  reader.max_length_ = max_length;
  reader.fd_ = path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (reader.fd_ < 0) return fail(ErrorCode::kIo, fmt::format("{}: {}", path, std::strerror(errno)));
  struct stat st{};
  if (::fstat(reader.fd_, &st) == 0 && S_ISDIR(st.st_mode))
    return fail(ErrorCode::kInvalidArgument, fmt::format("{}: is a folder", reader.path_));
  return reader;
}

LineReader::LineReader(LineReader&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      max_length_(other.max_length_),
      buffer_(std::move(other.buffer_)),
      begin_(other.begin_),
      searched_(other.searched_) {}

LineReader::~LineReader() {
  if (fd_ > STDIN_FILENO) ::close(fd_);
}

Result<bool> LineReader::fill() {
  constexpr size_t kStep = size_t{64} << 10;
  buffer_.erase(0, begin_);
  searched_ -= begin_;
  begin_ = 0;
  const size_t size = buffer_.size();
  buffer_.resize(size + kStep);
  ssize_t n = -1;
  do {
    if (interrupted()) n = 0;
  } while (n < 0 && (n = ::read(fd_, buffer_.data() + size, kStep)) < 0 && errno == EINTR);
  buffer_.resize(size + static_cast<size_t>(n > 0 ? n : 0));
  if (n < 0) return fail(ErrorCode::kIo, fmt::format("{}: {}", path_, std::strerror(errno)));
  return n > 0;
}

Result<LineReader::Kind> LineReader::next(std::string_view& line) {
  bool too_long = false;
  while (!interrupted()) {
    size_t end = buffer_.find('\n', searched_);
    const bool found = end != buffer_.npos;
    if (!found) {
      searched_ = buffer_.size();
      if (searched_ - begin_ > max_length_) {
        too_long = true;
        begin_ = searched_;
      }
      if (PIXELLM_TRY(fill())) continue;
      if (interrupted() || (buffer_.empty() && !too_long)) return Kind::kEnd;
      end = buffer_.size();  // the last line has no end
    }
    line = std::string_view(buffer_).substr(begin_, end - begin_);
    begin_ = searched_ = found ? end + 1 : end;
    too_long |= line.size() > max_length_;
    return too_long ? Kind::kTooLong : Kind::kLine;
  }
  return Kind::kEnd;
}

}  // namespace pixellm::cli
