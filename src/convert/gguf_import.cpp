#include <fmt/format.h>

#include <algorithm>

#include "convert/gguf.h"

namespace pixellm {
namespace {

// Bytes between the tensors that the picture can keep, each run counted with 16 bytes for its place.
constexpr uint64_t kMaxResidueBytes = uint64_t{1} << 20;
constexpr uint64_t kRunOverhead = 16;
constexpr size_t kBufferBytes = 65536;

// Collects what is not zero, in runs. Zeros inside a run that are fewer than a new run would cost stay in it.
class ResidueCollector {
 public:
  Result<void> add(uint64_t offset, Bytes bytes) {
    for (size_t i = 0; i < bytes.size(); i++) {
      if (bytes[i] == 0) continue;
      const uint64_t at = offset + i;
      if (ended_ || at - end_of_last() > kRunOverhead) {
        ended_ = false;
        runs_.push_back({.offset = at, .bytes = {}});
        size_ += kRunOverhead;
      }
      auto& run = runs_.back();
      const uint64_t zeros = at - end_of_last();
      run.bytes.resize(run.bytes.size() + zeros);
      run.bytes.push_back(bytes[i]);
      size_ += zeros + 1;
      if (size_ > kMaxResidueBytes)
        return fail(ErrorCode::kUnsupported,
                    fmt::format("gguf: more than {} bytes that are not zero stand between the tensors",
                                kMaxResidueBytes));
    }
    return {};
  }
  void end_run() { ended_ = true; }  // a tensor follows: a run must not go across it
  std::vector<SourceRecord::Residue> take() { return std::move(runs_); }

 private:
  uint64_t end_of_last() const { return runs_.back().offset + runs_.back().bytes.size(); }
  std::vector<SourceRecord::Residue> runs_;
  uint64_t size_ = 0;
  bool ended_ = true;
};

Result<std::vector<SourceRecord::Residue>> collect_residues(const ByteSource& source, const GgufFile& gguf) {
  std::vector<const TensorInfo*> order;
  for (const TensorInfo& t : gguf.tensors) order.push_back(&t);
  std::ranges::sort(order, {}, &TensorInfo::source_offset);

  ResidueCollector residues;
  std::vector<uint8_t> buffer(kBufferBytes);
  uint64_t position = gguf.head_bytes;
  const auto scan_to = [&](uint64_t end) -> Result<void> {
    while (position < end) {
      const MutableBytes piece = MutableBytes(buffer).first(std::min<uint64_t>(kBufferBytes, end - position));
      PIXELLM_CHECK(source.read_at(position, piece));
      PIXELLM_CHECK(residues.add(position, piece));
      position += piece.size();
    }
    return {};
  };
  for (const TensorInfo* t : order) {
    PIXELLM_CHECK(scan_to(gguf.data_offset + t->source_offset));
    residues.end_run();
    position = gguf.data_offset + t->source_offset + t->source_bytes();
  }
  PIXELLM_CHECK(scan_to(source.size()));
  return residues.take();
}

}  // namespace

Result<ModelPlan> plan_import(const ByteSource& source, GgufFile gguf, const ImportOptions& options) {
  auto residues = collect_residues(source, gguf);
  if (!residues) {
    if (residues.error().code == ErrorCode::kIo) return std::unexpected(std::move(residues).error());
    return fail_in(source.name(), std::move(residues).error());
  }
  SourceRecord record{.format = 1,
                      .version = gguf.version,
                      .alignment = gguf.alignment,
                      .file_bytes = source.size(),
                      .data_offset = gguf.data_offset,
                      .residues = std::move(*residues)};
  auto plan = plan_model(std::move(gguf.tensors), gguf.metadata, std::move(record), options.row_bytes);
  if (!plan) return fail_in(source.name(), std::move(plan).error());
  return plan;
}

Result<ImportJob> gguf_import_job(const ByteSource& source, const ImportOptions& options) {
  GgufFile gguf = PIXELLM_TRY(GgufFile::read(source));
  const uint64_t data_offset = gguf.data_offset;
  ImportJob job;
  job.plan = PIXELLM_TRY(plan_import(source, std::move(gguf), options));
  std::vector<uint64_t> begins;  // of each tensor in the file
  for (const TensorInfo& t : job.plan.tensors) begins.push_back(data_offset + t.source_offset);
  job.read = [&source, begins = std::move(begins)](size_t index, uint64_t offset, MutableBytes out) {
    return source.read_at(begins[index] + offset, out);
  };
  return job;
}

}  // namespace pixellm
