// pixellm certify: a record of how far the GPU's logits are from the CPU's, for this model and this adapter.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/runtime.h"
#include "gpu/certify.h"

namespace pixellm::cli {
namespace {

constexpr uint64_t kMaxTextBytes = 64 << 20;

struct CertifyFlags {
  std::string model, out, text;
  uint32_t tokens = 256;
  ModelFlags common;
};

Result<std::vector<TokenId>> tokens_for(const Runtime& runtime, const CertifyFlags& flags, Session& cpu) {
  if (flags.text.empty()) {
    const auto bos = runtime.model->metadata().integer("tokenizer.ggml.bos_token_id");
    const int64_t vocab = runtime.engine->config().vocab_size;
    return gpu::sample_text(cpu, bos && *bos >= 0 && *bos < vocab ? static_cast<TokenId>(*bos) : 0,
                            flags.tokens);
  }
  const auto text = PIXELLM_TRY(read_file(flags.text, kMaxTextBytes));
  auto ids =
      encode_text(*runtime.tokenizer, {reinterpret_cast<const char*>(text.data()), text.size()}, false);
  if (ids.size() < flags.tokens)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("certify: {} has {} tokens, {} are asked for (--tokens)", flags.text, ids.size(),
                            flags.tokens));
  ids.resize(flags.tokens);
  return ids;
}

Result<void> run_certify(CertifyFlags& flags) {
  flags.common.device = "gpu";
  const Runtime runtime = PIXELLM_TRY(Runtime::open(flags.model, flags.common, !flags.text.empty()));
  SessionOptions options{.context = flags.tokens, .batch = 64};
  const auto cpu = PIXELLM_TRY(Session::create(*runtime.engine, *runtime.pool, options));
  const auto gpu = PIXELLM_TRY(runtime.new_session(options));
  const auto ids = PIXELLM_TRY(tokens_for(runtime, flags, *cpu));
  const gpu::Agreement a = PIXELLM_TRY(gpu::compare_sessions(*cpu, *gpu, ids));
  const gpu::AdapterInfo& adapter = runtime.backend->adapter();
  const nlohmann::ordered_json record = {{"backend", "webgpu/" + adapter.backend},
                                         {"adapter", adapter.name},
                                         {"adapter_type", adapter.type},
                                         {"driver", adapter.driver},
                                         {"reference", fmt::format("cpu/{}", runtime.engine->kernels().name)},
                                         {"weights_sha256", to_hex(runtime.model->header().weights_sha256)},
                                         {"text", flags.text.empty() ? "drawn from the model" : flags.text},
                                         {"tokens", a.tokens},
                                         {"rms", a.rms},
                                         {"largest_difference", a.largest},
                                         {"top1", a.top1},
                                         {"perplexity_reference", a.perplexity[0]},
                                         {"perplexity", a.perplexity[1]},
                                         {"version", PIXELLM_VERSION}};
  const std::string text = record.dump(2) + "\n";
  AtomicFile file = PIXELLM_TRY(AtomicFile::create(flags.out));
  PIXELLM_CHECK(file.write({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
  PIXELLM_CHECK(file.commit());
  note(fmt::format("{}: {} of {} tokens alike, distance {:.4f} %, perplexity {:.4f} against {:.4f}",
                   adapter.name, static_cast<uint64_t>(std::round(a.top1 * static_cast<double>(a.tokens))),
                   a.tokens, 100 * a.rms, a.perplexity[1], a.perplexity[0]));
  return {};
}

}  // namespace

int cmd_certify(int argc, char** argv) {
  CLI::App app("Compares the GPU's logits with the CPU's and writes a record of it.");
  CertifyFlags flags;
  app.add_option("MODEL", flags.model, "picture of a model")->required();
  app.add_option("-o,--out", flags.out, "the record, JSON; -: standard output")->required();
  app.add_option("--text", flags.text,
                 "the text whose tokens are compared; without it one that the model draws");
  app.add_option("--tokens", flags.tokens, "how many")
      ->check(CLI::Range(uint32_t{2}, UINT32_MAX))
      ->capture_default_str();
  flags.common.add_to(app);
  app.footer(
      "The record: {backend, adapter, driver, tokens, rms (of the logits' differences over that of the\n"
      "CPU's), largest_difference, top1 (share of tokens after which both would choose the same),\n"
      "perplexity_reference, perplexity, ...}.\n\nExample:\n  pixellm certify model.png -o "
      "model.certificate.json");
  if (auto status = parse(app, argc, argv)) return *status;
  const auto done = run_certify(flags);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
