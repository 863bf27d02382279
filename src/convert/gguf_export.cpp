#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "convert/gguf.h"
#include "model/format.h"
#include "model/text.h"

namespace pixellm {
namespace {

constexpr uint32_t kFreshVersion = 3;
constexpr uint32_t kFreshAlignment = 32;
constexpr std::array<uint8_t, 65536> kZeros{};

// Where everything stands in the file to write.
struct Layout {
  SourceRecord source;
  std::vector<uint64_t> offsets;  // of each tensor in the data section, in the directory's order
  std::vector<size_t> order;      // tensor indices by offset
};

template <class T>
void append_le(std::vector<uint8_t>& out, T value) {
  out.resize(out.size() + sizeof(T));
  store_le<T>(out.data() + out.size() - sizeof(T), value);
}

void append(std::vector<uint8_t>& out, Bytes bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

// Header, metadata and tensor infos.
std::vector<uint8_t> encode_head(const Model& model, const Layout& layout) {
  std::vector<uint8_t> out = {'G', 'G', 'U', 'F'};
  append_le<uint32_t>(out, layout.source.version);
  append_le<uint64_t>(out, model.tensors().size());
  append_le<uint64_t>(out, model.metadata().entries().size());
  append(out, model.metadata().encoded());
  for (size_t i = 0; i < model.tensors().size(); i++) {
    const TensorInfo& t = model.tensors()[i];
    append_le<uint64_t>(out, t.name.size());
    append(out, Bytes(reinterpret_cast<const uint8_t*>(t.name.data()), t.name.size()));
    append_le<uint32_t>(out, t.n_dims);
    for (uint32_t d = 0; d < t.n_dims; d++) append_le<uint64_t>(out, t.dims[d]);
    append_le<uint32_t>(out, static_cast<uint32_t>(t.type));
    append_le<uint64_t>(out, layout.offsets[i]);
  }
  return out;
}

// A picture that was not made from a GGUF: one tensor after the other.
Result<Layout> fresh_layout(const Model& model) {
  const int64_t alignment = model.metadata().integer("general.alignment").value_or(kFreshAlignment);
  if (alignment <= 0 || alignment % 8 != 0 || alignment > UINT32_MAX)
    return fail(ErrorCode::kCorrupt,
                fmt::format("general.alignment is {}, a multiple of 8 is needed", alignment));
  Layout layout;
  SourceRecord& source = layout.source;
  source.format = 1;
  source.version = kFreshVersion;
  source.alignment = static_cast<uint32_t>(alignment);
  uint64_t end = 0;
  for (const TensorInfo& t : model.tensors()) {
    layout.offsets.push_back(end);
    end += round_up(t.source_bytes(), source.alignment);
  }
  source.data_offset = round_up(encode_head(model, layout).size(), source.alignment);
  source.file_bytes = source.data_offset + end;
  if (source.file_bytes > kSourceFactor * model.plane().payload_bytes() + kSourceSlack)
    return fail(ErrorCode::kTooLarge,
                fmt::format("general.alignment {} would make a GGUF of {} bytes out of {} bytes of pixels",
                            alignment, source.file_bytes, model.plane().payload_bytes()));
  return layout;
}

// What the source record claims must fit what the directory and the metadata give.
Result<void> check_layout(const Model& model, const Layout& layout, uint64_t head_bytes) {
  const SourceRecord& source = layout.source;
  const auto corrupt = [](std::string message) {
    return fail(ErrorCode::kCorrupt, "source record: " + std::move(message));
  };
  if (source.version != 2 && source.version != 3)
    return corrupt(fmt::format("GGUF version {}, 2 or 3 is needed", source.version));
  if (source.alignment == 0 || source.alignment % 8 != 0)
    return corrupt(fmt::format("alignment {}", source.alignment));
  if (source.data_offset != round_up(head_bytes, source.alignment))
    return corrupt(fmt::format("data begins at byte {}, the head of {} bytes puts it at {}",
                               source.data_offset, head_bytes, round_up(head_bytes, source.alignment)));
  if (source.file_bytes < head_bytes)
    return corrupt(fmt::format("the file has {} bytes, its head alone {}", source.file_bytes, head_bytes));
  uint64_t end = source.data_offset;
  for (const size_t index : layout.order) {
    const TensorInfo& t = model.tensors()[index];
    const auto begin = checked_add(source.data_offset, layout.offsets[index]);
    const auto tensor_end = begin ? checked_add(*begin, t.source_bytes()) : std::nullopt;
    if (!tensor_end || *begin < end || *tensor_end > source.file_bytes)
      return corrupt(fmt::format("tensor {} overlaps another or the file's end", pixellm::quoted(t.name)));
    end = *tensor_end;
  }
  return {};
}

Result<Layout> make_layout(const Model& model) {
  Layout layout;
  if (model.source().format == 0) {
    layout = PIXELLM_TRY(fresh_layout(model));
  } else if (model.source().format == 1) {
    layout.source = model.source();
    for (const TensorInfo& t : model.tensors()) layout.offsets.push_back(t.source_offset);
  } else {
    return fail(ErrorCode::kUnsupported,
                fmt::format("source record: format {}, 0 and 1 are known", model.source().format));
  }
  for (size_t i = 0; i < model.tensors().size(); i++) layout.order.push_back(i);
  std::ranges::sort(layout.order, {}, [&](size_t i) { return layout.offsets[i]; });
  return layout;
}

// Writes the file from front to back; fills the space between with zeros and the residues that belong there.
class Writer {
 public:
  Writer(AtomicFile& file, const SourceRecord& source, const Progress& progress)
      : file_(file), source_(source), progress_(progress) {}

  Result<void> write(Bytes bytes) {
    PIXELLM_CHECK(file_.write(bytes));
    position_ += bytes.size();
    if (progress_) progress_(std::min(position_, source_.file_bytes - 1), source_.file_bytes);
    return {};
  }

  Result<void> fill_to(uint64_t end) {
    while (next_ < source_.residues.size() && source_.residues[next_].offset < end) {
      const auto& residue = source_.residues[next_++];
      if (residue.offset < position_ || residue.bytes.size() > end - residue.offset)
        return fail(ErrorCode::kCorrupt,
                    fmt::format("source record: residue at byte {} is not between tensors", residue.offset));
      PIXELLM_CHECK(zeros_to(residue.offset));
      PIXELLM_CHECK(write(residue.bytes));
    }
    return zeros_to(end);
  }

 private:
  Result<void> zeros_to(uint64_t end) {
    while (position_ < end)
      PIXELLM_CHECK(write(Bytes(kZeros).first(std::min<uint64_t>(kZeros.size(), end - position_))));
    return {};
  }

  AtomicFile& file_;
  const SourceRecord& source_;
  const Progress& progress_;
  uint64_t position_ = 0;
  size_t next_ = 0;  // residue
};

}  // namespace

Result<ConvertSummary> export_gguf(const Model& model, const std::string& out, const Progress& progress) {
  const std::string& in = model.plane().path();
  std::error_code ec;
  if (std::filesystem::equivalent(in, out, ec) && !ec)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: is the input; choose another name for the output", out));
  auto layout = make_layout(model);
  if (!layout) return fail_in(in, std::move(layout).error());
  const std::vector<uint8_t> head = encode_head(model, *layout);
  if (auto ok = check_layout(model, *layout, head.size()); !ok) return fail_in(in, std::move(ok).error());

  auto file = PIXELLM_TRY(AtomicFile::create(out));
  Writer writer(file, layout->source, progress);
  PIXELLM_CHECK(writer.write(head));
  for (const size_t index : layout->order) {
    PIXELLM_CHECK(writer.fill_to(layout->source.data_offset + layout->offsets[index]));
    PIXELLM_CHECK(model.read_source_bytes(
        model.tensors()[index], [&](Bytes bytes) { return writer.write(bytes); }, /*release_pages=*/true));
  }
  PIXELLM_CHECK(writer.fill_to(layout->source.file_bytes));
  PIXELLM_CHECK(file.commit());
  if (progress) progress(layout->source.file_bytes, layout->source.file_bytes);
  return ConvertSummary{.n_tensors = model.tensors().size(),
                        .bytes_read = model.plane().file_bytes(),
                        .bytes_written = layout->source.file_bytes};
}

}  // namespace pixellm
