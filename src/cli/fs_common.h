// What the verbs of `pixellm fs` share.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "cli/common.h"
#include "pixel/pixel_store.h"

namespace pixellm::cli {

int fs_write(int argc, char** argv);
int fs_read(int argc, char** argv);
int fs_info(int argc, char** argv);
int fs_verify(int argc, char** argv);
int fs_list(int argc, char** argv);
int fs_remove(int argc, char** argv);
int fs_restore(int argc, char** argv);
int fs_export_png(int argc, char** argv);
int fs_demo(int argc, char** argv);

// --root, and --wait for the verbs that change something.
struct StoreFlags {
  std::string root = "pixel_storage";
  double wait_seconds = 5;
  void add_to(CLI::App& app);
  void add_wait_to(CLI::App& app);
  PixelStore store() const;
};
// "1,234,567".
std::string thousands(uint64_t n);

// A bar for what takes a while: work on more than 64 MB, as the calls say how much it is.
Progress progress_for(std::string label);

// NAME as `fs list` writes it: without ".pxi".
std::string bare_name(const std::string& name);

// {name, path, original_size, width, height, compression, sha256, file_bytes}
nlohmann::ordered_json header_json(const std::string& name, const std::string& path,
                                   const PxifHeader& header);

// An error when `out` is the container itself.
Result<void> check_output(const PixelStore& store, const std::string& name, const std::string& out);

}  // namespace pixellm::cli
