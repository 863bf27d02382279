// Signatures and sizes of ZIP's records, shared by its reader and writer.
#pragma once
#include <cstddef>
#include <cstdint>

namespace pixellm::zip {

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocatorSignature = 0x07064b50;
constexpr uint32_t kDescriptorSignature = 0x08074b50;

// Without names, extra fields and comments.
constexpr size_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;

constexpr uint16_t kStored = 0, kDeflated = 8;
constexpr uint16_t kZip64Field = 1;  // id in extra fields
constexpr uint16_t kUtf8Flag = 1 << 11;

// A value that stands in the ZIP64 field or record instead.
constexpr uint16_t kIn64Short = 0xffff;
constexpr uint32_t kIn64 = 0xffffffff;

}  // namespace pixellm::zip
