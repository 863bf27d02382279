// pixellm v0 init: the original's untrained weights.
#include "cli/v0_common.h"

namespace pixellm::cli {
namespace {

Result<void> init(const std::string& out, uint64_t seed) {
  const auto network = v0::initial_network(seed).network;
  PIXELLM_CHECK(v0::write_network(out, network));
  print_network("WEIGHT INITIALIZATION", network, out);
  return {};
}

}  // namespace

int cmd_v0_init(int argc, char** argv) {
  CLI::App app("Writes the untrained weights: NumPy's default_rng(seed), bit for bit.");
  std::string out;
  uint64_t seed = 42;
  app.add_option("-o,--output", out, "the .npz to write; - is standard output")->required();
  add_seed_option(app, seed, "any unsigned 64-bit number");
  app.footer("Example:\n  pixellm v0 init -o pixellm_v0.npz");
  if (auto status = parse(app, argc, argv)) return *status;
  const auto done = init(out, seed);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
