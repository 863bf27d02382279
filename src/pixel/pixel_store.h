// PixelFS: a folder of PXIF containers that survives crashes, and whose names never lead out of it. Spec:
// spec/pixelfs.md, section 5.
//
//   PixelStore store("pixel_storage");
//   auto out = PIXELLM_TRY(store.create("notes/today", {}));        // pixel_storage/notes/today.pxi
//   PIXELLM_CHECK(out.pxif.write(bytes));
//   PIXELLM_CHECK(out.pxif.finish());                               // durable; readers of the old version
//   keep it auto in = PIXELLM_TRY(store.open("notes/today"));               // a PxifReader
// Errors of every function: kInvalidArgument (an unlawful name, a link on the way), kNotFound, kIo, and of
// those that change something kBusy (another program changes the same name).
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "pixel/pxif_reader.h"
#include "pixel/pxif_writer.h"
#include "pixel/store_folder.h"

namespace pixellm {

// The widest picture that a store writes: the last row's padding costs 3 MiB at most. It reads wider ones.
inline constexpr uint32_t kStoreMaxWidth = uint32_t{1} << 20;

// A container that is being written. The lock outlives the writer.
struct StoreWriter {
  NameLock lock;
  PxifWriter pxif;
};

struct StoredImage {
  std::string name;  // relative to the root, without ".pxi"
  PxifHeader header;
};

struct StoreListing {
  std::vector<StoredImage> images;  // sorted by name
  std::vector<Error> problems;      // what is called .pxi and is no container; folders that cannot be read
};

// Immutable; safe from several threads and processes.
class PixelStore {
 public:
  // Touches nothing. `patience`: how long to wait for another program that changes the same name.
  explicit PixelStore(std::string root, std::chrono::milliseconds patience = std::chrono::seconds(5));

  // Folders and the root are created when missing. kInvalidArgument: a width of 0 or over kStoreMaxWidth.
  Result<StoreWriter> create(std::string_view name, const PxifOptions& options) const;
  Result<PxifReader> open(std::string_view name) const;
  // Into the trash; the same name may lie there several times.
  Result<void> remove(std::string_view name) const;
  // The newest of that name in the trash, back to its place. kInvalidArgument: the name exists.
  Result<void> restore(std::string_view name) const;
  // Containers in the root, or also in all its folders. kNotFound: no such root.
  Result<StoreListing> list(bool recursive) const;
  // A file beside the container, named as it is with `suffix` instead of ".pxi".
  Result<AtomicFile> create_beside(std::string_view name, std::string_view suffix) const;

  // "ROOT/a/b.pxi". kInvalidArgument.
  Result<std::string> path_of(std::string_view name) const;
  const std::string& root() const { return root_; }

 private:
  Result<void> list_folder(const Folder& folder, const std::string& prefix, bool recursive,
                           StoreListing& out) const;

  std::string root_;
  std::chrono::milliseconds patience_;
};

}  // namespace pixellm
