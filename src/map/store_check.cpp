#include "map/store_impl.h"
namespace pixellm {
Result<StoreFindings> LmdbTileStore::verify() const { return fail(ErrorCode::kInternal, "todo"); }
Result<StoreFindings> LmdbTileStore::repair() { return fail(ErrorCode::kInternal, "todo"); }
Result<uint64_t> LmdbTileStore::compact() { return fail(ErrorCode::kInternal, "todo"); }
}  // namespace pixellm
