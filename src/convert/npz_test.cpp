#include "convert/npz.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "convert/zip.h"
#include "convert/zip_builder.h"
#include "model/test_model.h"

namespace pixellm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Buffer = std::vector<uint8_t>;

const NpyArray kA{.shape = {2, 3}, .values = {1, 2, 3, 4, 5, 6}};
const NpyArray kB{.shape = {5}, .values = {0.5, -1, 0, 8, -0.25}};

Result<NpzFile> read(Bytes file) { return NpzFile::read(MemorySource(file, "test.npz")); }

void expect_error(Bytes file, ErrorCode code, const testing::Matcher<const std::string&>& message) {
  const auto npz = read(file);
  ASSERT_FALSE(npz);
  EXPECT_EQ(npz.error().code, code) << npz.error().message;
  EXPECT_THAT(npz.error().message, AllOf(HasSubstr("test.npz: "), message));
}

void expect_a_and_b(Bytes file, const std::string& what) {
  const auto npz = read(file);
  ASSERT_TRUE(npz) << what << ": " << npz.error().message;
  ASSERT_EQ(npz->entries().size(), 2u) << what;
  const NpyArray *a = npz->find("a"), *b = npz->find("b");
  ASSERT_TRUE(a && b) << what;
  EXPECT_EQ(a->shape, kA.shape) << what;
  EXPECT_EQ(a->values, kA.values) << what;
  EXPECT_EQ(b->shape, kB.shape) << what;
  EXPECT_EQ(b->values, kB.values) << what;
}

ZipBuilder small() {
  ZipBuilder b;
  b.add("a.npy", write_npy(kA));
  b.add("b.npy", write_npy(kB));
  return b;
}

// The file with the little-endian value at a byte replaced.
template <class T>
Buffer patched(Buffer file, size_t at, std::type_identity_t<T> value) {
  store_le<T>(&file[at], value);
  return file;
}

// Written by numpy.savez (NumPy 1.24.2, Python 3.11.2).
Buffer golden() { return *read_file(PIXELLM_SOURCE_DIR "/spec/fixtures/savez.npz", 1 << 20); }

TEST(Npz, Golden) {
  const Buffer file = golden();
  expect_a_and_b(file, "golden");
  const TestFolder folder;
  const std::vector<NpzFile::Entry> entries = {{"a", kA}, {"b", kB}};
  ASSERT_TRUE(write_npz(folder.path("x.npz"), entries));
  EXPECT_EQ(*read_file(folder.path("x.npz"), 1 << 20), file);
  EXPECT_EQ(to_hex(Bytes(file).first(55)),
            "504b0304140000000000000021007c9cdea2980000009800000005001400"  // local header: 1980-01-01,
                                                                            // CRC-32, 152 bytes
            "612e6e7079"                                                    // a.npy
            "0100100098000000000000009800000000000000");                    // ZIP64 field
}

TEST(Npz, EveryTruncationIsAnError) {
  const Buffer file = golden();
  for (size_t n = 0; n < file.size(); n++)
    expect_error(Bytes(file).first(n), ErrorCode::kCorrupt, HasSubstr("zip: "));
}

