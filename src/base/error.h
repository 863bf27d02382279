// Errors as values. Functions that can fail on input, disk or network return Result<T>; nothing in this
// project throws, and a library's exceptions are caught where it is called. A broken promise of our own
// code is not an Error: it stops the program through PIXELLM_ASSERT.
//
//   Result<Header> read_header(const File& f) {
//     auto bytes = PIXELLM_TRY(f.read(0, 256));       // returns the Error to our caller when there is one
//     PIXELLM_CHECK(check_magic(bytes));               // the same for Result<void>
//     if (bytes[4] != 2) return fail(ErrorCode::kUnsupported, "pxim: version 3, this program reads 1 and 2");
//     ...
#pragma once
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace pixellm {

enum class ErrorCode : uint8_t {
  kIo,               // the system refused: open, read, write, map, no space
  kCorrupt,          // the bytes contradict the format or a checksum
  kUnsupported,      // lawful, but not something this program does
  kInvalidArgument,  // the caller's value is outside what is allowed
  kNotFound,         // a named thing does not exist
  kTooLarge,         // a size or count is over a stated limit
  kBusy,             // held by somebody else at the moment
  kInternal,         // our own mistake that could still be reported
};

std::string_view error_code_name(ErrorCode code);

// `message` names the part, what was found and what was allowed, in one line without a final dot.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

template <class T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
  return std::unexpected<Error>(Error{code, std::move(message)});
}

// Puts "context: " before the message, to say which file or part an inner error belongs to.
inline std::unexpected<Error> fail_in(std::string_view context, Error error) {
  error.message.insert(0, std::string(context) + ": ");
  return std::unexpected<Error>(std::move(error));
}

// Prints the text with file and line to stderr and aborts. Only for our own broken promises.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace pixellm

#define PIXELLM_ASSERT(x) ((x) ? void(0) : ::pixellm::assertion_failed(#x, __FILE__, __LINE__))

// Value of a Result<T>, or return its Error from the enclosing function. Not inside a braced list or among the
// arguments of a call beside others: GCC does not destroy what was made before it when it returns from there.
#define PIXELLM_TRY(...)                                                        \
  __extension__({                                                               \
    auto pixellm_result_ = (__VA_ARGS__);                                       \
    if (!pixellm_result_) return std::unexpected(std::move(pixellm_result_).error()); \
    std::move(*pixellm_result_);                                                \
  })

// The same for Result<void>, as a statement.
#define PIXELLM_CHECK(...)                                                      \
  do {                                                                          \
    auto pixellm_result_ = (__VA_ARGS__);                                       \
    if (!pixellm_result_) return std::unexpected(std::move(pixellm_result_).error()); \
  } while (0)
