// Test helper: builds ZIP archives in memory, lawful ones of every kind and, where a test asks, unlawful
// ones.
//
//   ZipBuilder b;
//   b.add("a.npy", bytes).descriptor = 8;
//   std::vector<uint8_t> file = b.build();
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"

namespace pixellm {

class ZipBuilder {
 public:
  using Buffer = std::vector<uint8_t>;

  struct Member {
    std::string name;
    Buffer data;
    bool deflate = false;       // as one stored block of deflate
    bool wide_local = false;    // sizes in the local header's ZIP64 field
    bool wide_central = false;  // sizes and offset in the directory's
    size_t descriptor = 0;      // 0: none; else the bytes of its sizes, 4 or 8
    bool descriptor_signature = true;
    uint16_t flags = 0;
    // Where build() put it.
    size_t header = 0, central = 0, packed_bytes = 0;
  };

  std::vector<Member> members;
  bool end64 = false;  // a ZIP64 end record and its locator; the end record is saturated
  std::string comment;
  // Where build() put them.
  size_t directory = 0, end64_record = 0, end = 0;

  Member& add(std::string name, Buffer data) {
    members.push_back({.name = std::move(name), .data = std::move(data)});
    return members.back();
  }

  Buffer build() {
    out_.clear();
    for (Member& m : members) add_local(m);
    directory = out_.size();
    for (Member& m : members) add_central(m);
    const size_t directory_bytes = out_.size() - directory;
    if (end64) add_end64(directory_bytes);
    end = out_.size();
    const uint64_t n = members.size();
    put(0x06054b50, 4), put(0, 4), put(end64 ? ~0u : n, 2), put(end64 ? ~0u : n, 2);
    put(end64 ? ~0u : directory_bytes, 4), put(end64 ? ~0u : directory, 4), put(comment.size(), 2);
    text(comment);
    return out_;
  }

 private:
  void put(uint64_t value, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i++) out_.push_back(static_cast<uint8_t>(value >> 8 * i));
  }
  void text(const std::string& s) { out_.insert(out_.end(), s.begin(), s.end()); }

  static Buffer packed(const Member& m) {
    if (!m.deflate) return m.data;
    const auto size = static_cast<uint16_t>(m.data.size());
    Buffer block = {1, static_cast<uint8_t>(size), static_cast<uint8_t>(size >> 8),
                    static_cast<uint8_t>(~size), static_cast<uint8_t>(~size >> 8)};
    block.insert(block.end(), m.data.begin(), m.data.end());
    return block;
  }

  // Flags to the extra field's length, the same in both headers.
  void add_common(const Member& m, bool sizes_unknown, bool wide, size_t extra_bytes) {
    put(m.flags | (m.descriptor ? 8u : 0u), 2), put(m.deflate ? 8 : 0, 2), put(0, 2), put(33, 2);
    put(sizes_unknown ? 0 : crc32(0, m.data), 4);
    put(sizes_unknown ? 0
        : wide        ? ~0u
                      : m.packed_bytes,
        4),
        put(sizes_unknown ? 0
            : wide        ? ~0u
                          : m.data.size(),
            4);
    put(m.name.size(), 2), put(extra_bytes, 2);
  }

  void add_local(Member& m) {
    const Buffer bytes = packed(m);
    m.header = out_.size(), m.packed_bytes = bytes.size();
    put(0x04034b50, 4), put(20, 2);
    add_common(m, m.descriptor > 0, m.wide_local, m.wide_local ? 20 : 0);
    text(m.name);
    if (m.wide_local) put(1, 2), put(16, 2), put(m.data.size(), 8), put(bytes.size(), 8);
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    if (!m.descriptor) return;
    if (m.descriptor_signature) put(0x08074b50, 4);
    put(crc32(0, m.data), 4), put(bytes.size(), m.descriptor), put(m.data.size(), m.descriptor);
  }

  void add_central(Member& m) {
    m.central = out_.size();
    put(0x02014b50, 4), put(0x0314, 2), put(20, 2);
    add_common(m, false, m.wide_central, m.wide_central ? 28 : 0);
    put(0, 2), put(0, 2), put(0, 2), put(0, 4), put(m.wide_central ? ~0u : m.header, 4);
    text(m.name);
    if (m.wide_central)
      put(1, 2), put(24, 2), put(m.data.size(), 8), put(m.packed_bytes, 8), put(m.header, 8);
  }

  void add_end64(size_t directory_bytes) {
    end64_record = out_.size();
    put(0x06064b50, 4), put(44, 8), put(45, 2), put(45, 2), put(0, 4), put(0, 4);
    put(members.size(), 8), put(members.size(), 8), put(directory_bytes, 8), put(directory, 8);
    put(0x07064b50, 4), put(0, 4), put(end64_record, 8), put(1, 4);
  }

  Buffer out_;
};

}  // namespace pixellm