TEST(Npz, EveryFlippedBitIsFoundOrWithoutEffect) {
  for (const Buffer& good : {golden(), [] {
                               ZipBuilder b = small();
                               b.end64 = true;
                               b.members[0].deflate = b.members[0].wide_central = true;
                               b.members[0].descriptor = 8;
                               b.members[1].wide_local = true;
                               return b.build();
                             }()}) {
    size_t without_effect = 0;
    for (size_t bit = 0; bit < good.size() * 8; bit++) {
      Buffer file = good;
      file[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      if (!read(file)) continue;
      without_effect++;
      expect_a_and_b(file, "byte " + std::to_string(bit / 8));
    }
    EXPECT_LT(without_effect, good.size() * 2);  // versions, dates and attributes
  }
}

TEST(Npz, ReadsEveryKindOfArchive) {
  for (const bool deflate : {false, true})
    for (const bool wide : {false, true})
      for (const bool end64 : {false, true})
        for (const size_t descriptor : {0, 4, 8})
          for (const bool signature : {false, true}) {
            ZipBuilder b = small();
            b.end64 = end64;
            if (wide) b.comment = std::string(65535, 'c');
            ZipBuilder::Member& m = b.members[0];
            m.deflate = deflate, m.wide_local = m.wide_central = wide;
            m.descriptor = descriptor, m.descriptor_signature = signature;
            expect_a_and_b(b.build(), "deflate " + std::to_string(deflate) + ", wide " +
                                          std::to_string(wide) + ", end64 " + std::to_string(end64) +
                                          ", descriptor " + std::to_string(descriptor));
          }
}

TEST(Npz, NamesWithAndWithoutSuffix) {
  ZipBuilder b;
  b.add("b", write_npy(kB));
  b.add("grad/a.npy", write_npy(kA));
  const auto npz = read(b.build());
  ASSERT_TRUE(npz) << npz.error().message;
  EXPECT_EQ(npz->entries()[0].first, "b");
  EXPECT_EQ(npz->entries()[1].first, "grad/a");
  EXPECT_EQ(npz->find("a"), nullptr);
  b.add("b.npy", write_npy(kA));
  expect_error(b.build(), ErrorCode::kCorrupt, HasSubstr("two arrays have the name 'b'"));
  b.members.back().name = "b";
  expect_error(b.build(), ErrorCode::kCorrupt, HasSubstr("two members have the name 'b'"));
  EXPECT_TRUE(read(ZipBuilder().build())->entries().empty());
}

TEST(Npz, RefusesNamesThatAreNoPlainPaths) {
  for (const char* name : {"", "/a.npy", "../a.npy", "a/../b.npy", "a/./b", "a//b", "folder/", "a\\b.npy",
                           "a\nb", "C:\\x", ".."}) {
    ZipBuilder b = small();
    b.members[0].name = name;
    expect_error(b.build(), ErrorCode::kUnsupported, HasSubstr("member name"));
  }
  ZipBuilder b = small();
  b.members[0].name = std::string(1025, 'x');
  expect_error(b.build(), ErrorCode::kUnsupported, HasSubstr("1025 bytes, at most 1024"));
  b.members[0].name = ".npy";
  expect_error(b.build(), ErrorCode::kUnsupported, HasSubstr("an array has an empty name"));
}

TEST(Npz, RefusesWhatItDoesNotRead) {
  ZipBuilder b = small();
  const Buffer good = b.build();
  const size_t central = b.members[0].central;
  const auto refuse = [&](size_t at, uint16_t value, const std::string& message) {
    expect_error(patched<uint16_t>(good, at, value), ErrorCode::kUnsupported, HasSubstr(message));
  };
  refuse(central + 10, 14, "'a.npy' has compression method 14");
  refuse(central + 8, 1, "'a.npy' is encrypted");
  refuse(central + 8, 1 << 5, "'a.npy' is a patch");
  refuse(central + 34, 1, "'a.npy' is on another disk");
  refuse(b.end + 4, 1, "several disks");
  b.end64 = true;
  const Buffer with64 = b.build();
  expect_error(patched<uint32_t>(with64, b.end64_record + 16, 1), ErrorCode::kUnsupported,
               HasSubstr("several disks"));
  expect_error(patched<uint32_t>(with64, b.end - 4, 2), ErrorCode::kUnsupported, HasSubstr("several disks"));

  ZipBuilder other;
  other.add("notes.txt", {'h', 'e', 'l', 'l', 'o', ' ', 't', 'h', 'e', 'r', 'e'});
  expect_error(other.build(), ErrorCode::kCorrupt, HasSubstr("'notes.txt': does not begin with"));
  expect_error(Buffer(100, 'x'), ErrorCode::kCorrupt, HasSubstr("not a ZIP archive"));
}

TEST(Npz, RefusesSizesThatDisagree) {
  ZipBuilder b = small();
  const Buffer good = b.build();
  const ZipBuilder::Member &m = b.members[0], &n = b.members[1];
  const auto refuse = [&](size_t at, uint32_t value, const std::string& message) {
    expect_error(patched<uint32_t>(good, at, value), ErrorCode::kCorrupt, HasSubstr(message));
  };
  refuse(m.central + 24, 1 << 30, "is stored as 152 bytes and said to have 1073741824");
  refuse(m.central + 42, 7, "no local header at byte 7");
  refuse(m.central + 42, 0xfffffff0, "the directory begins at");
  refuse(m.central + 42, 0xffffffff, "the ZIP64 field is missing");
  refuse(m.central + 16, 1, "its local header disagrees");
  refuse(m.header + 18, 151, "its local header disagrees");
  refuse(n.central + 42, 0, "its local header disagrees");
  refuse(b.end + 12, 5, "does not end at byte");
  refuse(b.end + 16, static_cast<uint32_t>(b.directory + 1), "does not end at byte");
  expect_error(patched<uint32_t>(good, b.end + 8, 3 << 16 | 3), ErrorCode::kCorrupt,
               HasSubstr("the directory has no entry 2"));
  expect_error(patched<uint32_t>(good, b.end + 8, 1 << 16 | 1), ErrorCode::kCorrupt,
               HasSubstr("behind its last entry"));
  expect_error(patched<uint16_t>(good, b.end + 8, 1), ErrorCode::kCorrupt,
               HasSubstr("two different member counts"));
  // One byte of data changed: only the CRC-32 can tell.
  expect_error(patched<uint8_t>(good, m.header + 30 + 5 + 140, 1), ErrorCode::kCorrupt,
               HasSubstr("'a.npy': its CRC-32 is"));
}

TEST(Npz, RefusesMembersInsideOneAnother) {
  ZipBuilder inner;
  inner.add("x", write_npy(kA));
  ZipBuilder b;
  b.add("outer", inner.build());
  b.add("x", write_npy(kA));
  Buffer file = b.build();
  store_le<uint32_t>(&file[b.members[1].central + 42], 35);  // the local header inside "outer"
  expect_error(file, ErrorCode::kCorrupt, HasSubstr("members 'outer' and 'x' overlap"));
}

TEST(Npz, RefusesBombsBeforeMemoryIsTaken) {
  ZipBuilder b = small();
  b.members[0].deflate = b.members[0].wide_central = true;
  const Buffer good = b.build();
  const size_t field = b.members[0].central + 46 + 5 + 4;
  expect_error(patched<uint64_t>(good, field, uint64_t{1} << 40), ErrorCode::kCorrupt,
               HasSubstr("cannot hold 1099511627776"));
  expect_error(patched<uint64_t>(good, field, UINT64_MAX), ErrorCode::kCorrupt, HasSubstr("cannot hold"));
  expect_error(patched<uint64_t>(good, field + 8, UINT64_MAX), ErrorCode::kCorrupt,
               HasSubstr("the directory begins at"));
  expect_error(patched<uint64_t>(good, field + 16, UINT64_MAX - 8), ErrorCode::kCorrupt,
               HasSubstr("the directory begins at"));
  // Lawful by ratio, too much in sum: 1,200 members of up to 1 MB that all claim 1,000,000 bytes.
  ZipBuilder many;
  for (int i = 0; i < 1200; i++) many.add(std::to_string(i), Buffer(1000, 0)).deflate = true;
  Buffer file = many.build();
  for (const auto& m : many.members) {
    store_le<uint32_t>(&file[m.central + 24], 1000000);
    store_le<uint32_t>(&file[m.header + 22], 1000000);
  }
  expect_error(file, ErrorCode::kTooLarge, HasSubstr("unpack to more than 1073741824 bytes"));
}

TEST(Npz, RefusesDamagedEnd64) {
  ZipBuilder b = small();
  b.end64 = true;
  const Buffer good = b.build();
  expect_a_and_b(good, "end64");
  const auto refuse = [&](size_t at, uint64_t value, const std::string& message) {
    expect_error(patched<uint64_t>(good, at, value), ErrorCode::kCorrupt, HasSubstr(message));
  };
  refuse(b.end - 12, UINT64_MAX, "ZIP64 end record is said to be at byte");
  refuse(b.end - 12, 0, "no ZIP64 end record of the right size");
  refuse(b.end64_record + 4, 45, "no ZIP64 end record of the right size");
  refuse(b.end64_record + 24, 9, "two different member counts");
  refuse(b.end64_record + 40, UINT64_MAX, "does not end at byte");
  refuse(b.end64_record + 48, UINT64_MAX, "does not end at byte");
  expect_error(patched<uint32_t>(good, b.end + 16, 5), ErrorCode::kCorrupt, HasSubstr("disagree"));
  Buffer counts = patched<uint64_t>(good, b.end64_record + 24, uint64_t{1} << 32);
  store_le<uint64_t>(&counts[b.end64_record + 32], uint64_t{1} << 32);
  expect_error(counts, ErrorCode::kTooLarge, HasSubstr("4294967296 members"));
}

TEST(Npz, RefusesDamagedDeflateAndExtraFields) {
  ZipBuilder b = small();
  b.members[0].deflate = b.members[0].wide_central = true;
  const Buffer good = b.build();
  const size_t data = b.members[0].header + 35;
  expect_error(patched<uint8_t>(good, data, 7), ErrorCode::kCorrupt,
               HasSubstr("'a.npy': the compressed data is damaged"));
  const size_t extra = b.members[0].central + 46 + 5;
  expect_error(patched<uint16_t>(good, extra + 2, 25), ErrorCode::kCorrupt,
               HasSubstr("an extra field is cut short"));
  expect_error(patched<uint16_t>(good, extra, 2), ErrorCode::kCorrupt,
               HasSubstr("the ZIP64 field is missing"));
  Buffer twice = patched<uint16_t>(good, extra + 2, 8);  // field 1 of 8 bytes, field 1 of 12
  store_le<uint32_t>(&twice[extra + 12], 12 << 16 | 1);
  expect_error(twice, ErrorCode::kCorrupt, HasSubstr("two ZIP64 fields"));
}

TEST(Npz, WriterRefusesNamesAndLeavesNothing) {
  const TestFolder folder;
  for (const char* name : {"", "/x", "a/../b", "x\n"}) {
    const std::vector<NpzFile::Entry> entries = {{"a", kA}, {name, kB}};
    EXPECT_EQ(write_npz(folder.path("x.npz"), entries).error().code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(folder.is_empty());
  }
  const std::vector<NpzFile::Entry> twice = {{"a", kA}, {"a", kB}};
  EXPECT_THAT(write_npz(folder.path("x.npz"), twice).error().message,
              HasSubstr("two members would have the name 'a.npy'"));
  EXPECT_TRUE(folder.is_empty());
  EXPECT_EQ(NpzFile::open(folder.path("x.npz")).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace pixellm
