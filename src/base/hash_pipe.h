// SHA-256 of a stream on a thread of its own: hashing is slower than reading and writing, and overlaps both.
//
//   HashPipe pipe;
//   for (;;) {
//     const MutableBytes chunk = pipe.next();       // waits until the hash is done with this memory
//     const size_t n = PIXELLM_TRY(in.read(chunk));
//     if (n == 0) break;
//     pipe.push(n);                                 // hashed from now on; the chunk may still be read
//     PIXELLM_CHECK(out.write(chunk.first(n)));
//   }
//   const Digest digest = pipe.finish();
// The object belongs to one thread. Where no thread can be started, push() hashes itself.
#pragma once
#include <memory>

#include "base/bytes.h"
#include "base/hash.h"

namespace pixellm {

class HashPipe {
 public:
  static constexpr size_t kChunkBytes = size_t{256}
                                        << 10;  // reading and writing find it in the core's own cache

  HashPipe();
  ~HashPipe();  // without finish(): drops what is not hashed yet
  HashPipe(HashPipe&&) noexcept;

  MutableBytes next();  // kChunkBytes; the same memory until push()
  void push(size_t n);  // the first n bytes of next(); they keep their values until next() is called again
  Digest finish();      // of everything pushed; ends the stream

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pixellm
