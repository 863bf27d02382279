// What a plane needs of base/file.h where there are no files: a mapping of nothing.
#include "base/file.h"

namespace pixellm {

MappedFile::MappedFile(MappedFile&&) noexcept = default;
MappedFile& MappedFile::operator=(MappedFile&&) noexcept = default;
MappedFile::~MappedFile() = default;

}  // namespace pixellm
