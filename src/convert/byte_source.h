// Where a converter reads from: a file by position, or bytes in memory (tests, fuzzing).
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"

namespace pixellm {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size() const = 0;
  virtual const std::string& name() const = 0;
  virtual Result<void> read_at(uint64_t offset, MutableBytes out) const = 0;  // kCorrupt past the end
};

// Borrows the file.
class FileSource final : public ByteSource {
 public:
  explicit FileSource(const File& file) : file_(&file) {}
  uint64_t size() const override { return file_->size(); }
  const std::string& name() const override { return file_->path(); }
  Result<void> read_at(uint64_t offset, MutableBytes out) const override {
    return file_->read_at(offset, out);
  }

 private:
  const File* file_;
};

// Borrows the bytes.
class MemorySource final : public ByteSource {
 public:
  MemorySource(Bytes bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {}
  uint64_t size() const override { return bytes_.size(); }
  const std::string& name() const override { return name_; }
  Result<void> read_at(uint64_t offset, MutableBytes out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset)
      return fail(ErrorCode::kCorrupt, name_ + ": ends too early");
    std::ranges::copy(bytes_.subspan(offset, out.size()), out.begin());
    return {};
  }

 private:
  Bytes bytes_;
  std::string name_;
};

}  // namespace pixellm
