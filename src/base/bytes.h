// Reading and writing integers at byte offsets, in either byte order, and arithmetic on sizes from files.
// Disk structures are encoded and decoded with these, never by copying a struct.
#pragma once
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace pixellm {

using Bytes = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;

// The bytes of numbers as they lie in memory.
template <class T>
Bytes bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
}
template <class T>
MutableBytes mutable_bytes_of(std::span<T> values) {
  return {reinterpret_cast<uint8_t*>(values.data()), values.size_bytes()};
}

template <class T>
  requires(std::is_arithmetic_v<T>)
T load_le(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  if constexpr (std::endian::native == std::endian::big && std::is_integral_v<T>) v = std::byteswap(v);
  return v;
}

template <class T>
  requires(std::is_arithmetic_v<T>)
void store_le(uint8_t* p, std::type_identity_t<T> v) {
  if constexpr (std::endian::native == std::endian::big && std::is_integral_v<T>) v = std::byteswap(v);
  std::memcpy(p, &v, sizeof v);
}

template <std::integral T>
T load_be(const uint8_t* p) {
  return std::byteswap(load_le<T>(p));
}

template <std::integral T>
void store_be(uint8_t* p, std::type_identity_t<T> v) {
  store_le<T>(p, std::byteswap(v));
}

// nullopt when the exact result does not fit.
inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  uint64_t r;
  return __builtin_add_overflow(a, b, &r) ? std::nullopt : std::optional(r);
}
inline std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
  uint64_t r;
  return __builtin_mul_overflow(a, b, &r) ? std::nullopt : std::optional(r);
}

// For sizes that were checked before: round up to a multiple, quotient rounded up.
constexpr uint64_t round_up(uint64_t n, uint64_t multiple) { return (n + multiple - 1) / multiple * multiple; }
constexpr uint64_t ceil_div(uint64_t n, uint64_t d) { return (n + d - 1) / d; }

}  // namespace pixellm
