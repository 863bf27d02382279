// Files of the real NumPy are read with the same values, and ours are its bytes.
#include <gtest/gtest.h>

#include <cstdio>

#include "base/hash.h"
#include "convert/npz.h"
#include "model/test_model.h"

namespace pixellm {
namespace {

struct Outcome {
  int status;
  std::string output;
};

Outcome run_script(const std::string& verb, const std::string& folder) {
  FILE* pipe = ::popen(("/usr/bin/python3 '" PIXELLM_SOURCE_DIR "/src/convert/numpy_files.py' " + verb +
                        " '" + folder + "' 2>&1")
                           .c_str(),
                       "r");
  EXPECT_NE(pipe, nullptr);
  Outcome r{-1, {}};
  char buffer[4096];
  for (size_t n; pipe && (n = ::fread(buffer, 1, sizeof buffer, pipe)) > 0;) r.output.append(buffer, n);
  if (pipe) r.status = ::pclose(pipe);
  return r;
}

// The script's line for each array: name, shape, SHA-256 of the values.
std::string describe(std::span<const NpzFile::Entry> entries) {
  std::string out;
  for (const auto& [name, array] : entries) {
    out.append(name).append(" ");
    for (const char* separator = ""; const uint64_t n : array.shape) {
      out.append(separator).append(std::to_string(n));
      separator = "x";
    }
    std::vector<uint8_t> bytes(array.values.size() * 4);
    for (size_t i = 0; i < array.values.size(); i++) store_le<float>(&bytes[i * 4], array.values[i]);
    out.append(" ").append(to_hex(sha256(bytes))).append("\n");
  }
  return out;
}

TEST(NumpyFiles, AreReadWithTheSameValues) {
  const TestFolder folder;
  const Outcome made = run_script("make", folder.path(""));
  ASSERT_EQ(made.status, 0) << made.output;
  size_t n_files = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder.path(""))) {
    if (file.path().extension() != ".npz") continue;
    n_files++;
    const auto npz = NpzFile::open(file.path().string());
    ASSERT_TRUE(npz) << npz.error().message;
    std::filesystem::path expected = file.path();
    const auto lines = read_file(expected.replace_extension(".expected").string(), 1 << 20);
    ASSERT_TRUE(lines) << lines.error().message;
    EXPECT_EQ(describe(npz->entries()), std::string(lines->begin(), lines->end())) << file.path();
  }
  EXPECT_EQ(n_files, 27u);
}

TEST(NumpyFiles, OursAreTheBytesOfSavez) {
  const TestFolder folder;
  const auto array = [](std::vector<uint64_t> shape) {
    NpyArray a{.shape = std::move(shape), .values = {}};
    uint64_t count = 1;
    for (const uint64_t n : a.shape) count *= n;
    for (uint64_t i = 0; i < count; i++) a.values.push_back(static_cast<float>(i) / 7 - 3);
    return a;
  };
  const std::vector<NpzFile::Entry> v0 = {{"embed", array({1024, 128})},
                                          {"hidden", array({128, 128})},
                                          {"b_hidden", array({128})},
                                          {"out", array({128, 1024})},
                                          {"b_out", array({1024})}};
  const std::vector<NpzFile::Entry> others = {{"scalar", array({})},
                                              {"none", array({0, 5})},
                                              {"gr\xc3\xb6\xc3\x9f"
                                               "e",
                                               array({3, 1, 2})},
                                              {"grad/x.weight", array({1000001})},
                                              {"deep", array(std::vector<uint64_t>(25, 1))}};
  for (const auto& entries : {v0, others, std::vector<NpzFile::Entry>{}}) {
    ASSERT_TRUE(write_npz(folder.path("ours.npz"), entries));
    const Outcome verdict = run_script("same", folder.path(""));
    EXPECT_EQ(verdict.status, 0) << verdict.output;
    EXPECT_EQ(verdict.output, describe(entries));
    const auto back = NpzFile::open(folder.path("ours.npz"));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(describe(back->entries()), describe(entries));
  }
  ASSERT_TRUE(write_npz(folder.path("v0.npz"), v0));
  EXPECT_EQ(std::filesystem::file_size(folder.path("v0.npz")), 1119956u);
}

}  // namespace
}  // namespace pixellm
